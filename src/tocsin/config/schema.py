"""JSON Schema of the configuration, for editors: `#:schema config.schema.json` in the first line of the file."""

from typing import Any

from pydantic import BaseModel, TypeAdapter

from tocsin.config.registry import KEEP, SELF, TRUST, Registry, table_of
from tocsin.config.tree import TABLES, Tree
from tocsin.config.values import DurationOrZero
from tocsin.model.trust import Trust

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


_TRUST: Schema = {
    "description": "How far it is believed, instead of earning it: counted only, a warning at most, or as it is.",
    "enum": [each.value for each in Trust],
}


_KEEP: Schema = {
    "description": "How long its alerts have to stay clear before they resolve.",
    **TypeAdapter(DurationOrZero).json_schema(),
}


def json_schema(registry: Registry) -> Schema:
    """Return the schema of the TOML, Params of all detectors in the registry included."""
    schema: Schema = _without_null(Tree.model_json_schema(by_alias=True))
    definitions: Schema = schema["$defs"]
    for table in TABLES.values():
        _write_defaults(table, (schema if table is Tree else definitions[table.__name__])["properties"])
    tables = {name: _params(name, registry[name], definitions) for name in sorted(registry)}
    of_chains = {name: table for name, table in tables.items() if not name.startswith(SELF)}
    for name, params in tables.items():
        beside = {TRUST: _TRUST, KEEP: _KEEP} if name in of_chains else {KEEP: _KEEP}
        params.setdefault("properties", {}).update(beside)
    schema["properties"]["detector"] |= _closed(tables)
    definitions["Chain"]["properties"]["detector"] |= _closed(of_chains)
    # What a profile can bring need not stand in the file.
    definitions["Chain"]["required"] = ["name", "node"]
    return {"$schema": DIALECT, **schema, "title": "Tocsin configuration", "$defs": dict(sorted(definitions.items()))}


def _write_defaults(table: type[BaseModel], properties: Schema) -> None:
    """Write defaults as they would stand in the file; those that are derived from other keys are told in words."""
    written = table.model_construct().model_dump(mode="json", by_alias=True, warnings=False)
    for key, value in properties.items():
        if value.pop("default", None) is not None and written[key] not in ("", "0ms", {}, []):
            value["default"] = written[key]


def _closed(tables: Schema) -> Schema:
    return {"properties": tables, "additionalProperties": False}


def _params(name: str, params: type[Any], definitions: Schema) -> Schema:
    """Return the schema of one detector's table; definitions that it needs go to the common ones."""
    schema: Schema = _false_for_null(table_of(params).model_json_schema(by_alias=True))
    for inner, definition in schema.pop("$defs", {}).items():
        if definitions.setdefault(inner, definition) != definition:
            raise TypeError(f"{name}: two different tables are called {inner}")
    return schema


def _without_null(value: Any) -> Any:
    """TOML has no null: what may be absent is simply not required."""
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _without_null(item) for key, item in value.items()}
    options = [option for option in kept.get("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        del kept["anyOf"]
        return {**options[0], **kept}
    return kept | {"anyOf": options} if options else kept


def _false_for_null(value: Any) -> Any:
    """In Params, absence of a limit is written `false`."""
    if isinstance(value, list):
        return [_false_for_null(item) for item in value]
    if value == {"type": "null"}:
        return {"const": False}
    if isinstance(value, dict):
        return {key: _false_for_null(item) for key, item in value.items() if not (key == "default" and item is None)}
    return value
