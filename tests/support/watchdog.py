"""The real daemon as a process, and a subscriber that remembers all it heard: what the end-to-end tests are made of."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import orjson
from tests.support.broker import PASSWORD, ROOT, Heard, Mosquitto, client_of

from tocsin.cli import _client
from tocsin.errors import ControlError

WAIT_S = 60.0
"""How long anything may take that a test waits for. Generous: it only decides when a test gives up."""

_PAUSE_S = 0.02

CALM = """
[detector."self.loop_lag"]
warning = { over = 60000, polls = 3 }
[detector."self.heartbeat"]
warning = { over = 600 }
[alerts]
flap_transitions = 0
"""
"""A machine that runs tests stalls, and makes the same nodes ill again and again; that is not what they are about."""


async def eventually(condition: Callable[[], object], what: str, *, within_s: float = WAIT_S) -> None:
    """Return once the condition holds; fail with `what` was waited for when it does not come about."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - it may be anything, also of another process
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        raise AssertionError(f"waited {within_s:g} s in vain: {what}") from None


# -- configurations


@dataclass(frozen=True, kw_only=True)
class NodeAt:
    """One node of a configuration."""

    url: str
    provider: str = "p"
    own: bool = False
    more: str = ""
    """Further lines of its table."""


def toml(
    folder: Path,
    nodes: Mapping[str, NodeAt],
    *,
    broker: str | None = None,
    chain_id: int = 1337,
    block_time: str = "200ms",
    poll: str = "100ms",
    timeout: str = "2s",
    chain: str = "",
    more: str = CALM,
) -> str:
    """Return a configuration of one chain `sim`; `broker` is the [mqtt] table, `chain` and `more` are further lines."""
    tables = [
        "schema = 1",
        '[watchdog]\nsite = "ams"\nname = "host-a"\nenvironment = "test"',
        f'state_dir = "{folder / "state"}"\nruntime_dir = "{folder / "run"}"',
        f"[mqtt]\n{broker}" if broker else "",
        f'[[chain]]\nname = "sim"\nid = {chain_id}\nblock_time = "{block_time}"\npoll = "{poll}"\ntick = "50ms"',
        *(_node(name, node, timeout) for name, node in nodes.items()),
        chain,
        more,
        "" if "[self_test]" in more else '[self_test]\nevery = "0s"',  # or numbers of the stream would go on meanwhile
    ]
    return "\n".join(tables)


def _node(name: str, node: NodeAt, timeout: str) -> str:
    own = "true" if node.own else "false"
    return (
        f'[[chain.node]]\nname = "{name}"\nurl = "{node.url}"\nprovider = "{node.provider}"\nown = {own}\n'
        f'timeout = "{timeout}"\n{node.more}'
    )


def mqtt_of(broker: Mosquitto) -> str:
    """Return the [mqtt] table for a broker."""
    user = f'user = "{broker.user}"\npassword = {{ env = "BROKER_PASSWORD" }}\n' if broker.user else ""
    return f'url = "mqtt://{broker.host}:{broker.port}"\n{user}'


