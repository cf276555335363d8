"""One section of a segment file or recording: header, snapshot, chunks of bodies and groups, end.

Bodies and groups are compressed together, a chunk of raw bytes at a time, bodies first: what four clients answer for
one block differs in spelling only, and lies within zlib's window of 32 kB when it lies side by side.
"""

import json
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from typing import BinaryIO

from tocsin.store.bodies import BodyCache
from tocsin.store.chainfile import Frame, FrameReader, FrameWriter
from tocsin.store.framing import unpack_records
from tocsin.store.header import Header
from tocsin.store.values import Entry, SnapshotAt

CHUNK_BYTES = 512 * 1024
MOST_BODIES = 1 << 20
"""In a section: it ends at 64 MiB, and bodies of less than 128 bytes stand in the records."""
MAX_RAW = 1 << 28
"""What one chunk or snapshot may unpack to; larger ones are refused."""

_SNAPSHOT, _CHUNK, _END = 0x53, 0x43, 0x45  # S, C, E
_BODY, _GROUP = 1, 2
_ITEM = struct.Struct(">BI")
_STAMP = struct.Struct(">QqqQ")
_KEY = 16


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where in the stream something stands: first event number, engine and wall time, effect number."""

    event_no: int
    t_ns: int
    wall_ns: int
    effect_no: int


class SectionWriter:
    """Writes one section after another. Raises OSError as the file does."""

    def __init__(self, file: BinaryIO, *, level: int = 6) -> None:
        self._frames = FrameWriter(file)
        self._level = level
        self._bodies = bytearray()
        self._groups = bytearray()
        self._events = 0
        self._last = Stamp(0, 0, 0, 0)

    @property
    def size(self) -> int:
        """Bytes in the file so far."""
        return self._frames.offset

    def begin(self, header: Header, snapshot: SnapshotAt | None) -> None:
        """Write header and snapshot."""
        self._frames.header(header.fields())
        self._events = 0
        self._last = Stamp(header.first_event - 1, 0, header.first_wall_ns, 0)
        if snapshot is not None:
            stamp = Stamp(snapshot.event_no, snapshot.t_ns, snapshot.wall_ns, snapshot.effect_no)
            self._last = stamp
            self._frames.frame(_SNAPSHOT, zlib.compress(_packed(stamp) + snapshot.data, self._level))

    def body(self, key: bytes, data: bytes) -> None:
        """Add a body; bodies are numbered from 0 in the order in which they come."""
        self._bodies += _ITEM.pack(_BODY, _KEY + len(data)) + key + data
        self._spill()

    def group(self, stamp: Stamp, count: int, records: bytes) -> None:
        """Add a group of `count` records, the first of them number `stamp.event_no`."""
        self._groups += _ITEM.pack(_GROUP, _STAMP.size + len(records)) + _packed(stamp) + records
        self._events += count
        self._last = replace(stamp, event_no=stamp.event_no + count - 1)
        self._spill()

    def end(self, *, last: bool) -> None:
        """Close the section; `last` says that no other one follows."""
        self.flush()
        fields = {
            "last_event": self._last.event_no,
            "t_ns": self._last.t_ns,
            "wall_ns": self._last.wall_ns,
            "effect_no": self._last.effect_no,
            "events": self._events,
            "last": last,
        }
        self._frames.frame(_END, json.dumps(fields, separators=(",", ":")).encode())

    def flush(self) -> None:
        """Write what is buffered as a chunk and hand it to the operating system."""
        if self._bodies or self._groups:
            raw = bytes(self._bodies + self._groups)
            self._bodies.clear()
            self._groups.clear()
            self._frames.frame(_CHUNK, zlib.compress(raw, self._level))
        self._frames.flush()

    def sync(self) -> None:
        """Bring the file to the disk itself."""
        self._frames.sync()

    def _spill(self) -> None:
        if len(self._bodies) + len(self._groups) >= CHUNK_BYTES:
            self.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a section: where the stream stood, and whether another section follows."""

    stamp: Stamp
    events: int
    last: bool


Piece = SnapshotAt | Entry | End


