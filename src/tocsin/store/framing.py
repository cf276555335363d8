"""Records of a group as one run of bytes: the same in the database and in a segment file.

A record is its length, the number of bodies that it refers to, their numbers within the segment, and its data.
A number takes 4 bytes in the database where a digest takes 16; compressed, in a file, they cost the same.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence

_HEAD = struct.Struct(">IH")

Packed = tuple[bytes, tuple[int, ...]]
"""Data, and the numbers of the bodies that it refers to."""


def pack_records(records: Iterable[tuple[bytes, Sequence[int]]]) -> bytes:
    """Return the records one after another."""
    out = bytearray()
    for data, numbers in records:
        out += _HEAD.pack(len(data), len(numbers))
        out += struct.pack(f">{len(numbers)}I", *numbers)
        out += data
    return bytes(out)


def unpack_records(blob: bytes) -> Iterator[Packed]:
    """Yield what `pack_records` wrote. Raises ValueError when the bytes do not add up."""
    at, end = 0, len(blob)
    while at < end:
        if at + _HEAD.size > end:
            raise ValueError(f"a group of records ends inside a head at byte {at} of {end}")
        length, count = _HEAD.unpack_from(blob, at)
        at += _HEAD.size
        if at + 4 * count + length > end:
            raise ValueError(f"a group of records ends inside a record at byte {at} of {end}")
        numbers = struct.unpack_from(f">{count}I", blob, at)
        at += 4 * count
        yield blob[at : at + length], numbers
        at += length
