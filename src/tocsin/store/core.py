"""The store's one writer, without its thread: batches of operations in, one transaction each, results out.

On a disk that refuses writes it goes down a ladder and comes up again by itself:

1. normal: records, alerts, everything;
2. the journal stops and a gap is counted: alerts and retained topics are still written;
3. the reserve is given up for them;
4. nothing can be written: alerts live in memory, are handed out marked not durable, and are written later.

Where another process holds the database, or its files are no longer where they were and cannot be made anew, 4 comes
at once. The way back needs free space and a snapshot, since what
follows a gap must not depend on what is missing.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tocsin.clock import Clock
from tocsin.errors import StoreError, StoreFull
from tocsin.store import files
from tocsin.store.database import NAME, PATIENCE_MS, Opened, open_database, open_sound, quarantine
from tocsin.store.identity import STREAM, make_stream, stream_of
from tocsin.store.lock import StateLock
from tocsin.store.ops import Commit, Failure, Op, Prune
from tocsin.store.place import Place, Standing, copy_to
from tocsin.store.position import DAMAGE
from tocsin.store.space import Reserve, is_damaged, is_held, is_passing, is_unwritable
from tocsin.store.tables import Tables
from tocsin.store.unsaved import Unsaved
from tocsin.store.values import (
    MINUTE_NS,
    Committed,
    Gap,
    Group,
    Health,
    Limits,
    Mode,
    Notice,
    NoticeKind,
    Origin,
    Pending,
    Position,
    Retained,
)

_CHECKPOINT_BYTES = 4 << 20
_LOOK_EVERY = 32
"""Operations between two looks at how much the log has grown: while this thread asks the system, the loop takes the
interpreter's lock, and the next answer waits for it (0.5 ms in the median of a daemon at rest)."""
_MOST_NAMED = 20
_HURRIED_MS = 100
"""How long a lock of another process is waited for once it outlasted the patience: alerts go out meanwhile."""


