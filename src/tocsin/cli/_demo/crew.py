"""The programs of the demo beside its own: a broker where there is one, and the real daemon."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from tocsin.cli._demo import leash
from tocsin.errors import BrokerError, TocsinError
from tocsin.mqtt.embedded import EmbeddedBroker, available, embedded_broker

NO_BROKER: Final = "none"
BROKER_LOG: Final = "broker.log"

_DAEMON_LOG: Final = "daemon.log"
_STOP_S: Final = 15.0
"""Longer than the daemon takes for a goodbye to a broker that does not answer."""
_LAST_LINES: Final = 6
_LONGEST_FOLDER: Final = 70
"""A UNIX socket's path has 107 bytes at most (unix(7)); what goes below the folder takes a third of them."""
_SERVICE_MANAGER: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY")
"""What a service manager told us is not meant for the daemon of the demo."""


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder of our own for the length of a block; nothing of it stays."""
    short = len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER
    place = None if short else "/tmp"  # noqa: S108 - mkdtemp makes a folder with an unguessable name and mode 0700
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-", dir=place, ignore_cleanup_errors=True) as path:
        yield Path(path)


async def broker(
    stack: AsyncExitStack, place: Path, wanted: str | None, tell: Callable[[str], None]
) -> EmbeddedBroker | None:
    """Start a broker that lives as long as the stack, the best that comes up; None, and told why, when there is none.

    Raises BrokerError when the one that is wanted does not come up.
    """
    if wanted == NO_BROKER:
        return None
    if wanted is not None:
        return await _started(stack, place, wanted)
    for name in available():
        try:
            return await _started(stack, place, name)
        except BrokerError as error:
            tell(str(error))
    return None


async def _started(stack: AsyncExitStack, place: Path, name: str) -> EmbeddedBroker:
    try:
        return await stack.enter_async_context(embedded_broker(place, name=name, through=leash.through()))
    except BrokerError as error:
        if name not in available():
            raise
        # The log that the error names goes away with the folder.
        raise BrokerError(f"{name} did not start; its log:\n{last_lines(place / BROKER_LOG)}") from error


class Daemon:
    """`tocsin run` as a process of its own, out of reach of the terminal's Ctrl-C: we end it, in order."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ended(self) -> None:
        """Wait for its end, which nobody asked for, and raise TocsinError with what it said last."""
        code = await self._process.wait()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise TocsinError(f"the daemon {how}; its log:\n{self.said()}")

    def said(self) -> str:
        """Return the end of its log, indented."""
        return last_lines(self._log)

    async def say_goodbye(self) -> None:
        """End it and hold it to its word: a clean end has exit code 0."""
        code = await self.stop()
        if code != 0:
            raise TocsinError(f"the daemon did not end cleanly (exit code {code}); its log:\n{self.said()}")

    async def stop(self) -> int:
        """End it cleanly, or the hard way when it does not follow. Return its exit code."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


@asynccontextmanager
async def daemon(config: Path) -> AsyncIterator[Daemon]:
    """Run the daemon for the length of a block; its log goes beside the configuration."""
    log = config.parent / _DAEMON_LOG
    environ = {key: value for key, value in os.environ.items() if key not in _SERVICE_MANAGER}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *leash.through(),
            *(sys.executable, "-m", "tocsin", "run", "--config", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environ,
            start_new_session=True,
        )
    running = Daemon(process, log)
    try:
        yield running
    finally:
        await running.stop()


def last_lines(path: Path) -> str:
    """Return the end of a log, indented."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        lines = [f"({error.strerror})"]
    return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:] or ["(empty)"])
