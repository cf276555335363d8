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
from tocsin.store.journal import Journal, save_gap
from tocsin.store.lock import StateLock
from tocsin.store.ops import Commit, Failure, Op, Prune
from tocsin.store.outbox import Outbox
from tocsin.store.place import Place, Standing, copy_to
from tocsin.store.position import DAMAGE, read_position
from tocsin.store.retained import RetainedTopics
from tocsin.store.space import Reserve, is_damaged, is_held, is_passing, is_unwritable
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
        self._lock = lock
        self._origin = origin
        self._reserve = Reserve(state_dir, limits.reserve_bytes)
        self.position = self._draft = Position(event_no=0, effect_no=0, t_ns=0, wall_ns=0, gap=None)
        self._next_resume = 0
        self._next_care = 0
        self._roll: tuple[int | None, int] = (None, 0)
        opened = open_database(state_dir, clock=clock, reserve=self._reserve)
        try:
            self._adopt_or_heal(opened)
        except BaseException:
            self.db.close()
            raise
        self._reserve.build()
        self.decide_snapshot()

    # The stream of events.

    def commit(self, group: Group, *, journal: bool) -> Committed:
        """Write a group inside the open transaction."""
        self._check(group)
        for row in group.outbox:
            self.outbox.insert(row)
        self.outbox.enforce(group.wall_ns)
        for document in group.retained:
            self.retained.put(document, group.wall_ns)
        recorded = self._record(group, journal=journal)
        position = self._draft
        # A group of records says by itself how far the stream has come: the head row need not follow every time.
        if group.outbox or group.retained or (journal and group.snapshot):
            if position.gap is not None:
                save_gap(self.db, position.gap)
            self.db.execute(
                "UPDATE head SET event_no = ?, effect_no = ?, t_ns = ?, wall_ns = ?",
                (position.event_no, position.effect_no, position.t_ns, position.wall_ns),
            )
        return Committed(durable=True, journalled=recorded)

    def park(self, group: Group) -> Committed:
        """Keep a group's alerts in memory; its records are lost to the gap."""
        self._check(group)
        self.unsaved.park(group, self.retained.revision)
        self._advance(group)
        if group.records:
            self._widen(group)
        self.position = self._draft
        return Committed(durable=not (group.outbox or group.retained), journalled=not group.records)

    def _check(self, group: Group) -> None:
        expected = self._draft.event_no + 1
        for record in group.records:
            if record.event_no != expected:
                raise StoreError(f"event {record.event_no} was committed where {expected} belongs")
            expected += 1
        if group.snapshot is not None and group.snapshot.event_no != expected - 1:
            raise StoreError(
                f"a snapshot of the state behind event {group.snapshot.event_no} came where {expected - 1} belongs"
            )

    def _record(self, group: Group, *, journal: bool) -> bool:
        fresh = self._draft.event_no == 0 and self._draft.gap is None
        self._advance(group)
        recorded = True
        if group.records:
            if journal and fresh and self.journal.live is None:
                self.journal.open_segment(group.records[0].event_no, group)
            recorded = journal and self.journal.live is not None
            if recorded:
                self.journal.append(group)
            else:
                self._widen(group)
        if group.snapshot is not None and journal:
            gap = self._draft.gap
            if gap is not None:
                save_gap(self.db, gap)
            self.journal.open_segment(group.snapshot.event_no + 1, group, group.snapshot, gap)
            self._draft = replace(self._draft, gap=None)
        return recorded

    def _advance(self, group: Group) -> None:
        self._draft = replace(
            self._draft,
            event_no=self._draft.event_no + len(group.records),
            effect_no=max(self._draft.effect_no, group.effect_no),
            t_ns=group.t_ns,
            wall_ns=group.wall_ns,
        )

    def _widen(self, group: Group) -> None:
        gap = self._draft.gap
        last = group.records[-1].event_no
        if gap is None:
            reason = self.reason or "no snapshot to begin from"
            gap = Gap(first_event=group.records[0].event_no, last_event=last, reason=reason, wall_ns=group.wall_ns)
        self._draft = replace(self._draft, gap=replace(gap, last_event=last))

    # Batches.

    def run(self, ops: Sequence[Op]) -> list[object]:
        """Do all operations in one transaction, or each on its own when one of them fails; in order.

        An operation that cannot be done yields a Failure. Returns after the commit.
        """
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
        self._draft = self.position
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
        self._draft = self.position
        self.outbox.remember()
        self.retained.remember()
        self.db.execute("BEGIN")
        if self.unsaved:
            self.unsaved.flush(self.outbox, self.retained, self.clock.wall_ns())
        results = [op.apply(self, journal=journal) for op in ops]
        self.db.execute("COMMIT")
        return results

    def _parked(self, op: Op) -> object:
        try:
            return op.park(self)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            self._draft = self.position
            return Failure(error)

    def _settle(self, *, with_journal: bool, trouble: sqlite3.Error | None) -> None:
        self.position = self._draft
        self.unsaved.clear()
        if with_journal:
            self._change(Mode.NORMAL)
            return
        if trouble is not None or self.mode is not Mode.NORMAL:
            self._change(Mode.JOURNAL_STOPPED)

    def _change(self, mode: Mode) -> None:
        if (mode is Mode.NOT_DURABLE) is not (self.mode is Mode.NOT_DURABLE):
            self.db.execute(f"PRAGMA busy_timeout = {_HURRIED_MS if mode is Mode.NOT_DURABLE else PATIENCE_MS}")
        self.mode = mode
        if mode is Mode.NORMAL:
            self.reason = ""
        else:
            self.journal.detach()

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
        self.position = self._draft = before
        if before.gap is not None or self.mode is not Mode.NORMAL:
            self.journal.detach()
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
        self.db.execute("COMMIT")
        self.journal = Journal(self.db, self._origin)
        self.outbox = Outbox(self.db, self.limits)
        self.retained = RetainedTopics(self.db, self.limits)
        self.position = self._draft = read_position(self.db, self.journal_dir, lost_journal=opened.lost_journal)
        self._place = Place(self.path, every_ns=self.limits.resume_every_ns)
        if self.position.gap is not None:
            self.journal.detach()

    def _heal(self, why: str) -> None:
        """Replace a database that turned out to be damaged while in use."""
        with suppress(sqlite3.Error):
            self.db.close()
        before = self.position
        self._adopt(quarantine(self.path, clock=self.clock, why=why))
        after = self.position
        event_no = max(before.event_no, after.event_no)
        gap = after.gap or Gap(first_event=event_no + 1, last_event=event_no, reason=DAMAGE)
        self.position = self._draft = Position(
            event_no=event_no,
            effect_no=max(before.effect_no, after.effect_no),
            t_ns=max(before.t_ns, after.t_ns),
            wall_ns=max(before.wall_ns, after.wall_ns),
            gap=replace(gap, last_event=event_no),
        )

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
        self._draft = self.position
        self.outbox.go_back()
        self.retained.go_back()
        self.journal.detach()
        if self.mode is Mode.NORMAL and self.position.gap is None:
            with suppress(sqlite3.Error):
                self.journal.load()

    def care(self) -> None:
        """Fold the log into the database when it has grown, forget what has aged; nobody waits for it."""
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
        elif self.journal.live is None:
            self.snapshot_due = self.position.event_no > 0
        else:
            self.snapshot_due = (
                self.clock.monotonic_ns() >= self._roll_at()
                or self.journal.live_bytes >= self.limits.segment_bytes
                or (self.journal.live_origin.code, self.journal.live_origin.codec)
                != (self._origin.code, self._origin.codec)
            )

    def _roll_at(self) -> int:
        """Return when the live segment reaches its age, on the monotonic clock: steps of the wall clock don't count."""
        live, at = self._roll
        if live != self.journal.live:
            age_ns = self.clock.wall_ns() - self.journal.live_since_wall_ns
            rest_ns = self.limits.segment_age_ns - max(0, min(age_ns, self.limits.segment_age_ns))
            at = self.clock.monotonic_ns() + rest_ns
            self._roll = (self.journal.live, at)
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
            return self.outbox.pending(limit, exclude)
        try:
            return self.unsaved.pending(self.outbox, limit, exclude)
        except sqlite3.Error:
            return self.unsaved.pending(None, limit, exclude)

    def retained_now(self) -> list[Retained]:
        """Return every remembered topic, cleared ones with payload None, in order of change."""
        if not self.unsaved:
            return self.retained.all()
        saved: list[Retained] = []
        with suppress(sqlite3.Error):
            saved = self.retained.all()
        return self.unsaved.retained(saved)

    def health(self) -> Health:
        """Return the state after the last batch; the sealer's part is filled in by the caller."""
        counts = self.outbox.counts()
        return Health(
            mode=self.mode,
            reason=self.reason,
            gap=self.position.gap,
            saturated=self.outbox.saturated,
            counts=self.unsaved.counts(counts) if self.unsaved else counts,
            event_no=self.position.event_no,
            effect_no=self.position.effect_no,
            segment=self.journal.live,
            segment_bytes=self.journal.live_bytes,
            unsealed=0,
            seal_error="",
        )