class Core:
    """Everything behind the writer thread. Raises StoreError and its kin when the store cannot be opened."""

    def __init__(self, state_dir: Path, *, lock: StateLock, clock: Clock, limits: Limits, origin: Origin) -> None:
        self.path = state_dir / NAME
        self.journal_dir = state_dir / files.FOLDER
        self.clock = clock
        self.limits = limits
        self.notices: list[Notice] = []
        self.unsaved = Unsaved(limits)
        self.mode = Mode.NORMAL
        self.reason = ""
        self.snapshot_due = False
        self.damaged = 0
        self._lock = lock
        self._origin = origin
        self._reserve = Reserve(state_dir, limits.reserve_bytes)
        self._next_resume = 0
        self._next_care = 0
        self._since_look = 0
        self._roll: tuple[int | None, int] = (None, 0)
        opened = open_database(state_dir, clock=clock, reserve=self._reserve)
        try:
            self._adopt_or_heal(opened)
        except BaseException:
            self.db.close()
            raise
        self._reserve.build()
        journal = self.tables.journal
        self._inherited = journal.live if journal.live_events > limits.inherited_events else None
        self.decide_snapshot()

    @property
    def position(self) -> Position:
        """How far the stream has come, as it is committed."""
        return self.tables.position

    # The stream of events.

    def commit(self, group: Group, *, journal: bool) -> Committed:
        """Write a group inside the open transaction."""
        return self.tables.write(group, journal=journal, stopped=self.reason)

    def park(self, group: Group) -> Committed:
        """Keep a group's alerts in memory; its records are lost to the gap."""
        self.tables.check(group)
        self.unsaved.park(group, self.tables.retained.revision)
        self.tables.pass_over(group, stopped=self.reason)
        is_nothing = not (group.outbox or group.retained or group.notices)
        return Committed(durable=is_nothing, journalled=not group.records)

    # Batches.

    def run(self, ops: Sequence[Op]) -> list[object]:
        """Do all operations in one transaction, or each on its own when one of them fails; in order.

        An operation that cannot be done yields a Failure. Returns after the commit.
        """
        self._since_look += len(ops)
        try:
            return self._descend(ops)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            self._roll_back()
            if len(ops) > 1:
                return [result for op in ops for result in self.run([op])]
            if not is_damaged(error):
                return [Failure(error)]
            return [self._after_healing(ops[0], error)]

    def _after_healing(self, op: Op, damage: Exception) -> object:
        try:
            self._heal(str(damage))
            return self._descend([op])[0]
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            self._roll_back()
            return Failure(error)

    def _descend(self, ops: Sequence[Op]) -> list[object]:
        if not self._has_place():
            return self._park_all(ops)
        trouble: sqlite3.Error | None = None
        for with_journal in self._rungs(ops):
            try:
                results = self._transact(ops, journal=with_journal)
            except sqlite3.Error as error:
                self._roll_back()
                if not (is_unwritable(error) or is_held(error)):
                    raise
                trouble = error
                self._note(error)
                if is_held(error):
                    break  # what the disk could be spared changes nothing
            else:
                self._settle(with_journal=with_journal, trouble=trouble)
                return results
        return self._park_all(ops)

    def _park_all(self, ops: Sequence[Op]) -> list[object]:
        self._change(Mode.NOT_DURABLE)
        self.tables.stand_at(self.position)
        return [self._parked(op) for op in ops]

    def _rungs(self, ops: Sequence[Op]) -> Iterator[bool]:
        """Yield whether to write the journal, for one attempt after the other."""
        if self.mode is Mode.NORMAL or self._may_resume(ops):
            yield True
        yield False
        if self._reserve.release():
            yield False
        if self._fold():
            yield False

    def _transact(self, ops: Sequence[Op], *, journal: bool) -> list[object]:
        self.tables.begin()
        if self.unsaved:
            self.unsaved.flush(self.tables.outbox, self.tables.retained, self.clock.wall_ns())
        self.tables.notices.flush()
        results = [op.apply(self, journal=journal) for op in ops]
        self.tables.outbox.drop_damaged(self.clock.wall_ns())
        self.db.execute("COMMIT")
        return results

    def _parked(self, op: Op) -> object:
        try:
            return op.park(self)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            self.tables.stand_at(self.position)
            return Failure(error)

    def _settle(self, *, with_journal: bool, trouble: sqlite3.Error | None) -> None:
        self.tables.stand_at(self.tables.draft)
        self.unsaved.clear()
        self._tell_damage()
        if with_journal:
            self._change(Mode.NORMAL)
            return
        if trouble is not None or self.mode is not Mode.NORMAL:
            self._change(Mode.JOURNAL_STOPPED)

    def _tell_damage(self) -> None:
        spans = self.tables.outbox.take_damaged()
        if not spans:
            return
        self.damaged += sum(last - first + 1 for first, last in spans)
        which = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans[:_MOST_NAMED])
        more = ", ..." if len(spans) > _MOST_NAMED else ""
        text = f"{self.path}: messages were damaged on disk and are dropped: {which}{more}; check the disk"
        self.notices.append(Notice(kind=NoticeKind.ROWS_DAMAGED, text=text))

    def _change(self, mode: Mode) -> None:
        if (mode is Mode.NOT_DURABLE) is not (self.mode is Mode.NOT_DURABLE):
            self.db.execute(f"PRAGMA busy_timeout = {_HURRIED_MS if mode is Mode.NOT_DURABLE else PATIENCE_MS}")
        self.mode = mode
        if mode is Mode.NORMAL:
            self.reason = ""
        else:
            self.tables.journal.detach()

    def _note(self, error: sqlite3.Error) -> None:
        if not self.reason:
            self.reason = f"{self.path.parent}: cannot be written: {error}"
            self._next_resume = self.clock.monotonic_ns() + self.limits.resume_every_ns

    def _may_resume(self, ops: Sequence[Op]) -> bool:
        if not any(isinstance(op, Commit) and op.group.snapshot is not None for op in ops):
            return False
        if not self._space_is_back():
            return False
        self._next_resume = self.clock.monotonic_ns() + self.limits.resume_every_ns
        return self._reserve.build()

    def _space_is_back(self) -> bool:
        if self.clock.monotonic_ns() < self._next_resume:
            return False
        needed = self.limits.resume_free_bytes + (0 if self._reserve.held else self.limits.reserve_bytes)
        return self._reserve.free_bytes() >= needed

    # Where it lies.

    def is_home(self) -> bool:
        """Whether the files that are open are those that a later start would find. From any thread."""
        return self._place.standing() is Standing.SOUND

    def _has_place(self) -> bool:
        """Whether they are, or could be made anew in their place from what is still open."""
        trouble = self._place.trouble(self.clock.monotonic_ns(), self._make_anew)
        if trouble:
            self.reason, self._next_resume = trouble, 0
        return not trouble

    def _make_anew(self) -> None:
        """Write the database again, whole, where it was. What has been sealed is lost with its files."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.renew()
        copy_to(self.db, self.path)
        before = self.position
        text = f"{self.path.parent}: was deleted or moved away while in use; made anew with all that was not sealed yet"
        opened = open_sound(self.path)
        opened.notices.append(Notice(kind=NoticeKind.MADE_ANEW, text=text))
        self._adopt(opened)
        self.tables.stand_at(before)
        if before.gap is not None or self.mode is not Mode.NORMAL:
            self.tables.journal.detach()
        self._reserve.build()

    # Coming up, going down.

    def _adopt_or_heal(self, opened: Opened) -> None:
        """Take over a database that opened well; one whose rows make no sense is damaged all the same."""
        try:
            self._adopt(opened)
        except OSError as error:
            raise StoreError(f"{self.journal_dir}: cannot be used: {error.strerror}; see what lies there") from error
        except (sqlite3.Error, StoreError, TypeError, ValueError) as error:
            if isinstance(error, sqlite3.Error) and is_unwritable(error):
                raise StoreFull(f"{self.path}: cannot be written: {error}; free space there") from error
            if isinstance(error, sqlite3.Error) and is_passing(error):
                raise StoreError(f"{self.path}: cannot be written: {error}; end what else holds it") from error
            self.db.close()
            self._adopt(quarantine(self.path, clock=self.clock, why=str(error)))

    def _adopt(self, opened: Opened) -> None:
        self.db = opened.db
        self.notices += opened.notices
        self.db.execute("BEGIN IMMEDIATE")
        self.notices += files.reconcile(self.db, self.journal_dir, wall_ns=self.clock.wall_ns())
        if not stream_of(self.db):
            self.db.execute("DELETE FROM meta WHERE key = ?", (STREAM,))
            make_stream(self.db)
        self.db.execute("COMMIT")
        # While we run the numbers go on, whatever became of the file.
        self.stream = getattr(self, "stream", "") or stream_of(self.db)
        before: Tables | None = getattr(self, "tables", None)
        self.tables = Tables(
            self.db, self.journal_dir, limits=self.limits, origin=self._origin, lost_journal=opened.lost_journal
        )
        if before is not None:
            self.tables.notices.take_over(before.notices.kept)
        self._place = Place(self.path, every_ns=self.limits.resume_every_ns)

    def _heal(self, why: str) -> None:
        """Replace a database that turned out to be damaged while in use."""
        with suppress(sqlite3.Error):
            self.db.close()
        before = self.position
        self._adopt(quarantine(self.path, clock=self.clock, why=why))
        after = self.position
        event_no = max(before.event_no, after.event_no)
        gap = after.gap or Gap(first_event=event_no + 1, last_event=event_no, reason=DAMAGE)
        self.tables.stand_at(
            Position(
                event_no=event_no,
                effect_no=max(before.effect_no, after.effect_no),
                t_ns=max(before.t_ns, after.t_ns),
                wall_ns=max(before.wall_ns, after.wall_ns),
                gap=replace(gap, last_event=event_no),
            )
        )

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
        self.tables.go_back()
        if self.mode is Mode.NORMAL and self.position.gap is None:
            with suppress(sqlite3.Error):
                self.tables.journal.load()

    def care(self) -> None:
        """Fold the log into the database when it has grown, forget what has aged; nobody waits for it."""
        if self._since_look >= _LOOK_EVERY:
            self._since_look = 0
            with suppress(OSError):
                log = self.path.with_name(f"{self.path.name}-wal")
                if log.stat().st_size > min(_CHECKPOINT_BYTES, self.limits.reserve_bytes // 4):
                    self._fold()
        if self.clock.monotonic_ns() >= self._next_care:
            self._next_care = self.clock.monotonic_ns() + MINUTE_NS
            self.run([Prune()])

    def _fold(self) -> bool:
        """Fold the log into the database, so that its blocks are written again; say whether all of it was."""
        try:
            busy, in_log, folded = self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False
        return not busy and in_log == folded

    def decide_snapshot(self) -> None:
        """Set `snapshot_due`: the journal is to roll, to resume, or to begin."""
        if self.mode is not Mode.NORMAL:
            self.snapshot_due = self._space_is_back()
        elif self.tables.journal.live is None:
            self.snapshot_due = self.position.event_no > 0
        else:
            self.snapshot_due = self._is_to_roll()

    def _is_to_roll(self) -> bool:
        journal = self.tables.journal
        return (
            self.clock.monotonic_ns() >= self._roll_at()
            or journal.live_bytes >= self.limits.segment_bytes
            or journal.live_events >= self.limits.segment_events
            or journal.live == self._inherited
            or (journal.live_origin.code, journal.live_origin.codec) != (self._origin.code, self._origin.codec)
        )

    def _roll_at(self) -> int:
        """Return when the live segment reaches its age, on the monotonic clock: steps of the wall clock don't count."""
        live, at = self._roll
        if live != self.tables.journal.live:
            age_ns = self.clock.wall_ns() - self.tables.journal.live_since_wall_ns
            rest_ns = self.limits.segment_age_ns - max(0, min(age_ns, self.limits.segment_age_ns))
            at = self.clock.monotonic_ns() + rest_ns
            self._roll = (self.tables.journal.live, at)
        return at

    def close(self) -> None:
        """Write what is still in memory, as far as the disk lets, and close the database."""
        self.run([])
        with suppress(sqlite3.Error):
            self.db.close()

    # What can be read.

    def pending(self, limit: int, exclude: Collection[int]) -> list[Pending]:
        """Return the next rows to send."""
        if not self.unsaved:
            return self.tables.outbox.pending(limit, exclude)
        try:
            return self.unsaved.pending(self.tables.outbox, limit, exclude)
        except sqlite3.Error:
            return self.unsaved.pending(None, limit, exclude)

    def retained_now(self) -> list[Retained]:
        """Return every remembered topic, cleared ones with payload None, in order of change."""
        if not self.unsaved:
            return self.tables.retained.all()
        saved: list[Retained] = []
        with suppress(sqlite3.Error):
            saved = self.tables.retained.all()
        return self.unsaved.retained(saved)

    def retained_due(self, limit: int | None, exclude: Collection[str]) -> list[Retained]:
        """Return the topics whose newest revision the broker has not confirmed, in order of change."""
        if not self.unsaved:
            return self.tables.retained.unpublished(limit, exclude)
        due = [item for item in self.retained_now() if item.revision > item.published and item.topic not in exclude]
        return due[:limit]

    def health(self) -> Health:
        """Return the state after the last batch; the sealer's part is filled in by the caller."""
        counts = self.tables.outbox.counts()
        return Health(
            mode=self.mode,
            reason=self.reason,
            gap=self.position.gap,
            saturated=self.tables.outbox.saturated,
            counts=self.unsaved.counts(counts) if self.unsaved else counts,
            last_seq=max(self.tables.outbox.last_seq, self.unsaved.last_seq),
            stream=self.stream,
            event_no=self.position.event_no,
            effect_no=self.position.effect_no,
            segment=self.tables.journal.live,
            segment_bytes=self.tables.journal.live_bytes,
            unsealed=0,
            seal_error="",
            consumers=self.tables.consumers.all(),
            notices=self.tables.notices.held(),
            damaged=self.damaged,
        )
