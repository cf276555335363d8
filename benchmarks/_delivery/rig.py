"""Broker, daemon and consumer, each a process that may be killed and started again; and what they have in the end."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from benchmarks._delivery import consumer
from benchmarks._delivery.broker import Broker
from benchmarks._delivery.patients import SLOT_S
from benchmarks._delivery.source import FIRST_ID
from tocsin.cli import _client
from tocsin.clock import SystemClock
from tocsin.errors import ControlError

CONFIG: Final = "tocsin.toml"
WELL: Final = 4
WAIT_S: Final = 120.0
_PAUSE_S: Final = 0.02
SELF_TEST: Final = "/self.test"
"""How the topics of its words end."""

CALM: Final = """
[alerts]
flap_transitions = 0
remind_critical = []
remind_warning = []
[detector."self.loop_lag"]
warning = { over = 600000, polls = 3 }
[detector."self.heartbeat"]
warning = { over = 600 }
[detector."node.wrong_chain"]
clear_polls = 1
clear_slots = 0
[detector."node.syncing"]
warning = { over = 1 }
clear = { under = 1 }
"""
"""What happens is to be told at once and as often as it happens; what a crowded machine does is not what this is
about."""
TESTS: Final = "self-tests"
"""Numbers of the self-test: its rows are forgotten once they expired, so they are written down while they are there."""
_LOOK_S: Final = 1.0


def configuration(
    folder: Path,
    port: int,
    *,
    chains: int = 1,
    weak: int = 24,
    tick: str = "50ms",
    slot_s: int = SLOT_S,
    own: bool = False,
    self_test: str = "0s",
    more: str = "",
) -> str:
    """Return a configuration: on each chain four nodes that are well, and so many of one provider that may fall ill.

    `own` makes those that may fall ill nodes of the operator; `self_test` is how often it is said.
    """
    tables = [
        'schema = 1\n[watchdog]\nsite = "ams"\nname = "host-a"\nenvironment = "test"',
        f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"',
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"',
        f'[[consumer]]\nname = "{consumer.NAME}"\nkey = "{consumer.KEY}"',
        CALM,
        f'[self_test]\nevery = "{self_test}"',
        more,
    ]
    for chain in range(chains):
        head = f'[[chain]]\nname = "c{chain}"\nid = {FIRST_ID + chain}\nblock_time = "{slot_s}s"'
        tables.append(f'{head}\npoll = "5s"\ntick = "{tick}"')
        tables += [_node(f"w{at}", f"p{at}") for at in range(WELL)]
        tables += [_node(f"s{at}", "weak", own=own) for at in range(weak)]
    return "\n".join(tables)


def _node(name: str, provider: str, *, own: bool = False) -> str:
    more = "\nown = true" if own else ""
    return f'[[chain.node]]\nname = "{name}"\nurl = "http://127.0.0.1:9"\nprovider = "{provider}"{more}'


class Member:
    """One Python process of the stage, which takes orders and says things, a line of JSON each."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.command = command
        self.lives = 0
        self.since_ns = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log

    def start(self) -> None:
        """Begin a life."""
        self.lives += 1
        self.since_ns = SystemClock().monotonic_ns()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=_environ()
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._rest = b""

    @property
    def is_up(self) -> bool:
        """Whether it lives."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self.process is not None
        return self.process.pid

    def listen(self) -> list[dict[str, Any]]:
        """Return what it said since the last call."""
        if self.process is None or self.process.stdout is None:
            return []
        self._rest += _available(self.process.stdout)
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines if line]

    def order(self, **words: object) -> None:
        """Tell it something; it may be dead already."""
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(words).encode() + b"\n")
            self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.reap()

    def reap(self) -> None:
        """Take note that it is dead."""
        if self.process is not None:
            self.process.wait(WAIT_S)
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self.process = None


def _available(pipe: IO[bytes]) -> bytes:
    try:
        return os.read(pipe.fileno(), 1 << 20)
    except BlockingIOError:
        return b""


def _environ() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TOCSIN_", "NOTIFY_"))}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@dataclass(kw_only=True)
class Rig:
    """All of them in a folder."""

    folder: Path
    broker: Broker
    daemon: Member
    consumer: Member
    counts: list[Mapping[str, int]] = field(default_factory=list)
    """What the consumer's lives counted, the newest last."""
    goal: int = 0
    """Where the stream ends, by its orders."""
    stalls: list[dict[str, Any]] = field(default_factory=list)
    """How long the daemon's loop stood still, second by second, where that is measured."""
    imports_s: list[float] = field(default_factory=list)
    """How long each life of the daemon took to be an interpreter with its program loaded, before its first line."""
    storm: dict[str, int] = field(default_factory=dict)
    """How many alerts a storm raises, and how many of them are critical, once it has begun."""
    tests: set[int] = field(default_factory=set)
    """Numbers of words of the self-test that were seen in the store."""
    looked_s: float = 0.0
    position: int = 0
    """Up to which number the consumer has everything."""

    @classmethod
    def of(
        cls,
        folder: Path,
        orders: Mapping[str, object],
        *,
        text: str | None = None,
        port: int | None = None,
        self_test: str = "0s",
    ) -> "Rig":
        """Return one with a configuration; nothing runs yet. `port` is where the daemon finds the broker."""
        folder.mkdir(parents=True, exist_ok=True)
        broker = Broker(folder)
        config = folder / CONFIG
        config.write_text(text or configuration(folder, port or broker.port, self_test=self_test))
        config.chmod(0o600)
        (folder / "state").mkdir(mode=0o700, exist_ok=True)
        clock = SystemClock()
        whole = {**orders, "began": (clock.monotonic_ns(), clock.wall_ns())}
        source = ["-m", "benchmarks._delivery.source", "--config", str(config), "--orders", json.dumps(whole)]
        subscriber = ["-m", "benchmarks._delivery.consumer", "--folder", str(folder), "--port", str(broker.port)]
        subscriber += ["--naive"] if orders.get("naive") else []
        return cls(
            folder=folder,
            broker=broker,
            goal=int(str(orders.get("goal", 0))),
            daemon=Member("daemon", [sys.executable, *source], folder / "daemon.log"),
            consumer=Member("consumer", [sys.executable, *subscriber], folder / "consumer.log"),
        )

    def listen(self) -> list[dict[str, Any]]:
        """Take in what both said; return what they reached."""
        self._look_for_tests()
        heard = self.daemon.listen() + self.consumer.listen()
        for line in heard:
            if "imported_ns" in line:
                self.imports_s.append((line["imported_ns"] - self.daemon.since_ns) / 1e9)
            if "stall_ms" in line:
                self.stalls.append(line)
            if "storm" in line:
                self.storm = line
            if "counts" in line:
                self.position = max(self.position, *line["positions"].values())
                self._count(line["counts"])
        return [line for line in heard if "reached" in line]

    def _look_for_tests(self) -> None:
        """Write down, once a second, which numbers are of the self-test."""
        now_s = SystemClock().monotonic_ns() / 1e9
        path = self.folder / "state" / "tocsin.db"
        if now_s - self.looked_s < _LOOK_S or not path.exists():
            return
        self.looked_s = now_s
        with contextlib.suppress(sqlite3.Error):
            rows = query(path, "SELECT seq, topic FROM outbox WHERE severity = 0")
            fresh = {seq for seq, topic in rows if topic.endswith(SELF_TEST)} - self.tests
            self.tests |= fresh
            with (self.folder / TESTS).open("a") as file:
                file.writelines(f"{seq}\n" for seq in sorted(fresh))

    def _count(self, counts: Mapping[str, int]) -> None:
        while len(self.counts) < self.consumer.lives:
            self.counts.append({})
        self.counts[self.consumer.lives - 1] = counts

    async def status(self) -> dict[str, Any] | None:
        """Return the daemon's status; None while it does not answer."""
        try:
            found: dict[str, Any] = await asyncio.to_thread(_client.ask, str(self.folder / "run"), "status", {})
        except ControlError:
            return None
        return found

    async def until(
        self, wanted: Callable[[dict[str, Any]], object], what: str, *, within_s: float = WAIT_S, every_s: float = 0.1
    ) -> dict[str, Any]:
        """Return the first status that is wanted. Raises TimeoutError."""
        last: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(within_s):
                while True:
                    self.listen()
                    last = await self.status()
                    if last is not None and wanted(last):
                        return last
                    await asyncio.sleep(every_s)
        except TimeoutError:
            raise TimeoutError(f"waited {within_s:g} s in vain: {what}; {self.folder}; the status is {last}") from None

    async def until_here(self, seq: int, *, within_s: float = WAIT_S) -> None:
        """Return when the consumer has everything up to a number. Raises TimeoutError."""
        try:
            async with asyncio.timeout(within_s):
                while self.position < seq:
                    self.listen()
                    self._check(self.consumer)
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            raise TimeoutError(f"the consumer has {self.position} of {seq}; see {self.folder}") from None

    def _check(self, member: Member) -> None:
        if not member.is_up:
            raise RuntimeError(f"{member.name} died by itself; see {self.folder / member.name}.log")

    def rss_mb(self) -> float:
        """Return the memory of the daemon."""
        text = Path(f"/proc/{self.daemon.pid}/status").read_text()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:"))) / 1024

    def end(self) -> None:
        """Leave nothing behind."""
        for member in (self.daemon, self.consumer):
            member.kill()
        if self.broker.is_up:
            self.broker.kill()


@contextlib.asynccontextmanager
async def staged(rig: Rig) -> AsyncIterator[Rig]:
    """Run all three for the length of a block."""
    try:
        rig.broker.start()
        rig.daemon.start()
        rig.consumer.start()
        yield rig
    finally:
        rig.end()


def query(path: Path, text: str) -> list[tuple[Any, ...]]:
    """Read a database that nobody writes any more, or that somebody does."""
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
        return db.execute(text).fetchall()
