"""Sealing: a closed segment becomes a compressed file, on a thread of its own.

The rows in the database go only after the file is whole and on the disk. Whatever interrupts it, the segment is
either still in the database or in its file, and sealing again is always right.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tocsin.clock import Clock
from tocsin.errors import CorruptRecord, StoreError
from tocsin.store import files, journal
from tocsin.store.database import connect_existing
from tocsin.store.header import VERSION, Header
from tocsin.store.ops import DeleteRows, ForgetSegments, Op, Sealed
from tocsin.store.rows import read_bodies, read_groups, read_snapshot, sound_until
from tocsin.store.section import SectionWriter
from tocsin.store.values import Gap, Limits, Notice, NoticeKind, SegmentInfo, SnapshotAt


class Stopped(Exception):  # noqa: N818 - not an error: the store closes
    """Sealing was interrupted because the store closes."""


@dataclass(frozen=True, slots=True)
class Writer:
    """What the sealer needs of the writer thread: to do an operation and wait for it, and to take a notice."""

    do: Callable[[Op], object]
    notice: Callable[[Notice], None]
    is_home: Callable[[], bool]
    """Whether the database that the writer has open is the one that has its name."""


def write_segment(
    db: sqlite3.Connection, info: SegmentInfo, folder: Path, *, stopping: Callable[[], bool] = lambda: False
) -> tuple[SegmentInfo, list[Notice]]:
    """Write the file of a closed segment, whole or not at all.

    Return the segment as the file holds it: without what could not be read any more, of which the notices tell.
    Raises OSError or sqlite3.Error as disk and database do, and Stopped.
    """
    snapshot, notices = _snapshot(db, info)
    last = sound_until(db, info)
    if last < info.last_event:
        text = f"segment {info.number}: events {last + 1} to {info.last_event} cannot be read any more"
        notices.append(Notice(kind=NoticeKind.RECORDS_UNREADABLE, text=text))
    held = replace(info, last_event=last, state="sealed")
    part = files.part_of(folder, info.number)
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        with part.open("wb") as file:
            out = SectionWriter(file)
            out.begin(_header(held), snapshot)
            _copy(db, held, out, stopping)
            out.end(last=True)
            out.sync()
            size = out.size
        part.replace(files.file_of(folder, info.number))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    files.sync_folder(folder)
    return replace(held, size=size), notices


def _snapshot(db: sqlite3.Connection, info: SegmentInfo) -> tuple[SnapshotAt | None, list[Notice]]:
    try:
        return read_snapshot(db, info.number), []
    except CorruptRecord as error:
        return None, [Notice(kind=NoticeKind.SNAPSHOT_UNREADABLE, text=str(error))]


def _header(info: SegmentInfo) -> Header:
    return Header(
        version=VERSION,
        segment=info.number,
        first_event=info.first_event,
        last_event=info.last_event,
        first_wall_ns=info.first_wall_ns,
        last_wall_ns=info.last_wall_ns,
        origin=info.origin,
        gap=info.gap,
    )


def _copy(db: sqlite3.Connection, info: SegmentInfo, out: SectionWriter, stopping: Callable[[], bool]) -> None:
    """Copy bodies and groups, each body ahead of the first group that can refer to it."""
    bodies = read_bodies(db, info.number)
    copied = 0
    for group in read_groups(db, info):
        if group.stamp.event_no > info.last_event:
            return
        if stopping():
            raise Stopped
        while copied < group.bodies:
            out.body(*next(bodies))
            copied += 1
        out.group(group.stamp, group.count, group.records)


class Sealer:
    """Seals what is closed, whenever it is woken, and keeps the journal within its bounds."""

    def __init__(self, path: Path, folder: Path, *, limits: Limits, clock: Clock, writer: Writer) -> None:
        self._path = path
        self._folder = folder
        self._limits = limits
        self._clock = clock
        self._writer = writer
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle_lock = threading.Lock()
        self._stop = False
        self.error = ""
        """Why the last attempt failed; empty when it did not."""
        self.unsealed = 0
        """Closed segments that wait."""
        self.folder_lock = threading.Lock()
        """Held while files are removed: an export holds it to keep them."""
        self._thread = threading.Thread(target=self._run, name="tocsin-seal", daemon=True)

    def start(self) -> None:
        """Begin; also with what an earlier run left behind."""
        if not self._thread.is_alive() and not self._stop:
            self._wake.set()
            self._thread.start()

    def wake(self) -> None:
        """Look for closed segments soon."""
        with self._idle_lock:
            self._idle.clear()
            self._wake.set()

    def join_idle(self, timeout_s: float) -> bool:
        """Wait until there is nothing left to do; say whether that was reached."""
        return self._idle.wait(timeout_s)

    def stop(self) -> None:
        """End; a segment that is being written stays in the database for the next start."""
        self._stop = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stop:
                return
            try:
                self._work()
                self.error = ""
            except Stopped:
                return
            except (OSError, sqlite3.Error, StoreError) as error:
                self.error = f"{self._folder}: sealing failed, will be tried again: {error}"
            with self._idle_lock:
                if not self._wake.is_set():
                    self._idle.set()

    def _work(self) -> None:
        if not self._writer.is_home():
            raise StoreError("the database is not where it was")
        with closing(connect_existing(self._path)) as db:
            self._seal_closed(db)
            self._keep_bounds(db)

    def _seal_closed(self, db: sqlite3.Connection) -> None:
        known = journal.segments(db)
        closed = [info for info in known if info.state == "closed"]
        for left, info in enumerate(closed):
            self.unsealed = len(closed) - left
            self._seal(db, info)
        self.unsealed = 0
        for info in journal.leftovers(db):
            self._delete_rows(info)

    def _seal(self, db: sqlite3.Connection, info: SegmentInfo) -> None:
        held, notices = write_segment(db, info, self._folder, stopping=lambda: self._stop)
        for notice in notices:
            self._writer.notice(notice)
        self._writer.do(Sealed(held, _lost(info, held)))
        self._delete_rows(held)

    def _delete_rows(self, info: SegmentInfo) -> None:
        while not self._stop and self._writer.do(DeleteRows(info)):
            pass

    def _keep_bounds(self, db: sqlite3.Connection) -> None:
        doomed = files.surplus(journal.segments(db), self._limits, wall_ns=self._clock.wall_ns())
        if not doomed:
            return
        with self.folder_lock:
            self._writer.do(ForgetSegments(tuple(doomed)))
            for info, _ in doomed:
                files.file_of(self._folder, info.number).unlink(missing_ok=True)


def _lost(info: SegmentInfo, held: SegmentInfo) -> Gap | None:
    if held.last_event >= info.last_event:
        return None
    return Gap(
        first_event=held.last_event + 1,
        last_event=info.last_event,
        reason="these records could not be read any more",
        wall_ns=info.last_wall_ns,
    )
