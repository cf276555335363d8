"""Exporting a span of the journal as one self-contained recording."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path

from tocsin.errors import StoreError
from tocsin.store import files, journal
from tocsin.store.database import NAME, connect_existing
from tocsin.store.recording import RecordingWriter, read_recording
from tocsin.store.rows import read_entries, read_snapshot, sound_until
from tocsin.store.section import Stamp
from tocsin.store.values import Entry, Exported, Gap, Record, SegmentInfo, SnapshotAt

_UNREADABLE = "the segment that held them cannot be read"


def export_recording(db_path: Path, folder: Path, target: Path, *, from_wall_ns: int, to_wall_ns: int) -> Exported:
    """Write the events of a span, from the newest snapshot before it on, to a new file.

    Raises StoreError when nothing of the span is in the journal, or the file exists or cannot be written.
    """
    with closing(connect_existing(db_path)) as db:
        db.execute("BEGIN")  # One view of the database for the whole export, whatever is sealed meanwhile.
        chosen = _chosen(journal.segments(db), from_wall_ns, to_wall_ns)
        if not chosen:
            raise StoreError("the journal holds nothing of this span of time")
        out = RecordingWriter(target, origin=chosen[0].origin)
        try:
            with out:
                return _Export(db, folder, out, to_wall_ns).run(chosen)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def export_at_rest(state_dir: Path, target: Path, *, from_wall_ns: int, to_wall_ns: int) -> Exported:
    """Do the same in a state directory that no daemon uses. Raises StoreError."""
    path = state_dir / NAME
    try:
        return export_recording(
            path, state_dir / files.FOLDER, target, from_wall_ns=from_wall_ns, to_wall_ns=to_wall_ns
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read: {error}; see [watchdog] state_dir") from error


def _chosen(known: list[SegmentInfo], from_wall_ns: int, to_wall_ns: int) -> list[SegmentInfo]:
    """Return the segments from the newest one that starts at or before `from` to the last that starts by `to`."""
    starts = [at for at, info in enumerate(known) if info.first_wall_ns <= from_wall_ns]
    first = starts[-1] if starts else 0
    return [info for info in known[first:] if info.first_wall_ns <= to_wall_ns]


class _Export:
    def __init__(self, db: sqlite3.Connection, folder: Path, out: RecordingWriter, to_wall_ns: int) -> None:
        self._db = db
        self._folder = folder
        self._out = out
        self._to = to_wall_ns
        self._gaps: list[Gap] = []
        self._events = 0
        self._next: int | None = None

    def run(self, chosen: list[SegmentInfo]) -> Exported:
        first = chosen[0].first_event
        for info in chosen:
            try:
                snapshot, entries = self._read(info)
            except StoreError:
                # Recorded as a gap by whatever section follows, or here when none does.
                continue
            self._segment(info, snapshot, entries)
        last = self._next - 1 if self._next is not None else first - 1
        if chosen[-1].first_event > last + 1 or self._next is None:
            self._miss(last + 1, chosen[-1].last_event)
        return Exported(first_event=first, last_event=last, events=self._events, gaps=tuple(self._gaps))

    def _segment(self, info: SegmentInfo, snapshot: SnapshotAt | None, entries: Iterator[Entry]) -> None:
        gap = info.gap
        if self._next is not None and info.first_event > self._next and gap is None:
            gap = Gap(first_event=self._next, last_event=info.first_event - 1, reason=_UNREADABLE)
        if gap is not None and self._next is not None:
            self._gaps.append(gap)
        self._out.begin(
            first_event=info.first_event,
            wall_ns=info.first_wall_ns,
            snapshot=snapshot,
            origin=info.origin,
            segment=info.number,
            gap=gap if self._next is not None else None,
        )
        self._next = info.first_event
        for stamp, same in groupby(entries, key=_stamp):
            self._write(stamp, list(same))

    def _write(self, stamp: tuple[int, int, int], entries: list[Entry]) -> None:
        records = [Record(event_no=entry.event_no, data=entry.data, bodies=entry.bodies) for entry in entries]
        self._out.write(Stamp(entries[0].event_no, *stamp), records)
        self._events += len(records)
        self._next = entries[-1].event_no + 1

    def _read(self, info: SegmentInfo) -> tuple[SnapshotAt | None, Iterator[Entry]]:
        if info.state == "sealed":
            recording = read_recording(files.file_of(self._folder, info.number))
            return recording.snapshot, self._until(recording.entries())
        snapshot = read_snapshot(self._db, info.number)
        return snapshot, self._until(read_entries(self._db, info, sound_until(self._db, info)))

    def _until(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        return (entry for entry in entries if entry.wall_ns <= self._to)

    def _miss(self, first: int, last: int) -> None:
        self._gaps.append(Gap(first_event=first, last_event=last, reason=_UNREADABLE))


def _stamp(entry: Entry) -> tuple[int, int, int]:
    return entry.t_ns, entry.wall_ns, entry.effect_no
