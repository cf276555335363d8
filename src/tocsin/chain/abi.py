"""The contract ABI: types, values as bytes and back, function signatures.

Bytes come from contracts whose code may be anything, over nodes that may say anything. Taken is only what an encoder
writes: parts one behind the other in their order, nothing between, nothing behind, nothing in the padding. So offsets
can't point outside, at each other or back, every byte is read once, and there is one value to an encoding and one
encoding to a value.

Values are int, bool, bytes (addresses too), str, and tuples of them for arrays and tuples.

Source: the contract ABI specification (docs.soliditylang.org).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.chain.keccak import keccak256

_WORD: Final = 32
_ADDRESS: Final = 20
_DEEPEST: Final = 16
"""Arrays and tuples inside of each other; no contract has so many."""
_LONGEST: Final = 4_096
"""Characters of a signature."""

Value = int | bool | bytes | str | tuple["Value", ...]


class AbiError(ValueError):
    """A type, a signature, a value or bytes that are none; the message says what and where."""


@dataclass(frozen=True, slots=True)
class Simple:
    """`uint`, `int` and `bytes` with a size (bits, or bytes), `address`, `bool`; `bytes` and `string` have size 0."""

    kind: str
    size: int = 0

    def __str__(self) -> str:
        return f"{self.kind}{self.size or ''}"


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type; `length` is None where the value itself says how many."""

    of: "Type"
    length: int | None = None

    def __str__(self) -> str:
        return f"{self.of}[{'' if self.length is None else self.length}]"


@dataclass(frozen=True, slots=True)
class Tuple:
    """Values of several types."""

    of: "tuple[Type, ...]"

    def __str__(self) -> str:
        return f"({','.join(map(str, self.of))})"


