"""What pydantic found, in words for the person who wrote the file. Never with the value: it may be a secret."""

from collections.abc import Mapping
from typing import Any

from tocsin import __version__
from tocsin.config.locate import Path
from tocsin.config.many import MANY
from tocsin.config.problems import suggestion
from tocsin.config.tree import LATER, TABLES, public_keys

MISSING = "missing"

_WORDS: Mapping[str, str] = {
    "string_type": "write a string",
    "int_type": "write a whole number, without quotes",
    "int_from_float": "write a whole number",
    "bool_type": "write true or false",
    "tuple_type": "write an array",
    "model_type": "write a table",
    "model_attributes_type": "write a table",
    "mapping_type": "write a table",
    "dict_type": "write a table",
    "none_required": "write false",
}


def tables_of(path: Path) -> tuple[str, ...]:
    """Return a path without indices: which kind of table it is."""
    return tuple(key for key in path if isinstance(key, str))


def unknown_key(path: Path) -> str:
    """Word a key of the tree that does not exist."""
    *parents, key = path
    table = tables_of(tuple(parents))
    if key in LATER.get(table, ()):
        return f"tocsin {__version__} does not know this table yet; remove it, or run a version that does"
    known = public_keys(TABLES[table]) if table in TABLES else ()
    if key not in known and (home := _home(str(key))):
        return home
    return "unknown key" + (suggestion(str(key), known) or _elsewhere(str(key), table))


def _home(key: str) -> str:
    """Say below which table one of which there may be several belongs, if a key is the name of such a one."""
    found = next((path for path in sorted(MANY, key=len) if path[-1] == key), ())
    if not found:
        return ""
    above = f" below its {_header(found[:-1])}" if found[:-1] else ", which belongs to no other table"
    return f"does not stand here: write {_header(found)}{above}"


def _header(path: tuple[str, ...]) -> str:
    return f"[[{'.'.join(path)}]]"


def _elsewhere(key: str, table: tuple[str, ...]) -> str:
    """Suggest a key of another table: it may stand one table too deep."""
    for other, model in TABLES.items():
        found = suggestion(key, public_keys(model)) if other not in ((), table) else ""
        if found:
            header = ".".join(other)
            return found.replace("?)", f" of {f'[[{header}]]' if other[0] == 'chain' else f'[{header}]'}?)")
    return ""


def describe(error: Mapping[str, Any], path: Path) -> str:
    """Word one error of a ValidationError for the value at `path` of the tree."""
    if error["type"] == "extra_forbidden":
        return unknown_key(path)
    return describe_value(error, path)


def describe_value(error: Mapping[str, Any], path: Path) -> str:
    """Word one error about a value, whatever table it is in."""
    kind, context = error["type"], error.get("ctx", {})
    array = tables_of(path) in MANY and isinstance(path[-1], str)
    match kind:
        case "value_error":
            return str(context["error"])
        case "missing":
            return f"{MISSING}; write {_header(tables_of(path))}" if array else f"{MISSING}{_hint(path)}"
        case "tuple_type" if array:
            return f"write {_header(tables_of(path))}: its brackets are double, since there may be several"
        case "literal_error" if path == ("schema",):
            return f"tocsin {__version__} reads schema {context['expected']} only"
        case "literal_error":
            return f"write one of {context['expected']}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must not be longer than {context['max_length']} characters"
    return _WORDS.get(kind, error["msg"][:1].lower() + error["msg"][1:])


def _hint(path: Path) -> str:
    match path:
        case ("schema",):
            return "; write schema = 1"
        case ("chain", int(), "id" | "block_time"):
            return "; write it, or name a profile that has it"
        case ("watchdog",):
            return "; write [watchdog] with site and name"
    return ""
