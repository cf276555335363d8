"""Where to go on from after a restart: the newest usable snapshot and every event behind it.

A snapshot that cannot be read costs only time: the one before it, with the longer tail, says the same.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tocsin.errors import StoreError
from tocsin.store import files, journal
from tocsin.store.recording import read_recording
from tocsin.store.rows import read_entries, read_snapshot, sound_until
from tocsin.store.values import Entry, Notice, NoticeKind, Origin, Position, SegmentInfo, SnapshotAt


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A segment of the tail, readable up to event `until`."""

    info: SegmentInfo
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to load and what to replay. `complete`: nothing is missing between the snapshot and the last event."""

    snapshot: SnapshotAt | None
    start: int
    """The event behind which the tail begins."""
    stretches: tuple[Stretch, ...]
    complete: bool
    origin: Origin

    @property
    def events(self) -> int:
        """How many events the tail has."""
        return sum(max(0, stretch.until - stretch.info.first_event + 1) for stretch in self.stretches)


def plan_recovery(
    db: sqlite3.Connection, folder: Path, *, position: Position, before: int | None, notices: list[Notice]
) -> Plan:
    """Find the newest snapshot taken before event `before` (any, when None) that can be read, and its tail.

    Without one the plan is cold: no snapshot, no tail. What could not be read is added to `notices`.
    """
    known = journal.segments(db)
    for at in reversed(range(len(known))):
        info = known[at]
        if before is not None and info.first_event - 1 >= before:
            continue
        try:
            snapshot = _snapshot(db, folder, info)
        except StoreError as error:
            text = f"{error}; the one before it will do, with more to replay"
            notices.append(Notice(kind=NoticeKind.SNAPSHOT_UNREADABLE, text=text))
            continue
        if snapshot is None and info.first_event != 1:
            continue
        stretches = tuple(_stretches(db, folder, known[at:], notices))
        reached = stretches[-1].until if stretches else info.first_event - 1
        return Plan(
            snapshot=snapshot,
            start=info.first_event - 1,
            stretches=stretches,
            complete=reached == position.event_no and position.gap is None,
            origin=info.origin,
        )
    start = position.event_no
    untouched = start == 0 and position.gap is None
    return Plan(snapshot=None, start=start, stretches=(), complete=untouched, origin=Origin())


def replay(db: sqlite3.Connection, folder: Path, plan: Plan) -> Iterator[Entry]:
    """Yield the entries of a plan's tail."""
    for stretch in plan.stretches:
        if stretch.info.state == "sealed":
            entries = read_recording(files.file_of(folder, stretch.info.number), prefix=True).entries()
        else:
            entries = read_entries(db, stretch.info, stretch.until)
        for entry in entries:
            if entry.event_no > stretch.until:
                break
            yield entry


def _snapshot(db: sqlite3.Connection, folder: Path, info: SegmentInfo) -> SnapshotAt | None:
    if info.state != "sealed":
        return read_snapshot(db, info.number)
    return read_recording(files.file_of(folder, info.number), prefix=True).snapshot


def _stretches(
    db: sqlite3.Connection, folder: Path, known: list[SegmentInfo], notices: list[Notice]
) -> Iterator[Stretch]:
    """Yield segments as long as each one goes on where the one before ended, and is sound."""
    expected = known[0].first_event
    for info in known:
        if info.first_event != expected or (info.gap is not None and info is not known[0]):
            return
        until = _sound_until(db, folder, info)
        yield Stretch(info=replace(info), until=until)
        if until < info.last_event:
            text = f"segment {info.number}: events {until + 1} to {info.last_event} cannot be read any more"
            notices.append(Notice(kind=NoticeKind.RECORDS_UNREADABLE, text=text))
            return
        expected = until + 1


def _sound_until(db: sqlite3.Connection, folder: Path, info: SegmentInfo) -> int:
    if info.state != "sealed":
        return sound_until(db, info)
    recording = read_recording(files.file_of(folder, info.number), prefix=True)
    if recording.kept.whole:
        return info.last_event
    last = info.first_event - 1
    for entry in recording.entries():
        last = entry.event_no
    return last