Type = Simple | Array | Tuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function: what it takes, and what it returns, None where that is not told."""

    name: str
    takes: Tuple
    returns: Tuple | None

    @property
    def selector(self) -> bytes:
        """The first four bytes of a call."""
        return keccak256(f"{self.name}{self.takes}".encode())[:4]


# -- types


def signature(text: str) -> Signature:
    """Return a function of its text, such as `balanceOf(address)(uint256)`. Raises AbiError."""
    if len(text) > _LONGEST:
        raise AbiError(f"a signature of {len(text)} characters")
    reader = _Reader(text)
    name = reader.word()
    if not name:
        raise AbiError(f"{text!r} does not begin with a function's name, as in balanceOf(address)(uint256)")
    if not reader.is_at("("):
        raise AbiError(f"{text!r} has no types of arguments behind {name!r}: write {name}() if it takes none")
    takes = reader.tuple_()
    reader.skip("returns", "view", "external", "public", "pure")
    returns = reader.tuple_() if reader.is_at("(") else None
    reader.end()
    return Signature(name=name, takes=takes, returns=returns)


class _Reader:
    """Reads types from a text, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def is_at(self, text: str) -> bool:
        self._blank()
        return self._text.startswith(text, self._at)

    def word(self) -> str:
        self._blank()
        found = _NAME.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found.group() if found else ""

    def skip(self, *words: str) -> None:
        before = self._at
        while self.word() in words:
            before = self._at
        self._at = before

    def end(self) -> None:
        self._blank()
        if self._at < len(self._text):
            raise AbiError(f"{self._text!r}: {self._text[self._at :]!r} is left over")

    def tuple_(self, depth: int = 0) -> Tuple:
        self._take("(")
        found: list[Type] = []
        if not self.is_at(")"):
            found.append(self.type_(depth + 1))
            while self.is_at(","):
                self._take(",")
                found.append(self.type_(depth + 1))
        self._take(")")
        return Tuple(tuple(found))

    def type_(self, depth: int) -> Type:
        if depth > _DEEPEST:
            raise AbiError(f"{self._text[:80]!r}: more than {_DEEPEST} arrays and tuples inside of each other")
        word = self.word()
        found: Type
        if word in ("tuple", "") and self.is_at("("):
            found = self.tuple_(depth)
            if not found.of:
                raise AbiError(f"{self._text!r}: an empty tuple")
        else:
            found = self._simple(word)
        while self.is_at("["):
            self._take("[")
            size = _DIGITS.match(self._text, self._at)
            self._at = size.end() if size else self._at
            self._take("]")
            if size and not int(size.group()):
                raise AbiError(f"{self._text!r}: an array of no length")
            found, depth = Array(found, int(size.group()) if size else None), depth + 1
            if depth > _DEEPEST:
                raise AbiError(f"{self._text[:80]!r}: more than {_DEEPEST} arrays and tuples inside of each other")
        # What is called how, and where it is kept, as in Solidity's own text.
        self.skip("memory", "calldata", "storage", "indexed", "payable")
        self.word()
        return found

    def _simple(self, word: str) -> Simple:
        match = _SIMPLE.fullmatch(word)
        kind, size = (match.group(1), match.group(2)) if match else ("", "")
        if kind in ("uint", "int"):
            bits = int(size or 256)
            if 0 < bits <= 256 and bits % 8 == 0:  # noqa: PLR2004 - bits of a word
                return Simple(kind, bits)
        elif kind == "bytes" and (not size or 0 < int(size) <= _WORD):
            return Simple(kind, int(size or 0))
        elif kind in ("address", "bool", "string") and not size:
            return Simple(kind)
        near = f" (did you mean {_NEAR[word]}?)" if word in _NEAR else ""
        raise AbiError(f"{self._text!r}: {word or self._text[self._at : self._at + 8]!r} is no type{near}")

    def _take(self, text: str) -> None:
        if not self.is_at(text):
            rest = self._text[self._at : self._at + 12]
            raise AbiError(f"{self._text!r}: {text!r} is missing {f'before {rest!r}' if rest else 'at the end'}")
        self._at += len(text)

    def _blank(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1


_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_SIMPLE: Final = re.compile(r"([a-z]+?)([1-9][0-9]{0,2})?")
_NEAR: Final = {
    "byte": "bytes1",
    "boolean": "bool",
    "addr": "address",
    "str": "string",
    "integer": "int256",
    "number": "uint256",
    "unit": "uint",
    "unit256": "uint256",
    "uin256": "uint256",
    "uint265": "uint256",
    "adress": "address",
}


def is_dynamic(of: Type) -> bool:
    """Tell whether how long a value of a type is depends on the value."""
    match of:
        case Simple(kind=kind, size=size):
            return kind == "string" or (kind == "bytes" and not size)
        case Array(of=inner, length=length):
            return length is None or is_dynamic(inner)
        case Tuple(of=inner_types):
            return any(map(is_dynamic, inner_types))


def _size(of: Type) -> int:
    """Return how many bytes a value takes where it stands: all of it, or an offset."""
    if is_dynamic(of):
        return _WORD
    match of:
        case Array(of=inner, length=length):
            return (length or 0) * _size(inner)
        case Tuple(of=inner_types):
            return sum(map(_size, inner_types))
        case _:
            return _WORD


# -- values to bytes


def encode(of: Type, value: Value) -> bytes:
    """Return a value as bytes; of a tuple its parts, as they stand behind a selector. Raises AbiError."""
    match of, value:
        case Tuple(of=inner), tuple() if len(inner) == len(value):
            return _parts(inner, value)
        case Array(of=one, length=length), tuple() if length in (None, len(value)):
            count = b"" if length is not None else _number(len(value))
            return count + _parts((one,) * len(value), value)
        case Simple(), _:
            return _encoded(of, value)
    raise AbiError(f"no value of {of}")


def _parts(types: Sequence[Type], values: Sequence[Value]) -> bytes:
    offset, heads, tails = sum(map(_size, types)), [], []
    for one, value in zip(types, values, strict=True):
        data = encode(one, value)
        if is_dynamic(one):
            heads.append(_number(offset))
            tails.append(data)
            offset += len(data)
        else:
            heads.append(data)
    return b"".join((*heads, *tails))


def _encoded(of: Simple, value: Value) -> bytes:
    match of.kind, value:
        case "bool", bool():
            return _number(int(value))
        case "uint", int() if type(value) is int and 0 <= value < 1 << of.size:
            return _number(value)
        case "int", int() if type(value) is int and -(1 << of.size - 1) <= value < 1 << of.size - 1:
            return _number(value % (1 << 256))
        case "address", bytes() if len(value) == _ADDRESS:
            return value.rjust(_WORD, b"\0")
        case "bytes", bytes() if of.size in (0, len(value)):
            padded = value + bytes(-len(value) % _WORD)
            return padded if of.size else _number(len(value)) + padded
        case "string", str():
            try:
                data = value.encode()
            except UnicodeEncodeError:
                raise AbiError("a string that is no text") from None
            return _number(len(data)) + data + bytes(-len(data) % _WORD)
    raise AbiError(f"no value of {of}")


def _number(value: int) -> bytes:
    return value.to_bytes(_WORD)


# -- bytes to values


def decode(of: Type, data: bytes) -> Value:
    """Return the value that bytes are of, if an encoder writes them so. Raises AbiError."""
    value, end = _decoded(of, data, 0)
    if end != len(data):
        raise AbiError(f"{len(data)} bytes, where a value of {of} ends after {end}")
    return value


def _decoded(of: Type, data: bytes, at: int) -> tuple[Value, int]:
    """Return the value that begins at a place, and where it ends."""
    match of:
        case Tuple(of=inner):
            return _taken(inner, data, at)
        case Array(of=one, length=None):
            count = _read(data, at)
            # Before anything is made of the length: every value takes a word at least.
            if count > (len(data) - at - _WORD) // _WORD:
                raise AbiError(f"an array of {count} values, in {len(data)} bytes")
            return _taken((one,) * count, data, at + _WORD)
        case Array(of=one, length=length):
            if (length or 0) * _size(one) > len(data) - at:
                raise AbiError(f"{len(data)} bytes are too few for {of}")
            return _taken((one,) * (length or 0), data, at)
        case Simple(kind="bytes" | "string", size=0):
            return _text(of, data, at)
        case Simple():
            return _word(of, data, at), at + _WORD


def _taken(types: Sequence[Type], data: bytes, begin: int) -> tuple[tuple[Value, ...], int]:
    """Return values that stand together: each in its place, or where its offset says, which is behind the others."""
    end = begin + sum(map(_size, types))
    at, values = begin, []
    for one in types:
        if not is_dynamic(one):
            value, at = _decoded(one, data, at)
            values.append(value)
            continue
        offset = _read(data, at)
        if begin + offset != end:
            raise AbiError(f"an offset of {offset} at byte {at}, where {end - begin} is right")
        value, end = _decoded(one, data, end)
        values.append(value)
        at += _WORD
    return tuple(values), end


def _word(of: Simple, data: bytes, at: int) -> Value:
    if of.kind == "bytes":
        word = _bytes(data, at, _WORD)
        if any(word[of.size :]):
            raise AbiError(f"more than zeros behind a value of {of} at byte {at}")
        return word[: of.size]
    number = _read(data, at)
    if of.kind == "int":
        number -= (number >> 255) << 256
        if -(1 << of.size - 1) <= number < 1 << of.size - 1:
            return number
    elif number < 1 << {"uint": of.size, "address": 8 * _ADDRESS, "bool": 1}[of.kind]:
        return bool(number) if of.kind == "bool" else number if of.kind == "uint" else number.to_bytes(_ADDRESS)
    raise AbiError(f"no value of {of} at byte {at}")


def _text(of: Simple, data: bytes, at: int) -> tuple[Value, int]:
    length = _read(data, at)
    if length > len(data) - at - _WORD:
        raise AbiError(f"{of} of {length} bytes, in {len(data)}")
    begin, end = at + _WORD, at + _WORD + length
    padded = end + -length % _WORD
    if any(_bytes(data, end, padded - end)):
        raise AbiError(f"more than zeros behind {of} at byte {at}")
    found = data[begin:end]
    if of.kind == "bytes":
        return found, padded
    try:
        return found.decode(), padded
    except UnicodeDecodeError:
        raise AbiError(f"a string at byte {at} that is no text") from None


def _read(data: bytes, at: int) -> int:
    return int.from_bytes(_bytes(data, at, _WORD))


def _bytes(data: bytes, at: int, count: int) -> bytes:
    found = data[at : at + count]
    if len(found) != count:
        raise AbiError(f"{len(data)} bytes, where {at + count} are needed")
    return found


# -- addresses


def checksummed(text: str) -> str:
    """Return an address of 0x and 40 lower-case digits with its checksum (EIP-55)."""
    digest = keccak256(text[2:].encode()).hex()
    return (
        "0x"
        + "".join(
            char.upper() if int(nibble, 16) >= 8 else char  # noqa: PLR2004 - EIP-55
            for char, nibble in zip(text[2:], digest, strict=False)
        )
    )
