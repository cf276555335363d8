"""Frozen dataclasses to canonical JSON and back: for the journal, snapshots and recordings.

One mechanism for all of them, driven by the type hints: fields by name, fields at their default left out, unions
tagged by class name, bytes stored apart under their digest (`blobs`). Equal values give equal bytes: keys and sets are
sorted, floats do not occur. What cannot be read raises `CorruptRecord` with the place.
"""

import dataclasses
import functools
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin

import orjson

from tocsin.errors import CorruptRecord
from tocsin.ids import digest

T = TypeVar("T")
Blobs = dict[str, bytes]
Dump = Callable[[Any, Blobs], Any]
Load = Callable[[Any, Mapping[str, bytes]], Any]

_INLINE = 128
"""Results up to this size are kept in the record itself: a digest would be half as long."""
_TAG = "_"
_SCALARS = (int, str, bool, type(None))

MOST_VALUES = 2_000_000
"""In one record or snapshot. A node takes about 250 in a snapshot, so this is thousands of nodes; a file of a few
kilobytes can unpack to sixty million, which would take minutes and gigabytes before anything is seen to be wrong."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)', re.DOTALL)
"""Of JSON, an unfinished one included, so that each byte is looked at once."""

_LARGEST_CACHED = 1 << 16
"""Larger bodies are hashed each time: kept by the hundreds, they would fill the memory."""

_cached_digest_of = functools.lru_cache(maxsize=512)(digest)


class Codec:
    """Encoders and decoders for one family of values; `tagged` are the classes that may stand for `object`.

    Those are told apart by their names: ValueError is raised where two have the same.
    """

    def __init__(self, *tagged: type) -> None:
        self._tagged = {cls.__name__: cls for cls in tagged}
        if twice := sorted({cls.__name__ for cls in tagged if self._tagged[cls.__name__] is not cls}):
            raise ValueError(f"two classes are called {twice[0]}: what one has written the other would read")
        self._dumps: dict[Any, Dump] = {}
        self._loads: dict[Any, Load] = {}

    def prepare(self, *kinds: Any) -> None:
        """Make the encoders of some types, and of whatever may stand for `object`."""
        for kind in (*kinds, *self._tagged.values()):
            self._dump(kind)

    def encode(self, kind: Any, value: object, blobs: Blobs, *, pieces: int = 0) -> bytes:
        """Return canonical JSON of a value of type `kind`; large byte strings go to `blobs` under their digest.

        So many levels of objects are written in `pieces`, between which other threads have a turn.
        """
        plain = self._dump(kind)(value, blobs)
        try:
            return _written(plain, pieces)
        except TypeError:
            # A number of more than 64 bits: what is worked out from a node's numbers may have more than they have.
            return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def decode(self, kind: type[T] | Any, data: bytes, blobs: Mapping[str, bytes]) -> T:
        """Return the value that `encode` was given. Raises CorruptRecord."""
        check_size(data)
        try:
            value: T = self._read(kind, data, blobs)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            raise CorruptRecord(f"a record cannot be read: {type(error).__name__}: {error}") from error
        return value

    def _read(self, kind: Any, data: bytes, blobs: Mapping[str, bytes]) -> Any:
        plain, load = orjson.loads(data), self._load(kind)
        try:
            return load(plain, blobs)
        except TypeError:
            # orjson makes a float of a number of more than 64 bits, and no field is one.
            return load(json.loads(data), blobs)

    def _dump(self, kind: Any) -> Dump:
        found = self._dumps.get(kind)
        if found is None:
            # Registered before it is built: a type may contain itself.
            self._dumps[kind] = lambda value, blobs: self._dumps[kind](value, blobs)  # noqa: PLW0108 - late bound
            found = self._dumps[kind] = self._build_dump(kind)
        return found

    def _load(self, kind: Any) -> Load:
        found = self._loads.get(kind)
        if found is None:
            self._loads[kind] = lambda plain, blobs: self._loads[kind](plain, blobs)  # noqa: PLW0108 - late bound
            found = self._loads[kind] = self._build_load(kind)
        return found

    def _build_dump(self, kind: Any) -> Dump:
        kind, origin, args = _shape(kind)
        if kind in _SCALARS:
            return lambda value, _: value
        if kind is bytes:
            return _dump_bytes
        if kind is object:
            return self._dump_object
        if origin in (Union, types.UnionType):
            return self._dump_union(args)
        if origin is tuple:
            return self._dump_tuple(args)
        if origin is frozenset:
            return lambda value, _: sorted(value)
        if origin is not None and issubclass(origin, Mapping):
            if _is_plain(args[1]):
                return lambda value, _: dict(value)
            item = self._dump(args[1])
            return lambda value, blobs: {key: item(value[key], blobs) for key in value}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return lambda value, _: value.value
        return self._dump_dataclass(kind)

    def _build_load(self, kind: Any) -> Load:
        kind, origin, args = _shape(kind)
        if kind in _SCALARS:
            return _load_scalar(kind)
        if kind is bytes:
            return _load_bytes
        if kind is object:
            return self._load_object
        if origin in (Union, types.UnionType):
            return self._load_union(args)
        if origin is tuple:
            return self._load_tuple(args)
        if origin is frozenset:
            load_all = self._load_tuple((args[0], Ellipsis))
            return lambda plain, blobs: frozenset(load_all(plain, blobs))
        if origin is not None and issubclass(origin, Mapping):
            item = self._load(args[1])
            return lambda plain, blobs: {key: item(value, blobs) for key, value in plain.items()}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return lambda plain, _: kind(plain)
        return self._load_dataclass(kind)

    def _dump_dataclass(self, kind: Any) -> Dump:
        hints = typing.get_type_hints(kind)
        fields = [(f.name, self._dump(hints[f.name]), _default(f)) for f in dataclasses.fields(kind)]

        def dump(value: Any, blobs: Blobs) -> dict[str, Any]:
            plain = {}
            for name, item, default in fields:
                current = getattr(value, name)
                if current is not default and current != default:
                    plain[name] = item(current, blobs)
            return plain

        return dump

    def _load_dataclass(self, kind: Any) -> Load:
        hints = typing.get_type_hints(kind)
        fields = {f.name: self._load(hints[f.name]) for f in dataclasses.fields(kind)}
        scalars = {f.name: hints[f.name] for f in dataclasses.fields(kind) if hints[f.name] in _SCALARS}

        def load(plain: Any, blobs: Mapping[str, bytes]) -> Any:
            values = {}
            for name, item in plain.items():
                if scalars.get(name) is type(item):  # most of them, and each saves a call
                    values[name] = item
                elif name != _TAG:
                    values[name] = fields[name](item, blobs)
            return kind(**values)

        return load

    def _dump_union(self, args: tuple[Any, ...]) -> Dump:
        variants = {arg: self._dump(arg) for arg in args if _is_class(arg)}
        rest = [arg for arg in args if arg not in variants and arg is not type(None)]
        if len(variants) + bool(rest) == 1:
            only = self._dump(rest[0]) if rest else next(iter(variants.values()))
            return lambda value, blobs: None if value is None else only(value, blobs)

        def dump(value: Any, blobs: Blobs) -> Any:
            if value is None:
                return None
            kind = type(value)
            return {_TAG: kind.__name__} | variants[kind](value, blobs)

        return dump

    def _load_union(self, args: tuple[Any, ...]) -> Load:
        variants = {str(arg.__name__): self._load(arg) for arg in args if _is_class(arg)}
        rest = [arg for arg in args if not _is_class(arg) and arg is not type(None)]
        if len(variants) + bool(rest) == 1:
            load = self._load(rest[0]) if rest else next(iter(variants.values()))
        else:

            def load(plain: Any, blobs: Mapping[str, bytes]) -> Any:
                return variants[plain[_TAG]](plain, blobs)

        return (lambda plain, blobs: None if plain is None else load(plain, blobs)) if type(None) in args else load

    def _dump_tuple(self, args: tuple[Any, ...]) -> Dump:
        if all(map(_is_plain, args)):
            return lambda value, _: value
        if args[-1] is Ellipsis:
            item = self._dump(args[0])
            return lambda value, blobs: [item(each, blobs) for each in value]
        items = [self._dump(arg) for arg in args]
        return lambda value, blobs: [item(each, blobs) for item, each in zip(items, value, strict=True)]

    def _load_tuple(self, args: tuple[Any, ...]) -> Load:
        if args[-1] is Ellipsis:
            item = self._load(args[0])
            return lambda plain, blobs: tuple([item(each, blobs) for each in plain])
        items = [self._load(arg) for arg in args]
        return lambda plain, blobs: tuple([item(each, blobs) for item, each in zip(items, plain, strict=True)])

    def _dump_object(self, value: Any, blobs: Blobs) -> Any:
        name = type(value).__name__
        if name in self._tagged:
            plain: dict[str, Any] = self._dump(type(value))(value, blobs)
            return {_TAG: name} | plain
        if isinstance(value, tuple | list):
            return [self._dump_object(item, blobs) for item in value]
        if isinstance(value, Mapping):
            return {key: self._dump_object(item, blobs) for key, item in value.items()}
        return value

    def _load_object(self, plain: Any, blobs: Mapping[str, bytes]) -> Any:
        if isinstance(plain, dict):
            if _TAG in plain:
                return self._load(self._tagged[plain[_TAG]])(plain, blobs)
            return {key: self._load_object(item, blobs) for key, item in plain.items()}
        if isinstance(plain, list):
            return [self._load_object(item, blobs) for item in plain]
        return plain


def _written(plain: Any, pieces: int) -> bytes:
    if not pieces or not isinstance(plain, dict):
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    items = [orjson.dumps(key) + b":" + _written(plain[key], pieces - 1) for key in sorted(plain)]
    return b"{" + b",".join(items) + b"}"


def _is_plain(kind: Any) -> bool:
    """Tell whether values of a type are JSON as they are: scalars, and tuples of nothing else."""
    kind, origin, args = _shape(kind)
    return kind in _SCALARS or kind is Ellipsis or (origin is tuple and all(map(_is_plain, args)))


def check_size(data: bytes) -> None:
    """Raise CorruptRecord when JSON may hold more values than anything of ours, before they are made."""
    if len(data) <= MOST_VALUES or _values_in(data) <= MOST_VALUES:
        return
    values = _values_in(_STRING.sub(b"", data))
    if values > MOST_VALUES:
        raise CorruptRecord(f"a record of {values} values: at most {MOST_VALUES} are read; no daemon writes such a one")


def _values_in(data: bytes) -> int:
    """Count at least as many as there are: each value but the first stands behind one of these signs."""
    return 1 + sum(data.count(sign) for sign in (b",", b"[", b"{"))


def _shape(kind: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    return kind, get_origin(kind), get_args(kind)


def _is_class(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind)


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING


def _load_scalar(kind: Any) -> Load:
    def load(plain: Any, _: Mapping[str, bytes]) -> Any:
        if type(plain) is not kind:
            raise TypeError(f"{plain!r} where {kind.__name__} was expected")
        return plain

    return load


def _dump_bytes(value: bytes, blobs: Blobs) -> str:
    if len(value) <= _INLINE:
        try:
            return "=" + value.decode()
        except UnicodeDecodeError:
            pass
    name = _cached_digest_of(value) if len(value) <= _LARGEST_CACHED else digest(value)
    blobs[name] = value
    return "#" + name


def _load_bytes(plain: str, blobs: Mapping[str, bytes]) -> bytes:
    return plain[1:].encode() if plain[0] == "=" else blobs[plain[1:]]
