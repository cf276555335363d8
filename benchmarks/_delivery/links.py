"""A link that goes dead without a word, a daemon that stands still, a broker that refuses: nobody takes it for success.

Times are those of the shipped settings: a keep-alive of 10 s, and a last will that waits 10 s more.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import orjson

from benchmarks._delivery.broker import HOST
from benchmarks._delivery.rig import Rig, configuration, query, staged
from benchmarks._delivery.verdict import Books
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport

ROOT: Final = "tocsin/v1/ams/host-a/"
_LOOK_S: Final = 0.02
_RATE: Final = 20.0
_SETTLED_S: Final = 5.0
_RIVAL: Final = "another daemon"


@dataclass
class Relay:
    """Passes connections on to the broker, until it is told to swallow what comes; nobody is told."""

    target: int
    port: int = 0
    dead: set[int] = field(default_factory=set)
    """Connections that pass nothing any more, by their number."""
    accepted: int = 0
    takes_new: bool = True
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Relay"]:
        """Listen for the length of a block."""
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, *, takes_new: bool) -> None:
        """Let every connection that there is go dead; new ones pass or do not."""
        self.dead |= set(range(1, self.accepted + 1))
        self.takes_new = takes_new

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        number, task = self.accepted, asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        if not self.takes_new:
            self.dead.add(number)
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_ends:
            open_ends.callback(writer.close)
            to_reader, to_writer = await asyncio.open_connection(HOST, self.target)
            open_ends.callback(to_writer.close)
            await asyncio.gather(self._pass(number, reader, to_writer), self._pass(number, to_reader, writer))

    async def _pass(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if number not in self.dead:
                    writer.write(data)
                    await writer.drain()
        if number not in self.dead:
            writer.close()


class Statuses:
    """Notes what is said on `status`, and when."""

    def __init__(self, port: int) -> None:
        self._transport = MqttTransport(BrokerSettings(host=HOST, port=port, client_id="statuses"))
        self.said: list[tuple[float, str]] = []
        self.boots: list[tuple[float, str]] = []
        """Which life said it."""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Statuses"]:
        """Listen for the length of a block."""
        async with self._transport.connect(will=None, on_message=self._take) as connection:
            await connection.subscribe(ROOT + "status")
            yield self

    def _take(self, received: Received) -> None:
        data = orjson.loads(received.payload)["data"] if received.payload else {}
        now = asyncio.get_running_loop().time()
        self.said.append((now, str(data.get("state", ""))))
        self.boots.append((now, str(data.get("boot_id", ""))))

    async def until(self, state: str, since: float, *, within_s: float = 90) -> float:
        """Return how long after `since` this was said."""
        async with asyncio.timeout(within_s):
            while not (found := [at for at, said in self.said if said == state and at >= since]):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
        return found[0] - since


def _orders(name: str, seconds: float) -> dict[str, object]:
    return {"seed": name, "rate": _RATE, "goal": int(_RATE * seconds)}


async def half_open(folder: Path) -> dict[str, float]:
    """Let the daemon's connection go dead: how soon it connects again, and how soon the broker calls it lost."""
    loop = asyncio.get_running_loop()
    rig = Rig.of(folder, _orders("half-open", 90))
    async with Relay(target=rig.broker.port).running() as relay:
        (folder / "tocsin.toml").write_text(configuration(folder, relay.port))
        async with staged(rig), Statuses(rig.broker.port).listening() as statuses:
            await rig.until(lambda now: now["seq"] >= _RATE, "the first alerts")
            began, before = loop.time(), relay.accepted
            relay.cut(takes_new=True)
            async with asyncio.timeout(60):
                while relay.accepted == before:
                    rig.listen()
                    await asyncio.sleep(_LOOK_S)
            reconnect_s = loop.time() - began
            await rig.until(lambda now: now["broker"]["state"] == "connected", "it is connected again")
            began = loop.time()
            relay.cut(takes_new=False)
            lost_s = await statuses.until("lost", began)
            relay.takes_new = True
            await statuses.until("ready", loop.time())
            wrong = await _ended(rig)
    return {
        "half_open_reconnect_s": round(reconnect_s, 1),
        "half_open_lost_s": round(lost_s, 1),
        "half_open_wrong": wrong,
    }


async def standstill(folder: Path, *, seconds: float) -> dict[str, float]:
    """Stop the daemon's process: how soon the broker calls it lost, and what is wrong once it goes on."""
    loop = asyncio.get_running_loop()
    rig = Rig.of(folder, _orders("standstill", 60))
    async with staged(rig), Statuses(rig.broker.port).listening() as statuses:
        await rig.until(lambda now: now["seq"] >= _RATE, "the first alerts")
        began = loop.time()
        rig.daemon.signal(signal.SIGSTOP)
        try:
            lost_s = await statuses.until("lost", began)
            await asyncio.sleep(max(0.0, began + seconds - loop.time()))
        finally:
            rig.daemon.signal(signal.SIGCONT)
        back_s = await statuses.until("ready", loop.time())
        wrong = await _ended(rig)
    return {"stopped_lost_s": round(lost_s, 1), "stopped_back_s": round(back_s, 1), "stopped_wrong": wrong}


async def rivals(folder: Path, *, seconds: float = 25) -> dict[str, float]:
    """Run two daemons of one name: how often the word on `status` goes from one to the other once they know."""
    loop = asyncio.get_running_loop()
    rig = Rig.of(folder / "first", _orders("rivals", 10))
    text = configuration(folder / "second", rig.broker.port)
    second = Rig.of(folder / "second", {"rate": 0}, text=text)
    async with staged(rig), Statuses(rig.broker.port).listening() as statuses:
        await rig.until(lambda now: now["seq"] >= _RATE, "the first alerts")
        second.daemon.start()
        try:
            told = await second.until(lambda now: _RIVAL in str(now["broker"]), "the second one knows of the first")
            since = loop.time()
            await asyncio.sleep(seconds)
        finally:
            second.end()
        wrong = await _ended(rig)
    boots = [boot for at, boot in statuses.boots if since + _SETTLED_S <= at <= since + seconds]
    flaps = sum(one != other for one, other in pairwise(boots))
    return {"rivals_flaps": flaps, "rivals_told": int(_RIVAL in str(told["broker"])), "rivals_wrong": wrong}


async def denied(folder: Path) -> dict[str, float]:
    """Let the broker's access list deny the stream: how many alerts count as sent, and what is wrong afterwards."""
    rig = Rig.of(folder, _orders("denied", 10))
    acl = folder / "broker" / "acl"
    acl.write_text(f"topic deny {ROOT}event/#\ntopic readwrite #\n")
    acl.chmod(0o600)
    rig.broker.lines = (*rig.broker.lines, f"acl_file {acl}")
    async with staged(rig):
        shown = await rig.until(lambda now: now["seq"] >= 5 * _RATE, "alerts that nobody takes")
        [[silent]] = query(folder / "state" / "tocsin.db", "SELECT count(*) FROM outbox WHERE sent_wall_ns IS NOT NULL")
        acl.write_text("topic readwrite #\n")
        rig.broker.reload()
        wrong = await _ended(rig)
    return {"denied_silent": int(silent), "denied_told": int("refused" in str(shown["broker"])), "denied_wrong": wrong}


async def _ended(rig: Rig) -> int:
    """Wait until all is over and here; return how much is wrong."""
    goal = int(rig.goal)
    last = await rig.until(
        lambda now: now["seq"] >= goal and not now["alerts"] and not now["broker"]["outbox"], "the end", within_s=300
    )
    await rig.until_here(last["seq"])
    return Books.of(rig.folder).wrong()
