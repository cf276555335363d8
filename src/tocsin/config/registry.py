"""A detector's Params as a table of the configuration, and back.

Params are frozen dataclasses that live beside their detector and know nothing of files. Here each becomes a strict
model: `warning = { over = 3, polls = 2, for = "30s" }` is an `Over` (as is `for = "3 blocks"`), `age = "1h"` a
`DurationNs`, `critical = false` switches an optional limit off. A registry is a mapping of detector id to Params class.
"""

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    create_model,
)

from tocsin.config.values import Blocks, Duration, DurationOrZero, Held, Listed, held_text
from tocsin.model.alert import Over, Under
from tocsin.units import DurationNs, duration_text

Registry = Mapping[str, type[Any]]
"""Detector id to its Params class."""

SELF = ("self.", "host.", "peer.")
"""Detectors with these prefixes watch the watchdog itself, its host and its peers, and belong to no chain."""

TRUST = "trust"
"""Key beside the Params of a detector that looks at chains: how far it is believed, instead of earning it."""

KEEP = "keep_firing_for"
"""Key beside the Params of any detector: how long its alerts have to stay clear before they resolve."""

_LIMITS = (Over, Under)
_FOR, _BLOCKS = "for_ns", "blocks"
"""Of a limit: two fields, one key."""
_SUFFIX = "_ns"
_LARGEST = 2**63 - 1


class HasParams(Protocol):
    """What of a detector matters here."""

    @property
    def params(self) -> type[Any]:
        """The Params class."""
        ...


def registry_of(detectors: Mapping[str, HasParams]) -> Registry:
    """Return the Params classes of detectors."""
    return {name: detector.params for name, detector in detectors.items()}


_tables: dict[type[Any], type[BaseModel]] = {}


def table_of(params: type[Any]) -> type[BaseModel]:
    """Return the model of a Params class; every key may be left out. Raises TypeError for a field of unknown kind."""
    if params not in _tables:
        _tables[params] = _build(params)
    return _tables[params]


def _build(params: type[Any]) -> type[BaseModel]:
    for field in dataclasses.fields(params):
        if (key := public_key(field.name)) in (TRUST, KEEP):
            raise TypeError(f"{params.__name__}.{key}: the key is taken, by what every detector has beside its Params")
    fields: dict[str, Any] = {
        field.name: (
            _kind(params, field.name, hint),
            Field(None, alias=public_key(field.name), json_schema_extra=_default_of(field, hint)),
        )
        for field, hint in _fields(params)
    }
    return create_model(params.__name__, __config__=_CONFIG, __doc__=params.__doc__, **fields)


def given(table: BaseModel) -> dict[str, Any]:
    """Return the fields that a validated table sets, by the names of the Params class."""
    return {name: getattr(table, name) for name in table.model_fields_set}


def public_key(field: str) -> str:
    """Return the key of a field: times drop their unit, which stands in the value."""
    return field.removesuffix(_SUFFIX)


def plain(params: Any) -> dict[str, Any]:
    """Return Params, or a table in them, as it is written in TOML; no time at all is left out."""
    if isinstance(params, Over | Under) and params.blocks:
        return {**plain(dataclasses.replace(params, for_ns=0, blocks=0)), "for": held_text(0, params.blocks)}
    return {
        public_key(field.name): _written(_hint(field.name, hint), getattr(params, field.name))
        for field, hint in _fields(type(params))
        if not (field.name.endswith(_SUFFIX) and getattr(params, field.name) == field.default == 0)
        and not _is_folded(type(params), field.name)
    }


_CONFIG = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def _fields(params: type[Any]) -> list[tuple["dataclasses.Field[Any]", Any]]:
    hints = get_type_hints(params)
    return [(field, hints[field.name]) for field in dataclasses.fields(params)]


def _is_folded(kind: type[Any], name: str) -> bool:
    """Tell whether a field has no key of its own: `for` says the blocks of a limit, too."""
    return kind in _LIMITS and name == _BLOCKS


def _hint(name: str, hint: Any) -> Any:
    return DurationNs if name.endswith(_SUFFIX) else hint


def _written(hint: Any, value: Any) -> Any:
    """Return a value as it is written in TOML; only its type tells a duration from a number."""
    if value is None:
        return False
    if get_origin(hint) in (Union, types.UnionType):
        [hint] = [kind for kind in get_args(hint) if kind is not type(None)]
    if hint is DurationNs:
        return duration_text(value)
    if isinstance(value, tuple):
        kinds = get_args(hint)
        each = kinds[:1] * len(value) if kinds[-1:] == (...,) else kinds
        return [_written(kind, item) for kind, item in zip(each, value, strict=True)]
    if isinstance(value, Enum):
        return value.value
    return plain(value) if dataclasses.is_dataclass(value) else value


def _default_of(field: "dataclasses.Field[Any]", hint: Any) -> dict[str, Any]:
    if field.default is dataclasses.MISSING:
        return {}
    return {"default": _written(_hint(field.name, hint), field.default)}


def _kind(owner: type[Any], name: str, hint: Any) -> Any:
    """Return the annotation by which pydantic checks a field of this type."""
    if owner in _LIMITS and name == _FOR:
        return Held
    if name.endswith(_SUFFIX):
        return DurationOrZero
    if hint is DurationNs:
        return Duration
    if hint is int:
        return Annotated[int, Field(ge=1 if owner in _LIMITS and name == "polls" else 0, le=_LARGEST)]
    if hint in (bool, str) or get_origin(hint) is Literal:
        return hint
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _choice(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return Annotated[_nested(hint), AfterValidator(lambda table: _made(hint, dict(table)))]
    if get_origin(hint) in (Union, types.UnionType):
        return _optional(owner, name, hint)
    if get_origin(hint) is tuple:
        items = tuple(item if item is ... else _kind(owner, name, item) for item in get_args(hint))
        return Annotated[tuple.__class_getitem__(items), Listed]
    raise TypeError(f"{owner.__name__}.{name}: {hint} is no kind of value that configuration can hold")


def _made(kind: Any, fields: dict[str, Any]) -> Any:
    if kind in _LIMITS and isinstance(blocks := fields[_FOR], Blocks):
        fields = {**fields, _FOR: 0, _BLOCKS: blocks.count}
    return kind(**fields)


def _nested(kind: Any) -> type[BaseModel]:
    """Return the model of a dataclass inside Params: what has no default must be given, the rest is its own default."""
    fields: dict[str, Any] = {
        field.name: (
            _kind(kind, field.name, hint),
            Field(
                ... if field.default is dataclasses.MISSING else field.default,
                alias=public_key(field.name),
                json_schema_extra=_default_of(field, hint),
            ),
        )
        for field, hint in _fields(kind)
        if not _is_folded(kind, field.name)
    }
    return create_model(kind.__name__, __config__=_CONFIG, __doc__=kind.__doc__, **fields)


def _choice(kind: type[Enum]) -> Any:
    words = [member.value for member in kind]

    def check(value: Any) -> Enum:
        if value not in words:
            raise ValueError("write one of " + ", ".join(map(str, words)))
        return kind(value)

    return Annotated[kind, PlainValidator(check), WithJsonSchema({"enum": words})]


def _optional(owner: type[Any], name: str, hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if len(kinds) != 1 or kinds[0] is bool:  # `false` stands for None, so an optional bool would have two meanings
        raise TypeError(f"{owner.__name__}.{name}: of unions, only an optional value other than bool can be configured")
    inner = _kind(owner, name, kinds[0])
    return Annotated[inner | None, BeforeValidator(lambda value: None if value is False else value)]
