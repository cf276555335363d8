"""Recursive Length Prefix: encoding of headers, and strict decoding of what proofs are made of.

Source: Ethereum yellow paper, appendix B. Fields of headers arrive as hex text, so they are encoded as hex text: one
`bytes.fromhex` for a whole header costs a quarter of one for each field. Decoding takes bytes, and nothing that an
encoder would have written otherwise: each value has one encoding, and any other one was not hashed by a client.
"""

_STRING = 0x80
_LIST = 0xC0
_SHORT = 55


def prefix(length: int, offset: int = _STRING) -> str:
    """Return, in hex, what precedes a payload of `length` bytes (not that of a single byte below 0x80)."""
    if length <= _SHORT:
        return f"{offset + length:02x}"
    size = (length.bit_length() + 7) // 8
    return f"{offset + _SHORT + size:02x}{length:0{2 * size}x}"


def string(digits: str) -> str:
    """Encode a byte string given as hex digits (an even number of them); in hex."""
    if len(digits) == 2 and digits < "80":  # noqa: PLR2004 - one byte, its own encoding
        return digits
    return prefix(len(digits) // 2) + digits


def integer(digits: str) -> str:
    """Encode an integer given as hex digits without leading zeros, "0" for zero; in hex."""
    if digits == "0":
        return "80"
    return string(digits if len(digits) % 2 == 0 else "0" + digits)


def listed(payload: str) -> str:
    """Wrap the concatenated encodings of a list's items; in hex."""
    return prefix(len(payload) // 2, _LIST) + payload


# -- decoding


class RlpError(ValueError):
    """Bytes that no encoder writes."""


class Nested(bytes):
    """An item of a list that is a list itself, as it is encoded."""

    __slots__ = ()


def items(data: bytes) -> list[bytes]:
    """Return the items of an encoded list: the payload of each string, each list as `Nested`.

    Raises RlpError unless `data` is one list in its shortest encoding with nothing behind it. What is inside of a
    nested list is not looked at.
    """
    at, end = _payload(data, 0, len(data))
    if data[0] < _LIST:
        raise RlpError("a string where a list belongs")
    if end != len(data):
        raise RlpError(f"{len(data) - end} bytes follow the list")
    found: list[bytes] = []
    while at < end:
        first, start = data[at], at
        at, stop = _payload(data, at, end)
        found.append(data[at:stop] if first < _LIST else Nested(data[start:stop]))
        at = stop
    return found


def text(data: bytes) -> bytes:
    """Return the payload of one encoded string. Raises RlpError for anything else, and for a longer encoding of it."""
    at, end = _payload(data, 0, len(data))
    if data[0] >= _LIST:
        raise RlpError("a list where a string belongs")
    if end != len(data):
        raise RlpError(f"{len(data) - end} bytes follow the string")
    return data[at:end]


def number(payload: bytes, most: int = 32) -> int:
    """Return the unsigned integer of a payload of at most `most` bytes. Raises RlpError for a leading zero."""
    if len(payload) > most:
        raise RlpError(f"an integer of {len(payload)} bytes")
    if payload[:1] == b"\0":
        raise RlpError("an integer with a leading zero")
    return int.from_bytes(payload)


def _payload(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the payload of the item at `at` begins and ends, which is not behind `end`."""
    if at >= end:
        raise RlpError("nothing where an item belongs")
    first = data[at]
    if first < _STRING:
        return at, at + 1
    offset = _STRING if first < _LIST else _LIST
    size = first - offset
    start = at + 1
    if size > _SHORT:
        start, size = _long(data, start, size - _SHORT, end)
    if start + size > end:
        raise RlpError(f"an item of {size} bytes where {end - start} are left")
    if offset == _STRING and size == 1 and data[start] < _STRING:
        raise RlpError("a byte below 0x80 with a prefix")
    return start, start + size


def _long(data: bytes, at: int, width: int, end: int) -> tuple[int, int]:
    """Return where a payload begins whose length is written in `width` bytes, and that length."""
    if at + width > end:
        raise RlpError("a length that is cut off")
    size = int.from_bytes(data[at : at + width])
    if data[at] == 0 or size <= _SHORT:
        raise RlpError("a length in a longer form than it needs")
    return at + width, size
