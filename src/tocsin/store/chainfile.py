r"""The container of segment files and recordings: a header line, then frames under a running SHA-256.

    {"format": "tocsin-journal", ...}\n  SHA-256(seed, line)
    length (4, big-endian)  kind (1)  payload  SHA-256(previous, length, kind, payload)
    ...

Every digest covers everything before it in its section, so that any changed byte is found at the frame that holds
it. A file may hold several sections; the first one is seeded with zeros, each later one with the digest that
ended the one before. What a crash cut off is noticed by the missing end.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tocsin.errors import CorruptRecord, StoreError

FORMAT = "tocsin-journal"
DIGEST_SIZE = 32
MAX_HEADER = 1 << 16
MAX_FRAME = 1 << 28
"""Bytes of a frame's payload; a longer one is refused before it is read: a file may claim four gigabytes and have them,
as a hole that takes no room on the disk."""

PREFACE = b'{"format":"tocsin-incident"'
"""What a bundle begins with: one line about the recording behind it, see `tocsin.lab.bundle`."""
MAX_PREFACE = 1 << 28

_SEED = bytes(DIGEST_SIZE)
_FRAME = struct.Struct(">IB")
_OPENING = b'{"format":"' + FORMAT.encode() + b'"'


def _link(previous: bytes, *pieces: bytes) -> bytes:
    digest = hashlib.sha256(previous)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


class Torn(CorruptRecord):
    """The bytes end before the frame does: what a crash leaves behind, or a file cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame; `offset` is where it starts in the file."""

    kind: int
    payload: bytes
    offset: int


class FrameWriter:
    """Appends sections to a file that is open for writing; `offset` counts the bytes written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._chain = _SEED
        self.offset = 0

    def header(self, fields: Mapping[str, object]) -> None:
        """Begin a section."""
        line = json.dumps({"format": FORMAT, **fields}, separators=(",", ":")).encode() + b"\n"
        self._chain = _link(self._chain, line)
        self._put(line + self._chain)

    def frame(self, kind: int, payload: bytes) -> int:
        """Append a frame and return its offset."""
        offset = self.offset
        head = _FRAME.pack(len(payload), kind)
        self._chain = _link(self._chain, head, payload)
        self._put(head)
        self._put(payload)
        self._put(self._chain)
        return offset

    def sync(self) -> None:
        """Bring everything to the disk itself."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def flush(self) -> None:
        """Hand everything to the operating system: a killed process loses none of it."""
        self._file.flush()

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.offset += len(data)


class FrameReader:
    """Reads sections in order, one frame in memory at a time. Every problem names file and offset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self.size = os.fstat(self._file.fileno()).st_size
        self.offset = self._behind_preface()
        self._chain = _SEED

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _behind_preface(self) -> int:
        """Skip the line that makes a recording the bundle of an incident; return where the recording begins."""
        is_bundle = self._file.read(len(PREFACE)) == PREFACE
        self._file.seek(0)
        if not is_bundle:
            return 0
        line = self._file.readline(MAX_PREFACE)
        if not line.endswith(b"\n"):
            self._file.close()
            raise self._torn(0)
        if len(line) == self.size:
            self._file.close()
            raise StoreError(f"{self.path}: holds no recording: its time was no longer in the journal")
        return len(line)

    def at_end(self) -> bool:
        """Whether every byte was read."""
        return self.offset >= self.size

    def header(self) -> dict[str, object]:
        """Read the header line of a section. Raises Torn or CorruptRecord."""
        start = self.offset
        line = self._file.readline(MAX_HEADER)
        if not line.startswith(_OPENING[: len(line)]):
            raise self.corrupt(start, f"no {FORMAT} section begins here, as one does in a recording")
        if not line.endswith(b"\n"):
            raise self._torn(start) if len(line) < MAX_HEADER else self.corrupt(start, "endless header")
        self.offset += len(line)
        self._check(start, line)
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.corrupt(start, "the header is not JSON") from error
        if not isinstance(fields, dict):
            raise self.corrupt(start, "the header is not an object")
        return fields

    def frame(self) -> Frame:
        """Read the next frame. Raises Torn or CorruptRecord."""
        start = self.offset
        head = self._take(start, _FRAME.size)
        length, kind = _FRAME.unpack(head)
        if length > MAX_FRAME:
            raise self._torn(start) if self.offset + length > self.size else self.corrupt(start, "endless frame")
        payload = self._take(start, length)
        self._check(start, head, payload)
        return Frame(kind=kind, payload=payload, offset=start)

    def payload_at(self, offset: int) -> bytes:
        """Return the payload of a frame that was read and verified before."""
        head = os.pread(self._file.fileno(), _FRAME.size, offset)
        length, _ = _FRAME.unpack(head)
        return os.pread(self._file.fileno(), length, offset + _FRAME.size)

    def corrupt(self, offset: int, what: str) -> CorruptRecord:
        """Return the error for a problem at an offset of this file."""
        return CorruptRecord(f"{self.path}: byte {offset}: {what}")

    def _torn(self, offset: int) -> Torn:
        return Torn(f"{self.path}: byte {offset}: cut short; the file has {self.size} bytes")

    def _take(self, start: int, count: int) -> bytes:
        if self.offset + count > self.size:
            raise self._torn(start)
        data = self._file.read(count)
        self.offset += len(data)
        if len(data) != count:
            raise self._torn(start)
        return data

    def _check(self, start: int, *covered: bytes) -> None:
        digest = _link(self._chain, *covered)
        if self._take(start, DIGEST_SIZE) != digest:
            raise self.corrupt(start, f"checksum mismatch in the bytes from {start} to {self.offset}")
        self._chain = digest
