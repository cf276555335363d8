"""Recordings: the journal of a span of time in one self-contained file, written and read without a database.

A recording is one or more sections (see `tocsin.store.section`), each heading off with its own snapshot. Reading
verifies every checksum before the first entry is handed out, then streams.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tocsin.errors import CorruptRecord, StoreError, StoreFull
from tocsin.store.chainfile import FrameReader
from tocsin.store.framing import pack_records
from tocsin.store.header import VERSION, Header, read_header
from tocsin.store.section import End, SectionWriter, Stamp, read_pieces, skip_frame
from tocsin.store.space import is_out_of_space
from tocsin.store.values import MIB, Entry, Gap, Group, Origin, Record, Snapshot, SnapshotAt

SECTION_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How much of a file is sound: all of it, or the bytes before a problem and what the problem is."""

    bytes: int
    of_bytes: int
    problem: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.problem


Item = SnapshotAt | Entry | Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A verified recording. `header` and `snapshot` are those of its first section."""

    path: Path
    header: Header
    snapshot: SnapshotAt | None
    kept: Kept

    def items(self) -> Iterator[Item]:
        """Yield snapshots, entries and gaps in order. Raises CorruptRecord when the content makes no sense."""
        with FrameReader(self.path) as frames:
            expected: int | None = None
            while frames.offset < self.kept.bytes:
                header = read_header(frames)
                gap = _gap_before(header, expected)
                if gap is not None:
                    yield gap
                expected = header.first_event
                for piece in self._pieces(frames, header):
                    if isinstance(piece, Entry):
                        expected = piece.event_no + 1
                    yield piece

    def entries(self) -> Iterator[Entry]:
        """Yield the entries behind the first snapshot. Raises StoreError at a gap: state does not carry over it."""
        for item in self.items():
            if isinstance(item, Gap):
                raise StoreError(
                    f"{self.path}: events {item.first_event} to {item.last_event} were not recorded "
                    f"({item.reason}); what follows starts from a snapshot of its own"
                )
            if isinstance(item, Entry):
                yield item

    def _pieces(self, frames: FrameReader, header: Header) -> Iterator[SnapshotAt | Entry]:
        pieces = read_pieces(frames, header, until=self.kept.bytes)
        return (piece for piece in pieces if not isinstance(piece, End))


def read_recording(path: Path, *, prefix: bool = False) -> Recording:
    """Verify a recording or segment file and return it, ready to stream.

    With `prefix`, a file that was cut short or damaged is read up to the problem; `kept` says how far that is.
    Raises CorruptRecord naming file and offset, SchemaTooNew for a format to come, StoreError when there is no file.
    """
    try:
        with FrameReader(path) as frames:
            kept, problem, _ = _scan(frames)
            if problem is not None and not (prefix and kept.bytes):
                raise problem
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    with FrameReader(path) as frames:
        header = read_header(frames)
        first = next(read_pieces(frames, header, until=kept.bytes), None)
    snapshot = first if isinstance(first, SnapshotAt) else None
    return Recording(path=path, header=header, snapshot=snapshot, kept=kept)


def ending(path: Path) -> Stamp:
    """Return where the stream stood at the end of a file; zeros when that cannot be read."""
    try:
        with FrameReader(path) as frames:
            return _scan(frames)[2].stamp
    except (OSError, StoreError):
        return Stamp(0, 0, 0, 0)


class RecordingWriter:
    """Writes a recording; every flushed group survives a kill of the process, as the prefix of the file.

    Memory stays bounded when the caller answers `snapshot_wanted` with a group that carries a snapshot. Raises
    StoreError when the file exists or cannot be written, or when events come out of order.
    """

    def __init__(self, path: Path, *, origin: Origin, section_bytes: int = SECTION_BYTES) -> None:
        self._path = path
        self._origin = origin
        self._section_bytes = section_bytes
        self._file = _create(path)
        self._out = SectionWriter(self._file)
        self._numbers: dict[str, int] = {}
        self._segment = 0
        self._next: int | None = None
        self._raw = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    @property
    def snapshot_wanted(self) -> bool:
        """Whether the next group should carry a snapshot, to begin a new section."""
        return self._raw >= self._section_bytes

    @property
    def size(self) -> int:
        """Bytes in the file so far."""
        return self._out.size

    def append(self, group: Group) -> None:
        """Add the records of a group, and begin a new section at its snapshot."""
        if group.records:
            stamp = Stamp(group.records[0].event_no, group.t_ns, group.wall_ns, group.effect_no)
            if self._next is None:
                self.begin(first_event=stamp.event_no, wall_ns=group.wall_ns)
            self.write(stamp, group.records)
        if group.snapshot is not None:
            self.begin(
                first_event=group.snapshot.event_no + 1,
                wall_ns=group.wall_ns,
                snapshot=_placed(group.snapshot, group),
                origin=replace(self._origin, config_hash=group.snapshot.config_hash),
            )

    def begin(
        self,
        *,
        first_event: int,
        wall_ns: int,
        snapshot: SnapshotAt | None = None,
        origin: Origin | None = None,
        segment: int | None = None,
        gap: Gap | None = None,
    ) -> None:
        """End the section that is open and begin another one."""
        if self._next is not None:
            with _writing(self._path):
                self._out.end(last=False)
        self._segment = self._segment + 1 if segment is None else segment
        header = Header(
            version=VERSION,
            segment=self._segment,
            first_event=first_event,
            last_event=None,
            first_wall_ns=wall_ns,
            last_wall_ns=None,
            origin=origin or self._origin,
            gap=gap,
        )
        with _writing(self._path):
            self._out.begin(header, snapshot)
        self._numbers.clear()
        self._next = first_event
        self._raw = 0

    def write(self, stamp: Stamp, records: Sequence[Record]) -> None:
        """Add records to the open section; the first one has number `stamp.event_no`."""
        if stamp.event_no != self._next:
            raise StoreError(f"{self._path}: event {stamp.event_no} where {self._next} belongs")
        with _writing(self._path):
            packed = pack_records([(record.data, self._numbered(record)) for record in records])
            self._out.group(stamp, len(records), packed)
        self._raw += len(packed)
        self._next += len(records)

    def flush(self) -> None:
        """Hand everything to the operating system: a killed process loses none of it."""
        with _writing(self._path):
            self._out.flush()

    def close(self) -> None:
        """End the recording and bring it to the disk."""
        if self._file.closed:
            return
        try:
            with _writing(self._path):
                if self._next is not None:
                    self._out.end(last=True)
                self._out.flush()
                self._out.sync()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file without an end: it reads as cut short."""
        if self._file.closed:
            return
        with suppress(OSError):
            self._out.flush()
        with suppress(OSError):
            self._file.close()

    def _numbered(self, record: Record) -> list[int]:
        return [self._number(name, data) for name, data in record.bodies.items()]

    def _number(self, name: str, data: bytes) -> int:
        known = self._numbers.get(name)
        if known is None:
            known = self._numbers[name] = len(self._numbers)
            self._out.body(bytes.fromhex(name), data)
            self._raw += len(data)
        return known


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Name the file in what the system says about it."""
    try:
        yield
    except OSError as error:
        kind = StoreFull if is_out_of_space(error) else StoreError
        raise kind(f"{path}: cannot be written: {error.strerror}") from error


def _create(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileExistsError as error:
        raise StoreError(f"{path}: exists already; choose another name") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _placed(snapshot: Snapshot, group: Group) -> SnapshotAt:
    return SnapshotAt(
        event_no=snapshot.event_no,
        t_ns=group.t_ns,
        wall_ns=group.wall_ns,
        effect_no=group.effect_no,
        data=snapshot.data,
    )


def _gap_before(header: Header, expected: int | None) -> Gap | None:
    if header.gap is not None:
        return header.gap
    if expected is None or header.first_event == expected:
        return None
    reason = "these events are in no section of the file"
    return Gap(first_event=expected, last_event=header.first_event - 1, reason=reason)


def _scan(frames: FrameReader) -> tuple[Kept, CorruptRecord | None, End]:
    """Verify every checksum; return how far the file is sound, what ends it there, and its last end."""
    sound = 0
    end = End(stamp=Stamp(0, 0, 0, 0), events=0, last=False)
    try:
        while not end.last:
            read_header(frames)
            found = None
            while found is None:
                sound = frames.offset
                found = skip_frame(frames)
            end, sound = found, frames.offset
        if not frames.at_end():
            raise frames.corrupt(sound, "bytes follow the end")
    except CorruptRecord as error:
        return Kept(bytes=sound, of_bytes=frames.size, problem=str(error)), error, end
    return Kept(bytes=sound, of_bytes=frames.size), None, end
