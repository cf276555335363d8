"""A disk that really is full: a small file system of its own under the state directory, and somebody who fills it.

Whatever the daemon gives up, its reserve included, is filled as well, so that in the end nothing can be written at
all. Alerts go on all the while; then there is room again.
"""

import asyncio
import contextlib
import errno
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks._delivery.links import ROOT, Statuses
from benchmarks._delivery.rig import Rig, query, staged
from benchmarks._delivery.verdict import Books
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport

_SIZE_MB: Final = 80
"""The reserve, what has to be free before the journal goes on, and room for both lives of the database."""
_RATE: Final = 20.0
_BLOCK: Final = b"\xaa" * (1 << 16)
_REFILL_S: Final = 0.05
_MARKS: Final = 100
"""So many alerts go out marked before there is room again."""


class NoMount(RuntimeError):  # noqa: N818 - reads as the condition
    """A file system cannot be mounted here."""


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Lay a file system of its own over a folder for the length of a block. Raises NoMount."""
    options = f"size={_SIZE_MB}m,mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoMount(f"a file system for the state directory cannot be mounted: {done.stderr.strip()}; run it as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


class Filler:
    """Takes what room there is, for as long as it is wanted."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    async def run(self) -> None:
        """Fill, again and again, until cancelled."""
        while True:
            with self._path.open("ab", buffering=0) as file, contextlib.suppress(BlockingIOError):
                self._fill(file.write)
            await asyncio.sleep(_REFILL_S)

    def _fill(self, write: Any) -> None:
        for size in (len(_BLOCK), 4096):
            try:
                while True:
                    write(_BLOCK[:size])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def end(self) -> None:
        """Give all of it back."""
        self._path.unlink()


class Marks:
    """Counts alerts that came with the mark that they are not on disk."""

    def __init__(self, port: int) -> None:
        self._transport = MqttTransport(BrokerSettings(host="127.0.0.1", port=port, client_id="marks"))
        self.count = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Marks"]:
        """Listen for the length of a block."""
        async with self._transport.connect(will=None, on_message=self._take) as connection:
            await connection.subscribe(f"{ROOT}event/#")
            yield self

    def _take(self, received: Received) -> None:
        self.count += orjson.loads(received.payload)["data"].get("durable") is False


async def disk_full(folder: Path) -> dict[str, float]:
    """Return how many alerts went out marked, what was told, how soon all was on disk again, and what is wrong."""
    loop = asyncio.get_running_loop()
    orders = {"seed": "full", "rate": _RATE, "goal": 100, "until": str(folder / "until")}
    rig = Rig.of(folder, orders)
    state, port = folder / "state", rig.broker.port
    with small_disk(state):
        async with staged(rig), Statuses(port).listening() as statuses, Marks(port).listening() as marks:
            await rig.until(lambda now: now["seq"] >= _RATE, "the first alerts")
            filler, began = Filler(state), loop.time()
            task = asyncio.ensure_future(filler.run())
            try:
                shown = await rig.until(lambda _: marks.count >= _MARKS, "alerts go out marked")
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                filler.end()
            degraded_s = await statuses.until("degraded", began)
            up = loop.time()
            (folder / "until").touch()
            await rig.until(lambda now: now["store"]["state"] == "ok", "there is room again")
            back_s = loop.time() - up
            last = await rig.until(lambda now: not now["alerts"] and not now["broker"]["outbox"], "the end")
            await rig.until_here(last["seq"])
        gaps = query(state / "tocsin.db", "SELECT count(*) FROM gap")[0][0]
        books = Books.of(folder)
    return {
        "full_marked": marks.count,
        "full_told": int("full" in str(shown["store"]["detail"])),
        "full_degraded_s": round(degraded_s, 1),
        "full_back_s": round(back_s, 1),
        "full_gaps": gaps,
        "full_alerts": len(books.raised),
        "full_wrong": books.wrong(),
    }
