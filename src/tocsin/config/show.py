"""The configuration as it takes effect: every default filled in, every secret replaced by where it comes from."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from tocsin.config.locate import Path
from tocsin.config.registry import KEEP, TRUST, plain
from tocsin.config.tree import TABLES, Tree
from tocsin.config.wording import tables_of
from tocsin.model.settings import Settings
from tocsin.model.trust import Trust
from tocsin.units import duration_text

Document = dict[str, Any]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def effective(
    tree: Tree,
    settings: Settings,
    common: Mapping[str, object],
    trust: Mapping[str, Trust] | None = None,
    keep_firing: Mapping[str, int] | None = None,
) -> Document:
    """Return the document in the shape of the TOML, without `include`: what it brought in stands in its place.

    `common` has the Params that hold where a chain (or its profile) says nothing else, `trust` how far detectors are
    believed there and `keep_firing` how long their alerts stay; a chain's stand only where they differ.
    """
    everywhere, keeps = trust or {}, keep_firing or {}
    document: Document = tree.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"include"})
    for table in ("provider", "price_gateway", "market", "account", "consumer", "silence", "maintenance", "notify"):
        if not document[table]:
            del document[table]
    for table, chain in zip(document["chain"], settings.chains, strict=True):
        for kind in ("node", "beacon"):
            table[kind] = [{key: value for key, value in node.items() if value not in ("", {})} for node in table[kind]]
        for kind in ("beacon", "contract", "index", "feed"):
            if not table[kind]:
                del table[kind]
        del table["detector"]
        own = {
            name: _detector(params, chain.trust.get(name), chain.keep_firing.get(name, 0 if name in keeps else None))
            for name, params in chain.detectors.items()
            if (common[name], everywhere.get(name), keeps.get(name, 0))
            != (params, chain.trust.get(name), chain.keep_firing.get(name, 0))
        }
        if own:
            table["detector"] = own
    document["detector"] = {
        name: _detector(params, everywhere.get(name), keeps.get(name)) for name, params in common.items()
    }
    return document


def _detector(params: object, trust: Trust | None, keep_ns: int | None) -> Document:
    beside = {TRUST: trust.value} if trust is not None else {}
    if keep_ns is not None:
        beside[KEEP] = duration_text(keep_ns)
    return {**plain(params), **beside}


def canonical(document: Document, settings: Settings) -> bytes:
    """Return the bytes whose digest identifies a configuration; endpoints too, as a secret URL decides about them."""
    endpoints = [
        [*(node.endpoint for node in chain.everyone), *(one.endpoint for one in chain.gateways)]
        for chain in settings.chains
    ]
    return orjson.dumps({"document": document, "endpoints": endpoints}, option=orjson.OPT_SORT_KEYS)


def as_toml(document: Mapping[str, Any]) -> str:
    """Write a document as TOML that reads back to itself."""
    return "\n".join(_table(document, (), "")).lstrip("\n") + "\n"


def _table(table: Mapping[str, Any], path: Path, header: str) -> Iterator[str]:
    own = {key: value for key, value in table.items() if not _is_section((*path, key), value)}
    if header and (own or header.startswith("[[")):
        yield from ("", header)
    for key, value in own.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if key in own:
            continue
        inner = (*path, key)
        name = ".".join(_key(part) for part in tables_of(inner))
        for item in value if isinstance(value, list) else [value]:
            yield from _table(item, inner, f"[[{name}]]" if isinstance(value, list) else f"[{name}]")


def _is_section(path: Path, value: object) -> bool:
    tables = tables_of(path)
    return isinstance(value, dict | list) and (tables in TABLES or "detector" in tables[-2:])


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _string(value)
        case list():
            return "[" + ", ".join(_value(item) for item in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a configuration")


def _string(text: str) -> str:
    # JSON's escapes are TOML's; only DEL is free in one and forbidden in the other.
    return orjson.dumps(text).decode().replace("\x7f", "\\u007f")
