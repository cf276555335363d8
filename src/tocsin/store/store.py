"""The store as the loop sees it: hand over bytes, await the commit, never touch a file."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tocsin.clock import Clock
from tocsin.errors import StoreError
from tocsin.store import journal
from tocsin.store.core import Core
from tocsin.store.database import NAME
from tocsin.store.evidence import EvidenceFolder
from tocsin.store.export import export_recording
from tocsin.store.files import FOLDER
from tocsin.store.history import History
from tocsin.store.lock import StateLock
from tocsin.store.ops import (
    Acknowledge,
    Announce,
    Ask,
    Commit,
    Failure,
    ForgetRetained,
    KeepChannels,
    MarkFailed,
    MarkRetained,
    MarkSent,
    Op,
    Prune,
    Rearm,
    Register,
    RemoveNotices,
)
from tocsin.store.recovery import Plan, plan_recovery, replay
from tocsin.store.room import Room
from tocsin.store.sealer import Sealer, Writer
from tocsin.store.thread import Job, WriterThread, as_store_error
from tocsin.store.values import (
    Acknowledged,
    Committed,
    Counts,
    Dropped,
    Entry,
    Exported,
    Group,
    Health,
    Limits,
    Notice,
    NoticeRow,
    Origin,
    Pending,
    Recovered,
    Retained,
    SegmentInfo,
)

_T = TypeVar("_T")
_TAIL_BATCH = 512


class Store:
    """One state directory, open: journal, snapshots, outbox, retained topics. Made by `Store.open`.

    Every coroutine raises StoreError when the store is closed or the database refuses for a reason that is not
    the disk's: a full disk raises nothing, it shows in `health()` and in what a commit returns.
    """

    def __init__(self, state_dir: Path, *, clock: Clock, limits: Limits, origin: Origin) -> None:
        self._dir = state_dir
        self._evidence = EvidenceFolder(state_dir)
        self._clock = clock
        self._limits = limits
        self._origin = origin
        self._room = Room(groups=limits.queue_groups, size=limits.queue_bytes)
        self._lock: StateLock | None = None
        self._began = False
        self._snapshots_under_way = 0
        self._due = False
        self._health: Health | None = None
        self._notices: tuple[Notice, ...] = ()
        self._seen: object = None
        self._live: int | None = None
        self.outbox_changed = asyncio.Event()
        """Set when there may be something new to publish; the publisher clears it."""
        self.on_change: Callable[[], None] | None = None
        """Called on the loop when `health().mode`, `saturated` or `seal_error` changes, or a notice comes."""
        self.on_notices: Callable[[], None] | None = None
        """Called on the loop when there are new messages to people."""

    @classmethod
    async def open(
        cls, state_dir: Path, *, clock: Clock, limits: Limits | None = None, origin: Origin | None = None
    ) -> Self:
        """Lock the directory and open what is in it, making, migrating or quarantining as needed.

        Raises StoreError when another process holds it or it cannot be used, SchemaTooNew when a newer program wrote
        it, StoreFull when there is not even room to open it.
        """
        store = cls(state_dir, clock=clock, limits=limits or Limits(), origin=origin or Origin())
        await store._start()
        return store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Commit what is queued, end the threads, give the directory free. Safe to call twice."""
        if self._lock is None:
            return
        await asyncio.to_thread(self._sealer.stop)
        await asyncio.to_thread(self._thread.close)
        await asyncio.sleep(0)
        self._lock.release()
        self._lock = None

    # What enters.

    async def commit(self, group: Group) -> Committed:
        """Write a group and return once it is committed: nothing of it may leave before."""
        return await (await self.submit(group))

    async def submit(self, group: Group) -> "asyncio.Future[Committed]":
        """Queue a group, waiting for room in the queue, and return the future of its commit.

        Groups are committed in the order in which `submit` was called. Cancelling either await drops nothing that
        was queued.
        """
        cost = group.cost()
        await self._room.enter(cost)
        self._begin()
        if group.snapshot is not None:
            self._snapshots_under_way += 1
        return self._post(Commit(group), cost)

    async def keep_evidence(self, found: Mapping[str, bytes]) -> str:
        """Keep evidence, by its digest, as a file of its own; return why it could not be, empty where it was."""
        return await asyncio.to_thread(self._evidence.keep, found)

    @property
    def limits(self) -> Limits:
        """How much it may hold."""
        return self._limits

    @property
    def snapshot_wanted(self) -> bool:
        """Whether the next group should carry a snapshot: the live segment is to roll, or the journal to resume."""
        return self._due and not self._snapshots_under_way

    # The outbox.

    async def pending(self, limit: int, *, exclude: Collection[int] = ()) -> list[Pending]:
        """Return the next rows to send, critical lane first, each fingerprint in order of seq.

        `exclude` has the seqs that are in flight.
        """
        hidden = frozenset(exclude)
        return await self._ask(lambda core: core.pending(limit, hidden))

    async def mark_sent(self, seqs: Iterable[int]) -> int:
        """Record that the broker has these rows; return how many of them were waiting."""
        result: int = await self._post(MarkSent(tuple(seqs)))
        return result

    async def mark_failed(self, seq: int, reason: str) -> None:
        """Count an attempt that the broker refused; the row stays pending."""
        await self._post(MarkFailed(seq, reason))

    async def rearm(self, seqs: Iterable[int]) -> int:
        """Let delivered rows wait again because a consumer misses them; return how many are still kept."""
        result: int = await self._post(Rearm(tuple(seqs)))
        self.outbox_changed.set()
        return result

    async def register_consumers(self, names: Iterable[str]) -> None:
        """Owe these consumers everything that comes from now on, and no others anything; cursors that are known stay.

        Raises StoreFull when that cannot be written down now.
        """
        await self._post(Register(tuple(names)))

    async def acknowledge(
        self,
        name: str,
        *,
        at: int,
        highest: int,
        missing: Iterable[int],
        wanted: Iterable[tuple[int, int]] | None = None,
        connected_wall_ns: int = 0,
    ) -> Acknowledged | None:
        """Take a registered consumer's ack, which must have been judged before; None while nothing can be written.

        What it lacks waits again, as far as it is in the stretches that are `wanted` (None: all of it), unless the
        broker has had it for less than two seconds, and over the connection that began at `connected_wall_ns`: it
        may be on its way.
        """
        spans = None if wanted is None else tuple(wanted)
        result: Acknowledged | None = await self._post(
            Acknowledge(
                name=name,
                at=at,
                max=highest,
                missing=tuple(missing),
                wanted=spans,
                connected_wall_ns=connected_wall_ns,
            )
        )
        if result is not None and result.rearmed:
            self.outbox_changed.set()
        return result

    async def counts(self) -> Counts:
        """Return what waits and what is kept."""
        return (await self._ask(Core.health)).counts

    async def dropped(self) -> list[Dropped]:
        """Return the drops of outbox rows that no event has told of yet."""
        return await self._ask(lambda core: core.tables.outbox.drops.untold())

    async def mark_announced(self, drops: Iterable[Dropped]) -> None:
        """Record that these drops were told."""
        await self._post(Announce(tuple(drop.id for drop in drops)))

    async def prune(self) -> int:
        """Forget delivered rows and cleared topics that have aged; return how many. Runs by itself every minute."""
        result: int = await self._post(Prune())
        return result

    # Messages to people.

    async def notices_for(self, channel: str, limit: int) -> list[NoticeRow]:
        """Return the messages of a channel that may be sent now: of each group the oldest, the worst group first."""
        return await self._ask(lambda core: core.tables.notices.waiting(channel, limit))

    async def remove_notices(self, numbers: Iterable[int]) -> int:
        """Forget messages that were sent, or are not to be sent any more; return how many there were."""
        result: int = await self._post(RemoveNotices(tuple(numbers)))
        return result

    async def keep_channels(self, names: Iterable[str]) -> int:
        """Forget the messages of all channels but these; return how many there were."""
        result: int = await self._post(KeepChannels(frozenset(names)))
        return result

    # Retained topics.

    async def retained_all(self) -> list[Retained]:
        """Return every remembered topic in order of change; payload None is one that was cleared."""
        return await self._ask(Core.retained_now)

    async def retained_unpublished(self, limit: int | None = None, *, exclude: Collection[str] = ()) -> list[Retained]:
        """Return the topics whose newest revision the broker has not confirmed, in order of change.

        At most `limit` (None: all of them), and none of the topics to `exclude`.
        """
        hidden = frozenset(exclude)
        return await self._ask(lambda core: core.retained_due(limit, hidden))

    async def mark_retained(self, topic: str, revision: int) -> None:
        """Record that the broker confirmed this revision."""
        await self._post(MarkRetained(topic, revision))

    async def forget_retained(self, topic: str) -> None:
        """Remember a topic no more."""
        await self._post(ForgetRetained(topic))

    # The journal.

    async def recover(self, *, before: int | None = None) -> Recovered:
        """Return where to go on from; to be called before the first commit.

        When the snapshot turns out to be unreadable for the engine, ask again with `before=` its event number:
        the one before it comes, with a longer tail. `before=0` is a cold start.
        """
        if self._began:
            raise StoreError("recover() comes before the first commit")
        return await self._ask(lambda core: self._recovered(core, before))

    async def export(self, path: Path, *, from_wall_ns: int, to_wall_ns: int) -> Exported:
        """Write a span of the journal as one self-contained recording.

        Raises StoreError when the journal holds nothing of it, or the file exists or cannot be written.
        """
        return await asyncio.to_thread(self._export, path, from_wall_ns, to_wall_ns)

    @property
    def history(self) -> History:
        """What was published so far; its methods block and belong into a thread."""
        return History(self._dir)

    async def segments(self) -> list[SegmentInfo]:
        """Return the segments of the journal, oldest first."""
        return await self._ask(lambda core: journal.segments(core.db))

    async def sealed(self, timeout_s: float = 60) -> bool:
        """Wait until every closed segment lies in its file; say whether that was reached."""
        self._begin()
        idle = await asyncio.to_thread(self._sealer.join_idle, timeout_s)
        return idle and not self._sealer.error

    # How it stands.

    def health(self) -> Health:
        """Return how the store stood after its last transaction."""
        if self._health is None:
            raise StoreError("the store is not open")
        return replace(self._health, unsealed=self._sealer.unsealed, seal_error=self._sealer.error)

    @property
    def durable(self) -> bool:
        """Whether a committed alert survives a crash; when not, it is to be published with that mark."""
        return self.health().durable

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the store did by itself since it was opened: migrations, quarantines, unreadable records."""
        return self._notices

    @property
    def waiting(self) -> int:
        """Groups that are queued or being written."""
        return self._room.held

    # Inside.

    async def _start(self) -> None:
        lock = self._lock = await asyncio.to_thread(_lock, self._dir)
        self._thread = WriterThread(partial(self._make_core, lock), self._deliver, self._after)
        try:
            await self._thread.start()
        except BaseException:
            await asyncio.to_thread(self._thread.close)
            lock.release()
            self._lock = None
            raise
        self._seen = self._standing()

    def _make_core(self, lock: StateLock) -> Core:
        core = Core(self._dir, lock=lock, clock=self._clock, limits=self._limits, origin=self._origin)
        writer = Writer(do=self._thread.do, notice=core.notices.append, is_home=core.is_home)
        self._sealer = Sealer(core.path, core.journal_dir, limits=self._limits, clock=self._clock, writer=writer)
        return core

    def _begin(self) -> None:
        if not self._began:
            self._began = True
            self._sealer.start()

    def _post(self, op: Op, cost: int = 0) -> "asyncio.Future[Any]":
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._thread.post(Job(op, waiter=waiter, cost=cost))
        return waiter

    async def _ask(self, question: Callable[[Core], _T]) -> _T:
        answer: _T = await self._post(Ask(question))
        return answer

    def _deliver(self, pairs: list[tuple[Job, object]]) -> None:
        """Hand results to those who wait for them; on the loop."""
        for job, result in pairs:
            if isinstance(job.op, Commit):
                self._commit_ended(job.op.group, job.cost)
            if job.waiter is None or job.waiter.done():
                continue
            if isinstance(result, Failure):
                job.waiter.set_exception(as_store_error(result.error))
            else:
                job.waiter.set_result(result)
        self._tell_change()

    def _commit_ended(self, group: Group, cost: int) -> None:
        self._room.leave(cost)
        if group.snapshot is not None:
            self._snapshots_under_way -= 1
        if group.outbox or group.retained:
            self.outbox_changed.set()
        if group.notices and self.on_notices is not None:
            self.on_notices()

    def _tell_change(self) -> None:
        standing = self._standing()
        if standing != self._seen:
            self._seen = standing
            if self.on_change is not None:
                self.on_change()

    def _standing(self) -> tuple[object, ...]:
        if self._health is None:
            return ()
        return (self._health.mode, self._health.saturated, self._sealer.error, len(self._notices))

    def _after(self, core: Core) -> None:
        """Publish how the core stands; on the writer thread, between batches."""
        self._health = core.health()
        self._due = core.snapshot_due
        if len(core.notices) != len(self._notices):
            self._notices = tuple(core.notices)
        if core.tables.journal.live != self._live:
            self._live = core.tables.journal.live
            self._sealer.wake()

    def _recovered(self, core: Core, before: int | None) -> Recovered:
        position = core.position
        plan = plan_recovery(core.db, core.journal_dir, position=position, before=before, notices=core.notices)
        return Recovered(
            snapshot=None if plan.snapshot is None else plan.snapshot.data,
            snapshot_event_no=plan.start,
            tail=self._tail(plan, core),
            tail_events=plan.events,
            last_event_no=position.event_no,
            last_effect_no=position.effect_no,
            last_seq=core.tables.outbox.last_seq,
            last_t_ns=position.t_ns,
            last_wall_ns=position.wall_ns,
            complete=plan.complete,
            origin=plan.origin,
        )

    async def _tail(self, plan: Plan, core: Core) -> AsyncIterator[Entry]:
        entries: Iterator[Entry] = replay(core.db, core.journal_dir, plan)
        while True:
            if self._began:
                raise StoreError("the tail is to be read before the first commit")
            batch = await self._ask(lambda _: list(islice(entries, _TAIL_BATCH)))
            for entry in batch:
                yield entry
            if len(batch) < _TAIL_BATCH:
                return

    def _export(self, path: Path, from_wall_ns: int, to_wall_ns: int) -> Exported:
        with self._sealer.folder_lock:
            return export_recording(
                self._dir / NAME, self._dir / FOLDER, path, from_wall_ns=from_wall_ns, to_wall_ns=to_wall_ns
            )


def _lock(state_dir: Path) -> StateLock:
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{state_dir}: cannot be made: {error.strerror}; check watchdog.state_dir") from error
    return StateLock(state_dir)