def read_pieces(frames: FrameReader, header: Header, *, until: int) -> Iterator[Piece]:
    """Yield what a section holds, its `End` last; stop early at byte `until` of the file.

    Raises CorruptRecord. Memory stays bounded however long the section is.
    """
    bodies = _Bodies(frames)
    expected = header.first_event
    while frames.offset < until:
        frame = frames.frame()
        try:
            if frame.kind == _END:
                yield _end(frame.payload)
                return
            if frame.kind == _SNAPSHOT:
                yield _snapshot(frame.payload)
            elif frame.kind == _CHUNK:
                for entry in _chunk(frame, bodies):
                    if entry.event_no != expected:
                        raise frames.corrupt(frame.offset, f"event {entry.event_no} where {expected} belongs")
                    expected += 1
                    yield entry
            else:
                raise frames.corrupt(frame.offset, f"frame of unknown kind {frame.kind}")
        except (struct.error, zlib.error, ValueError, KeyError, TypeError) as error:
            raise frames.corrupt(frame.offset, f"unreadable frame: {error}") from error


def entry_of(stamp: Stamp, event_no: int, data: bytes, bodies: Mapping[str, bytes]) -> Entry:
    """Return one record of the group that `stamp` stands for."""
    return Entry(
        event_no=event_no,
        t_ns=stamp.t_ns,
        wall_ns=stamp.wall_ns,
        effect_no=stamp.effect_no,
        data=data,
        bodies=bodies,
    )


def skip_frame(frames: FrameReader) -> End | None:
    """Verify the checksum of the next frame without unpacking it; return the end when it is one."""
    frame = frames.frame()
    if frame.kind != _END:
        return None
    try:
        return _end(frame.payload)
    except (ValueError, KeyError, TypeError) as error:
        raise frames.corrupt(frame.offset, f"unreadable end: {error}") from error


class _Bodies:
    """The bodies of a section that was read up to here: where each one's chunk lies, and the recent ones."""

    def __init__(self, frames: FrameReader) -> None:
        self._frames = frames
        self._firsts: list[int] = []
        self._offsets: list[int] = []
        self._count = 0
        self.cache = BodyCache(self._reload)

    def chunk(self, offset: int) -> None:
        self._firsts.append(self._count)
        self._offsets.append(offset)

    def add(self, item: bytes) -> None:
        if self._count >= MOST_BODIES:
            raise ValueError(f"more than {MOST_BODIES} bodies in a section")
        self.cache.put(self._count, item[:_KEY].hex(), item[_KEY:])
        self._count += 1

    def _reload(self, number: int) -> tuple[str, bytes]:
        if not 0 <= number < self._count:
            raise ValueError(f"reference to body {number} of {self._count}")
        place = bisect_right(self._firsts, number) - 1
        raw = _unpacked(self._frames.payload_at(self._offsets[place]))
        bodies = (item for kind, item in _items(raw) if kind == _BODY)
        for at, item in enumerate(bodies, self._firsts[place]):
            if at == number:
                return item[:_KEY].hex(), item[_KEY:]
        raise ValueError(f"body {number} is not where it was")


def _chunk(frame: Frame, bodies: _Bodies) -> Iterator[Entry]:
    bodies.chunk(frame.offset)
    for kind, item in _items(_unpacked(frame.payload)):
        if kind == _BODY:
            bodies.add(item)
        elif kind == _GROUP:
            stamp = Stamp(*_STAMP.unpack_from(item))
            for number, (data, numbers) in enumerate(unpack_records(item[_STAMP.size :]), stamp.event_no):
                yield entry_of(stamp, number, data, bodies.cache.named(numbers))
        else:
            raise ValueError(f"item of unknown kind {kind}")


def _items(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(raw):
        kind, length = _ITEM.unpack_from(raw, at)
        at += _ITEM.size
        if at + length > len(raw):
            raise ValueError("an item is longer than its chunk")
        yield kind, raw[at : at + length]
        at += length


def _unpacked(payload: bytes) -> bytes:
    machine = zlib.decompressobj()
    raw = machine.decompress(payload, MAX_RAW)
    if not machine.eof:
        raise ValueError("a chunk is incomplete or unpacks to too much")
    return raw


def _packed(stamp: Stamp) -> bytes:
    return _STAMP.pack(*astuple(stamp))


def _snapshot(payload: bytes) -> SnapshotAt:
    raw = _unpacked(payload)
    event_no, t_ns, wall_ns, effect_no = _STAMP.unpack_from(raw)
    data = raw[_STAMP.size :]
    return SnapshotAt(event_no=event_no, t_ns=t_ns, wall_ns=wall_ns, effect_no=effect_no, data=data)


def _end(payload: bytes) -> End:
    fields = json.loads(payload)
    stamp = Stamp(*(int(fields[key]) for key in ("last_event", "t_ns", "wall_ns", "effect_no")))
    return End(stamp=stamp, events=int(fields["events"]), last=bool(fields["last"]))
