"""The writer thread: the one place that touches the database, and the queue in front of it.

Operations that wait together share a transaction, so that a slow disk makes larger groups and not a longer queue.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from tocsin.errors import StoreError
from tocsin.store.core import Core
from tocsin.store.ops import Failure, Op

_BATCH = 256
"""Operations in one transaction at most."""


@dataclass(slots=True)
class Job:
    """An operation and who waits for it: a coroutine of the loop, or another thread."""

    op: Op
    waiter: "asyncio.Future[object] | None" = None
    thread_waiter: "Future[object] | None" = None
    cost: int = 0


Deliver = Callable[[list[tuple[Job, object]]], None]


class WriterThread:
    """Runs a Core on a thread of its own. Results come back on the loop, in order, after the commit."""

    def __init__(self, make: Callable[[], Core], deliver: Deliver, after: Callable[[Core], None]) -> None:
        self._make = make
        self._deliver = deliver
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        """Of the loop. A None only wakes the thread: there is something in the background, or the end."""
        self._background: deque[Job] = deque()
        self._closing = False
        self._ended = False
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="tocsin-store", daemon=True)

    async def start(self) -> None:
        """Open the database on the thread. Raises what opening it raises."""
        self._thread.start()
        await asyncio.shield(self._opened)

    def post(self, job: Job) -> None:
        """Queue a job of the loop."""
        self._jobs.put(job)
        if self._ended:
            self._refuse_rest()

    def do(self, op: Op) -> object:
        """Do an operation for another thread, when no job of the loop waits, and wait for it.

        Raises StoreError when it fails or the writer has ended.
        """
        waiter: Future[object] = Future()
        self._background.append(Job(op, thread_waiter=waiter))
        self._jobs.put(None)
        if self._ended:
            self._refuse_rest()
        result = waiter.result()
        if isinstance(result, Failure):
            raise as_store_error(result.error) from result.error
        return result

    def close(self) -> None:
        """Do what is queued, then end. Blocks: call it off the loop."""
        self._closing = True
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            core = self._make()
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
            self._on_loop(self._refuse_open, error)
            return
        self._after(core)
        self._on_loop(self._accept_open)
        try:
            self._serve(core)
        finally:
            core.close()
            self._ended = True
            self._refuse_rest()

    def _refuse_rest(self) -> None:
        """Answer what came too late; nobody is left waiting."""
        while batch := self._take(wait=False):
            self._answer(batch, [Failure(StoreError("the store is closed"))] * len(batch))

    def _serve(self, core: Core) -> None:
        while True:
            batch = self._take(wait=not self._background and not self._closing)
            if batch:
                results = core.run([job.op for job in batch])
                core.decide_snapshot()
                self._after(core)
                self._answer(batch, results)
                core.care()
            elif self._closing:
                return

    def _take(self, *, wait: bool) -> list[Job]:
        """Return the jobs of the loop that wait, else one from the background, else nothing."""
        batch: list[Job] = []
        with suppress(Empty):
            while len(batch) < _BATCH:
                job = self._jobs.get(block=wait and not batch)
                wait = False
                if job is not None:
                    batch.append(job)
        if not batch and self._background:
            batch.append(self._background.popleft())
        return batch

    def _answer(self, batch: list[Job], results: list[object]) -> None:
        pairs = list(zip(batch, results, strict=True))
        for job, result in pairs:
            if job.thread_waiter is not None:
                job.thread_waiter.set_result(result)
        self._on_loop(self._deliver, pairs)

    def _on_loop(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            # The loop is closed: nobody waits any more, what was committed stays committed.
            return

    def _accept_open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _refuse_open(self, error: BaseException) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)


def as_store_error(error: Exception) -> StoreError:
    """Return the error for a caller: the store's own ones as they are, foreign ones named."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        return StoreError(f"the database refused: {error}")
    return StoreError(f"the store failed: {type(error).__name__}: {error}")
