"""Every task of the daemon has one owner.

A supervised task is a factory of coroutines. When one dies it is reported and started again, later each time; a
task declared fatal takes the daemon down instead, because a watchdog that limps in silence is worse than one that
the service manager restarts. A task that returns or is cancelled without being asked to has died too.

Critical tasks have a budget: the longest time that they may take between two calls of `beat`. The watchdog of the
service manager is fed only while none is late. A restart is no progress: a task in a crash loop goes late.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tocsin.clock import NS, Clock
from tocsin.errors import TocsinError

log = logging.getLogger(__name__)

FIRST_DELAY_NS = NS // 2
LONGEST_DELAY_NS = 30 * NS
FORGIVEN_AFTER_NS = 60 * NS
"""A life this long wipes the slate: the next crash is again the first."""

GRACE_S = 5.0
"""How long a task may take to end before the next one is told to; none is left behind."""

Factory = Callable[[], Awaitable[None]]


class EndedUnasked(TocsinError):  # noqa: N818 - reads as the condition
    """A task that should run for the whole life of the daemon returned."""


class TaskDied(TocsinError):  # noqa: N818 - reads as the condition
    """A fatal task died; the daemon cannot go on. The cause is chained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """One death of one task. `crashes` counts those in a row.

    `restart_in_ns` is None when it stays down: it was fatal, or died while it was being ended.
    """

    task: str
    error: BaseException
    crashes: int
    restart_in_ns: int | None


@dataclass(slots=True, kw_only=True)
class _Task:
    name: str
    factory: Factory
    budget_ns: int | None
    fatal: bool
    finite: bool
    stamp_ns: int
    crashes: int = 0
    ending: bool = False
    handle: asyncio.Task[None] | None = None


def _log_crash(crash: Crash) -> None:
    after = "it stays down" if crash.restart_in_ns is None else f"again in {crash.restart_in_ns / NS:g} s"
    log.error("task %s died (%s in a row), %s", crash.task, crash.crashes, after, exc_info=crash.error)


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """Owner of all tasks. Add them with `spawn`, before or while `run` runs; `stop` ends `run`.

    `on_crash` is told of every death, from the loop's thread, and must not raise. `sleep` waits between a death and
    the next life; tests pass their own.
    """

    clock: Clock
    on_crash: Callable[[Crash], None] = _log_crash
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _tasks: dict[str, _Task] = field(default_factory=dict)
    _group: asyncio.TaskGroup | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _death: Crash | None = None

    def spawn(
        self,
        name: str,
        factory: Factory,
        *,
        budget_ns: int | None = None,
        fatal: bool = False,
        finite: bool = False,
    ) -> None:
        """Own a task from now on. Raises ValueError when the name is taken or all is being stopped.

        `budget_ns` makes it critical. `finite` says that returning is what it is for.
        """
        if name in self._tasks or self._stopping:
            raise ValueError(f"task {name} cannot start: {'stopping' if self._stopping else 'the name is taken'}")
        now = self.clock.monotonic_ns()
        task = _Task(name=name, factory=factory, budget_ns=budget_ns, fatal=fatal, finite=finite, stamp_ns=now)
        self._tasks[name] = task
        if self._group is not None:
            self._start(task, self._group)

    def beat(self, name: str) -> None:
        """Say that the task made progress. A name that is no longer owned is ignored."""
        task = self._tasks.get(name)
        if task is not None:
            task.stamp_ns = self.clock.monotonic_ns()

    def late(self, now_ns: int) -> tuple[str, ...]:
        """Return the critical tasks that are past their budget at `now_ns` (monotonic)."""
        return tuple(
            task.name
            for task in self._tasks.values()
            if task.budget_ns is not None and now_ns - task.stamp_ns > task.budget_ns
        )

    def healthy(self, now_ns: int) -> bool:
        """Return whether everything runs and every critical task made progress within its budget."""
        return self._group is not None and not self._stopping and not self.late(now_ns)

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks that are owned now, oldest first."""
        return tuple(self._tasks)

    @property
    def is_ending(self) -> bool:
        """Whether it was told to stop, so that nothing can begin any more."""
        return self._stop.is_set() or self._stopping

    def stop(self) -> None:
        """Let `run` end all tasks, the youngest first, and return."""
        self._stop.set()

    async def end(self, name: str) -> None:
        """End one task and wait for it; no error when it is not there. Not to be called by the task itself."""
        task = self._tasks.pop(name, None)
        if task is None:
            return
        task.ending = True
        if task.handle is not None:
            task.handle.cancel()
            await asyncio.wait([task.handle], timeout=GRACE_S)

    async def run(self) -> None:
        """Run until `stop`, a cancellation, or the death of a fatal task: then raises TaskDied."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for task in self._tasks.values():
                self._start(task, group)
            try:
                await self._stop.wait()
            finally:
                self._stopping = True
                for name in reversed(self.names):
                    await self.end(name)
        if self._death is not None:
            cause = self._death.error
            raise TaskDied(f"{self._death.task} died: {type(cause).__name__}: {cause}") from cause

    def _start(self, task: _Task, group: asyncio.TaskGroup) -> None:
        task.stamp_ns = self.clock.monotonic_ns()
        task.handle = group.create_task(self._own(task), name=task.name)

    async def _own(self, task: _Task) -> None:
        delay_ns = 0
        while True:
            born_ns = self.clock.monotonic_ns() + delay_ns
            error = await self._live(task, delay_ns)
            if error is None:
                self._tasks.pop(task.name, None)
                return
            lived_ns = self.clock.monotonic_ns() - born_ns
            task.crashes = 1 if lived_ns >= FORGIVEN_AFTER_NS else task.crashes + 1
            delay_ns = min(LONGEST_DELAY_NS, FIRST_DELAY_NS << min(task.crashes - 1, 16))
            crash = Crash(
                task=task.name,
                error=error,
                crashes=task.crashes,
                restart_in_ns=None if task.fatal or task.ending or self._stopping else delay_ns,
            )
            self.on_crash(crash)
            if task.fatal:
                self._death = self._death or crash
                self.stop()
            if task.fatal or task.ending or self._stopping:
                return

    async def _live(self, task: _Task, delay_ns: int) -> BaseException | None:
        """Return what one life died of, None when it ended as it should."""
        try:
            if delay_ns:
                await self.sleep(delay_ns / NS)
            await task.factory()
        except asyncio.CancelledError as error:
            if task.ending or self._stopping:
                raise
            # Nobody but the owner cancels; take the request back, or the next await would be hit too.
            current = asyncio.current_task()
            while current is not None and current.cancelling():
                current.uncancel()
            return error
        except Exception as error:  # noqa: BLE001 - whatever a task dies of is reported
            return error
        return None if task.finite else EndedUnasked(f"task {task.name} returned")