# -- the process


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command printed."""

    code: int
    out: str
    err: str


class Watchdog:
    """`python -m tocsin run` in a folder of its own. Started again it goes on with the same state directory."""

    def __init__(self, folder: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.config = folder / "tocsin.toml"
        self.state_dir = folder / "state"
        self.runtime_dir = folder / "run"
        inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        self.environ = {**inherited, "BROKER_PASSWORD": PASSWORD, **(environ or {})}
        self.lives = 0
        self._process: subprocess.Popen[bytes] | None = None
        for each in (folder, self.state_dir):  # the runtime directory it makes itself
            each.mkdir(parents=True, exist_ok=True, mode=0o700)

    def configure(self, text: str) -> None:
        """Write the configuration; a running daemon reads it when told to."""
        self.config.write_text(text)
        self.config.chmod(0o600)

    def start(self, *, log_level: str = "info", code: str | None = None, through: Sequence[str] = ()) -> None:
        """Start it; with `code`, a program that does something to itself first and then runs `tocsin`.

        `through` is a command that makes room for it and becomes it.
        """
        assert self._process is None
        self.lives += 1
        program = ["-m", "tocsin"] if code is None else ["-c", code]
        command = [*through, sys.executable, *program, "run", "--config", str(self.config), "--log-level", log_level]
        with self._log_path(self.lives).open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environ
            )

    async def ready(self, *, within_s: float = WAIT_S) -> None:
        """Wait until it calls itself ready; fail with its log when it ends before."""
        await eventually(
            lambda: ": ready: " in self.log() or self.exit_code is not None, "the daemon is ready", within_s=within_s
        )
        assert self.exit_code is None, self.log()

    async def watching(self) -> None:
        """Wait until it knows the head of every chain; it calls itself ready up to a second later."""
        await self.until_status(lambda now: all(chain["head"] for chain in now["chains"]), "the daemon knows the head")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it lives."""
        assert self._process is not None
        return self._process.poll()

    async def ended(self, *, within_s: float = WAIT_S) -> int:
        """Wait until it has ended by itself; return its exit code."""
        process = self._process
        assert process is not None
        await eventually(lambda: process.poll() is not None, "the daemon ends", within_s=within_s)
        self._process = None
        assert process.returncode is not None
        return process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> int:
        """Stop it as an administrator would; return the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """End it as a crash would."""
        self.signal(signal.SIGKILL)
        await self.ended()

    def log(self, life: int | None = None) -> str:
        """Return what the present life, or the one that is named, wrote so far."""
        return self._log_path(life or self.lives).read_text(errors="replace")

    def _log_path(self, life: int) -> Path:
        return self.folder / f"log-{life}"

    # -- asking it

    async def ask(self, verb: str, **args: object) -> Any:
        """Ask over the control socket. Raises ControlError."""
        return await asyncio.to_thread(_client.ask, str(self.runtime_dir), verb, args)

    async def status(self) -> dict[str, Any]:
        """Return the status document."""
        document: dict[str, Any] = await self.ask("status")
        return document

    async def until_status(self, wanted: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Return the first status document that is wanted."""
        document: dict[str, Any] = {}
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    with contextlib.suppress(ControlError):
                        document = await self.status()
                        if wanted(document):
                            return document
                    assert self.exit_code is None, self.log()
                    await asyncio.sleep(2 * _PAUSE_S)
        except TimeoutError:
            raise AssertionError(f"waited in vain: {what}; the status is {document}") from None

    async def command(self, *arguments: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Said:
        """Run a command of the program in a fresh process."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tocsin",
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environ, **(environ or {})},
            cwd=cwd or self.folder,
        )
        async with asyncio.timeout(WAIT_S):
            out, err = await process.communicate()
        return Said(code=process.returncode or 0, out=out.decode(), err=err.decode())

    async def dispose(self) -> None:
        """End whatever is left of it."""
        if self._process is not None:
            self._process.kill()
            await self.ended()


@contextlib.asynccontextmanager
async def watchdog(folder: Path, text: str, *, environ: Mapping[str, str] | None = None) -> AsyncIterator[Watchdog]:
    """Give a daemon with a configuration, not started yet; it is gone at the end."""
    daemon = Watchdog(folder, environ=environ)
    daemon.configure(text)
    try:
        yield daemon
    finally:
        await daemon.dispose()
        for life in range(1, daemon.lives + 1):
            print(f"-- life {life} of the daemon\n{daemon.log(life)}")  # noqa: T201 - pytest shows it when a test fails


# -- a subscriber


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of the stream."""

    heard: Heard
    data: Mapping[str, Any]

    @property
    def seq(self) -> int:
        return int(self.data["seq"])

    @property
    def key(self) -> tuple[str, str, str]:
        """Detector, node (or chain, or watchdog) and severity."""
        return (self.data["detector"], subject_of(self.data["labels"]), self.data["severity"])


def subject_of(labels: Mapping[str, str]) -> str:
    """Return a node's name without the site, `chain` for an alert about a chain, `self` for one about the watchdog."""
    if "node" in labels:
        return labels["node"].removeprefix("ams.")
    return "chain" if "chain" in labels else "self"


@dataclass
class Subscriber:
    """Hears everything below the root, connects again when the broker was away, and forgets nothing."""

    broker: Mosquitto
    user: str | None = None
    heard: list[Heard] = field(default_factory=list)
    connected: bool = False

    async def listen(self) -> None:
        """Listen until cancelled."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with client_of(self.broker, user=self.user) as client:
                    await client.subscribe(ROOT + "#", qos=1)
                    self.connected = True
                    async for message in client.messages:
                        self.heard.append(_heard(message))
            self.connected = False
            await asyncio.sleep(_PAUSE_S)

    @property
    def events(self) -> list[Event]:
        """The alerts of the stream, in the order in which they came."""
        stream = (one for one in self.heard if one.topic.startswith(ROOT + "event/") and b"alert.v1" in one.payload)
        return [Event(heard=one, data=one.data) for one in stream]

    @property
    def retained(self) -> dict[str, Heard]:
        """The last word on each topic that is retained, by topic below the root; what was cleared is not there."""
        kept = {
            one.topic.removeprefix(ROOT): one
            for one in self.heard
            if not one.topic.startswith((ROOT + "event/", ROOT + "heartbeat"))
        }
        return {topic: one for topic, one in kept.items() if one.payload}

    def states(self) -> list[str]:
        """Return what was said on `status`, in order; `?` for what is nothing of ours."""
        return [_state_in(one) for one in self.heard if one.topic == ROOT + "status" and one.payload]

    async def until(self, wanted: Callable[[Event], object], what: str) -> Event:
        """Return the first event of the stream, before or from now on, that is wanted."""
        found: list[Event] = []

        def look() -> bool:
            found[:] = [event for event in self.events if wanted(event)][:1]
            return bool(found)

        try:
            await eventually(look, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; heard {[(*one.key, one.data['state']) for one in self.events]}") from None
        return found[0]

    async def until_fired(self, detector: str, subject: str, *, activation: int = 1) -> Event:
        """Return the event with which an alert fired."""
        return await self.until(
            lambda one: (
                one.key[:2] == (detector, subject)
                and (one.data["reason"], one.data["activation"]) == ("fired", activation)
            ),
            f"{detector} fires for {subject}",
        )

    async def until_resolved(self, detector: str, subject: str, *, activation: int = 1) -> Event:
        """Return the event with which an alert resolved."""
        return await self.until(
            lambda one: (
                one.key[:2] == (detector, subject)
                and (one.data["state"], one.data["activation"]) == ("resolved", activation)
            ),
            f"{detector} resolves for {subject}",
        )


def _state_in(one: Heard) -> str:
    try:
        return str(one.data["state"])
    except (ValueError, LookupError, TypeError, AssertionError):
        return "?"


def reached(events: Iterable[Event]) -> set[tuple[str, str, str]]:
    """Return every alert with each severity that it reached."""
    return {event.key for event in events if event.data["reason"] in ("fired", "raised")}


def open_alerts(events: Iterable[Event]) -> set[tuple[str, str]]:
    """Return the alerts that fired, or became unknown, and have not resolved: detector and subject."""
    last: dict[tuple[str, str], str] = {}
    for event in events:
        last[event.key[0], event.key[1]] = event.data["state"]
    return {key for key, state in last.items() if state != "resolved"}


def seqs(events: Sequence[Event]) -> list[int]:
    """Return the numbers of the events in rising order."""
    return sorted(event.seq for event in events)


@contextlib.asynccontextmanager
async def subscribed(broker: Mosquitto, *, user: str | None = None) -> AsyncIterator[Subscriber]:
    """Give a subscriber that is there before anything is published."""
    async with listened(Subscriber(broker, user)) as subscriber:
        yield subscriber


@contextlib.asynccontextmanager
async def listened(subscriber: Subscriber) -> AsyncIterator[Subscriber]:
    """Let a subscriber listen for the length of a block."""
    async with beside(subscriber.listen()):
        await eventually(lambda: subscriber.connected, "the subscriber is connected")
        yield subscriber


@contextlib.asynccontextmanager
async def beside(work: Awaitable[None]) -> AsyncIterator[None]:
    """Run something for ever beside a block; its failure fails the block."""

    async def run() -> None:
        await work

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        try:
            yield
        finally:
            task.cancel()


def _heard(message: aiomqtt.Message) -> Heard:
    return Heard(
        topic=str(message.topic),
        payload=bytes(message.payload or b""),
        retained=message.retain,
        qos=message.qos,
        expiry_s=None,
        content_type=None,
    )


def payload_of(text: str) -> Any:
    """Read one line of JSON."""
    return orjson.loads(text)
