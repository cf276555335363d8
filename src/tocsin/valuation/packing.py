"""Values of a protocol as short byte strings: of a hundred thousand accounts a few tens of megabytes, not hundreds.

Objects of Python are large, and every one of them is looked at by each full collection of garbage, which holds up the
loop. So accounts lie packed, and the few that are looked at are unpacked. It is also how they lie on disk.

A class is packed field by field, by its type hints: integers of any size, bytes, text, truth values, None, mappings,
tuples, and classes of the same kind. Equal values are packed alike.
"""

import dataclasses
import importlib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Union, get_args, get_origin

import orjson

from tocsin.errors import CorruptRecord

_SMALL: Final = 2**63
_HOME: Final = "tocsin.protocols."

Pack = Callable[[Any], Any]


def pack(value: object) -> bytes:
    """Return a frozen dataclass as bytes. Raises TypeError for a class with a field of another type."""
    kind: Any = type(value)
    return orjson.dumps(_packer(kind)(value))


def unpack(kind: type, data: bytes) -> Any:
    """Return what was packed of this class. Raises CorruptRecord."""
    try:
        return _unpacker(kind)(orjson.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise CorruptRecord(f"a {kind.__name__} cannot be unpacked: {error}") from error


def name_of(kind: type) -> str:
    """Return what names a class of a protocol on disk."""
    return f"{kind.__module__}:{kind.__qualname__}"


def class_of(name: str) -> type:
    """Return the class of a protocol that a name is of. Raises CorruptRecord for everything else."""
    module, _, rest = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), rest) if module.startswith(_HOME) else None
    except (ImportError, AttributeError):
        found = None
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        raise CorruptRecord(f"{name!r} is no class of a protocol")
    return found


class Packed(Mapping[bytes, Any]):
    """Accounts by their ids, unpacked when they are asked for. The mapping that it is made of is never changed."""

    def __init__(self, kind: type, data: Mapping[bytes, bytes]) -> None:
        self.kind = kind
        self.data = data

    def __getitem__(self, account: bytes) -> Any:
        return unpack(self.kind, self.data[account])

    def __contains__(self, account: object) -> bool:
        return account in self.data

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


@lru_cache(maxsize=256)
def _packer(kind: Any) -> Pack:
    origin, args = get_origin(kind), get_args(kind)
    if kind is int:
        return lambda value: value if -_SMALL <= value < _SMALL else hex(value)
    if kind is bytes:
        return bytes.hex
    if kind in (str, bool, type(None)):
        return lambda value: value
    if origin in (Union, types.UnionType):
        inner = _packer(_only(args))
        return lambda value: None if value is None else [inner(value)]
    if origin is tuple:
        each = _packer(_same(args))
        return lambda value: [each(one) for one in value]
    if origin is frozenset:
        each = _packer(args[0])
        return lambda value: sorted(each(one) for one in value)
    if origin is not None and issubclass(origin, Mapping):
        key, item = _packer(args[0]), _packer(args[1])
        return lambda value: [[key(at), item(value[at])] for at in sorted(value)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value: value.value
    fields = [(one.name, _packer(hint)) for one, hint in _fields(kind)]
    return lambda value: [inner(getattr(value, name)) for name, inner in fields]


@lru_cache(maxsize=256)
def _unpacker(kind: Any) -> Pack:
    origin, args = get_origin(kind), get_args(kind)
    if kind is int:
        return _integer
    if kind is bytes:
        return bytes.fromhex
    if kind in (str, bool, type(None)):
        return lambda plain: _of(kind, plain)
    if origin in (Union, types.UnionType):
        inner = _unpacker(_only(args))
        return lambda plain: None if plain is None else inner(plain[0])
    if origin in (tuple, frozenset):
        each = _unpacker(_same(args) if origin is tuple else args[0])
        return lambda plain: origin(each(one) for one in plain)
    if origin is not None and issubclass(origin, Mapping):
        key, item = _unpacker(args[0]), _unpacker(args[1])
        return lambda plain: {key(at): item(value) for at, value in plain}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    fields = [_unpacker(hint) for _, hint in _fields(kind)]
    names = [one.name for one, _ in _fields(kind)]
    return lambda plain: kind(
        **{name: inner(one) for name, inner, one in zip(names, fields, plain, strict=True)},
    )


def _fields(kind: Any) -> list[tuple["dataclasses.Field[Any]", Any]]:
    if not dataclasses.is_dataclass(kind):
        raise TypeError(f"{kind} cannot be packed")
    hints = typing.get_type_hints(kind)
    return [(one, hints[one.name]) for one in dataclasses.fields(kind)]


def _only(args: tuple[Any, ...]) -> Any:
    rest = [arg for arg in args if arg is not type(None)]
    if len(rest) != 1:
        raise TypeError(f"one of several types cannot be packed: {args}")
    return rest[0]


def _same(args: tuple[Any, ...]) -> Any:
    kinds = {arg for arg in args if arg is not Ellipsis}
    if len(kinds) != 1:
        raise TypeError(f"a tuple of several types cannot be packed: {args}")
    return kinds.pop()


def _integer(plain: Any) -> int:
    if isinstance(plain, str):
        return int(plain, 16)
    return int(_of(int, plain))


def _of(kind: type, plain: Any) -> Any:
    if type(plain) is not kind:
        raise TypeError(f"{plain!r} where {kind.__name__} was expected")
    return plain
