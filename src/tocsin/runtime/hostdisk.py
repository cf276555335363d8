"""Looking at file systems. `statvfs` hangs for ever on a network file system whose server is gone: it has a thread."""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tocsin.model.host import DiskSample

_PATIENCE_S: Final = 5.0

Look = Callable[[str], os.statvfs_result]


class Disks:
    """Looks at paths, at most one thread each: a path that hangs is not looked at again before it comes back."""

    def __init__(self, *, look: Look = os.statvfs, patience_s: float = _PATIENCE_S) -> None:
        self._look = look
        self._patience_s = patience_s
        self._pending: dict[str, asyncio.Future[DiskSample]] = {}

    async def sample(self, paths: tuple[str, ...]) -> tuple[DiskSample, ...]:
        """Return a sample of each path, in order. Never raises for what a file system does."""
        for path in paths:
            if path not in self._pending:
                self._pending[path] = self._start(path)
        pending = {path: self._pending[path] for path in paths}
        if pending:
            await asyncio.wait(pending.values(), timeout=self._patience_s)
        return tuple(self._taken(path) for path in paths)

    def _taken(self, path: str) -> DiskSample:
        future = self._pending.get(path)
        if future is not None and not future.done():
            return DiskSample(path=path, problem=f"it does not answer within {self._patience_s:g} s")
        return self._pending.pop(path).result() if future is not None else DiskSample(path=path, problem="gone")

    def _start(self, path: str) -> "asyncio.Future[DiskSample]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[DiskSample] = loop.create_future()

        def settle(sample: DiskSample) -> None:
            if not future.done():
                future.set_result(sample)

        def run() -> None:
            sample = sample_of(path, self._look)
            with suppress(RuntimeError):  # the loop has closed meanwhile
                loop.call_soon_threadsafe(settle, sample)

        # A daemon thread: one that hangs must not keep the process from ending, as one of an executor would.
        threading.Thread(target=run, name="tocsin-disk", daemon=True).start()
        return future


def sample_of(path: str, look: Look = os.statvfs) -> DiskSample:
    """Look at the file system of a path. Blocks; never raises for what the system says."""
    try:
        found = look(path)
    except OSError as error:
        return DiskSample(path=path, problem=error.strerror or "it cannot be looked at")
    # What is reserved for root counts as taken: a node does not run as root.
    return DiskSample(
        path=path,
        size=found.f_frsize * found.f_blocks,
        free=found.f_frsize * found.f_bavail,
        inodes=found.f_files,
        inodes_free=min(found.f_favail, found.f_files),
    )
