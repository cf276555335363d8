"""The consumer's file and the one thread that it is used in: a disk that takes its time must not hold up the loop."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tocsin.client.ledger import Ledger, guard, unguard
from tocsin.errors import StoreError

_T = TypeVar("_T")


class Writer:
    """Opens, writes and closes a `Ledger`. Everything raises StoreError for whatever SQLite says."""

    def __init__(self, path: Path, consumer: str) -> None:
        self._path = path
        self._consumer = consumer
        self.lock = asyncio.Lock()
        """For whoever makes a transaction: from what it writes was read until that is on disk."""

    async def open(self, load: Callable[[Ledger], None]) -> None:
        """Open the file and let `load` read it."""
        self._thread = ThreadPoolExecutor(1, "tocsin-client")
        try:
            self._ledger = await self._run(lambda: Ledger(self._path, self._consumer))
        except BaseException:
            self._thread.shutdown()
            raise
        try:
            await self._run(lambda: load(self._ledger))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file, and end the thread."""
        try:
            await self._run(self._ledger.close)
        finally:
            self._thread.shutdown()

    @contextlib.asynccontextmanager
    async def transaction(
        self, write: Callable[[Ledger], None], then: Callable[[], None]
    ) -> AsyncIterator[sqlite3.Connection]:
        """Let a block write, then `write`, and commit, and do `then`; or let nothing have been. Needs the lock."""
        ledger = self._ledger

        def finish() -> None:
            write(ledger)
            ledger.commit()

        try:
            await self._run(ledger.begin)
            guard(ledger.db)
            try:
                yield ledger.db
            finally:
                unguard(ledger.db)
            await self._run(finish, then)
        finally:
            await self._run(ledger.roll_back)

    async def _run(self, call: Callable[[], _T], then: Callable[[], None] | None = None) -> _T:
        """Run a call to its end in the thread, and `then` once it succeeded; a cancellation waits for that."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, call)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None and future.exception() is not None:
            raise cancelled
        try:
            result = future.result()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: cannot be used: {error}; check free space, owner and mode") from error
        if then is not None:
            then()
        if cancelled is not None:
            raise cancelled
        return result
