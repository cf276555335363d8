"""The one who speaks to the broker: connects again and again, and sends what the store holds.

A row is marked sent only after the broker's positive answer. On each connect everything retained is said again from
our own table: a broker may have lost its memory. A refused publish stays, is shown in `health` and is tried again at
a slow pace; a broker that is away costs nothing but time.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from tocsin.clock import Clock
from tocsin.errors import BrokerError, PublishRefused
from tocsin.mqtt import presence
from tocsin.mqtt.client import Received
from tocsin.mqtt.health import Health, Link, Tally
from tocsin.mqtt.outbox import Outbox
from tocsin.mqtt.peers import Ears
from tocsin.mqtt.presence import Life, Rival, Stale, State
from tocsin.mqtt.pump import Pump
from tocsin.mqtt.tasks import first_of
from tocsin.mqtt.transport import Connection, Transport, publish
from tocsin.store import RetainedRow
from tocsin.wire import topics
from tocsin.wire.envelope import Message

Beat = Callable[[], Mapping[str, object]]
"""Gives the data of a heartbeat at this moment: heads per chain, loop lag, outbox depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Paces, in seconds."""

    heartbeat_s: int = 10
    backoff_first_s: float = 0.5
    backoff_most_s: float = 30.0
    steady_s: float = 30.0
    """A connection that held this long was a good one: the next failure starts from the first back-off again."""
    refused_pause_s: float = 30.0
    correction_s: float = 0.2
    """Between two sayings of `status`: nobody can make us talk without end."""


class Publisher:
    """Owns the connection. `run` is a task of the supervisor; everything else may be called at any time."""

    def __init__(
        self,
        *,
        life: Life,
        transport: Transport | None,
        outbox: Outbox,
        clock: Clock,
        broker: str = "",
        beat: Beat = dict,
        timers: Timers | None = None,
        ears: Ears | None = None,
    ) -> None:
        self._life = life
        self._transport = transport
        self._outbox = outbox
        self._clock = clock
        self._beat = beat
        self._ears = ears
        self._timers: Final = timers or Timers()
        self._state = State.INIT
        self._description: Mapping[str, object] | None = None
        self._description_due = False
        self._news = asyncio.Event()
        self._leaving = asyncio.Event()
        self._ended = asyncio.Event()
        self._parted = False
        self._flush_until = 0.0
        self._beats = 0
        self._rival_until = 0.0
        self._rival = ""
        self._yielding = False
        self._tally = Tally()
        self._link = Link.CONNECTING if transport is not None else Link.NONE
        self._error = ""
        self._since_wall_ns = clock.wall_ns()
        self._broker = broker
        self._pump = Pump(
            outbox,
            life=life,
            clock=clock,
            pause_s=self._timers.refused_pause_s,
            own=frozenset(life.origin.root + topic for topic in (topics.STATUS, topics.DESCRIPTION)),
            tally=self._tally,
        )

    def set_state(self, state: State) -> None:
        """Say on `status` how the daemon is."""
        self._state = state
        self._news.set()

    def set_description(self, document: Mapping[str, object]) -> None:
        """Say on `description` what is watched."""
        self._description = document
        self._description_due = True
        self._news.set()

    def set_config_hash(self, config_hash: str) -> None:
        """Say on `status` which configuration is in force."""
        self._life = replace(self._life, config_hash=config_hash)
        self._news.set()

    def configure(self, retained: Collection[str]) -> None:
        """Take the retained topics (below our root) that are configured now, at the start and before each reload.

        What else we remember to have published, below this root or, after a change of name, another one, is
        cleared on the broker and forgotten. Alerts below our root end by themselves.
        """
        root = self._life.origin.root
        self._pump.configure(frozenset(root + topic for topic in retained))

    def listen_to(self, peers: Collection[str]) -> None:
        """Hear these other watchdogs, `<site>/<name>` each."""
        if self._ears is not None:
            self._ears.configure(peers)

    @property
    def own_rows(self) -> tuple[RetainedRow, ...]:
        """What to commit at the start, so that our own topics are leftovers after a change of name."""
        return tuple(RetainedRow(topic=topic, payload=b"") for topic in sorted(self._pump.own))

    def health(self) -> Health:
        """Return how it stands with the broker, for `status`, `doctor` and self-alerts."""
        return Health(
            link=self._link,
            broker=self._broker,
            since_wall_ns=self._since_wall_ns,
            error=self._error,
            refused=(*self._pump.holds.refused, *(self._ears.refused if self._ears is not None else ())),
            rival=self._rival if self._rival_now() else "",
            tally=replace(self._tally),
        )

    async def run(self) -> None:
        """Serve until `goodbye`. Without a broker it waits for that and says so in `health`."""
        self._ended.clear()
        try:
            if self._transport is None:
                await self._leaving.wait()
                return
            while not self._leaving.is_set():
                with contextlib.suppress(BrokerError):
                    await self._reconnecting(self._transport)
        finally:
            self._ended.set()

    async def goodbye(self, within_s: float) -> bool:
        """Drain what waits, say `disconnected` and let `run` end; False when that did not fit into the time."""
        self._flush_until = _now() + 0.8 * within_s
        self._leaving.set()
        if self._link is not Link.CONNECTED:
            return self._transport is None
        try:
            await asyncio.wait_for(self._ended.wait(), within_s)
        except TimeoutError:
            return False
        return self._parted

    async def _reconnecting(self, transport: Transport) -> None:
        """Return after a good connection ended; tries for ever, ever more slowly, until we leave."""
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(BrokerError),
            wait=wait_random_exponential(multiplier=self._timers.backoff_first_s, max=self._timers.backoff_most_s),
            stop=self._no_more,
            sleep=self._nap,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                await self._one_connection(transport)

    def _no_more(self, _: RetryCallState) -> bool:
        return self._leaving.is_set()

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)

    async def _one_connection(self, transport: Transport) -> None:
        began = _now()
        try:
            will = presence.will(self._life, self._clock.wall_ns())
            async with transport.connect(will=will, on_message=self._on_message, suffix=self._life.boot) as connection:
                began = _now()
                await self._birth(connection)
                await self._serve(connection)
        except BrokerError as error:
            self._note(Link.DOWN, str(error))
            if _now() - began < self._timers.steady_s:
                raise
        else:
            self._note(Link.DOWN, "")

    async def _birth(self, connection: Connection) -> None:
        """Look at our own topics first, so that no word of another goes unseen, then say who we are."""
        for topic in (topics.STATUS, topics.HEARTBEAT):
            try:
                await connection.subscribe(self._life.origin.root + topic)
            except PublishRefused as refusal:
                self._pump.holds.refuse(refusal.topic, refusal, _now())
        self._pump.start()
        self._news.clear()
        self._description_due = True
        await self._say_who_we_are(connection)
        self._tally.connects += 1
        self._note(Link.CONNECTED, "")

    async def _serve(self, connection: Connection) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._until_lost(connection)),
                    group.create_task(self._keep_presence(connection)),
                    group.create_task(self._keep_beating(connection)),
                    group.create_task(self._pump.run(connection)),
                ]
                if self._ears is not None:
                    tasks.append(group.create_task(self._ears.listen(connection)))
                await self._leaving.wait()
                await self._farewell(connection)
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None

    async def _until_lost(self, connection: Connection) -> None:
        raise await connection.ended()

    async def _keep_presence(self, connection: Connection) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._timers.refused_pause_s)
            if self._news.is_set() or self._pump.holds.refused:
                self._news.clear()
                await self._say_who_we_are(connection)
            await asyncio.sleep(self._timers.correction_s)

    async def _keep_beating(self, connection: Connection) -> None:
        while True:
            self._settle_rivalry()
            if not self._yielding:
                self._beats += 1
                period_s, wall_ns = self._timers.heartbeat_s, self._clock.wall_ns()
                await self._say(
                    connection, presence.heartbeat(self._life, self._beats, self._beat(), period_s, wall_ns)
                )
            await asyncio.sleep(self._timers.heartbeat_s)

    async def _say_who_we_are(self, connection: Connection) -> None:
        if self._yielding:
            return
        wall_ns = self._clock.wall_ns()
        await self._say(connection, presence.status(self._life, self._state, wall_ns))
        if self._description is not None and self._description_due:
            message = presence.description(self._life, self._description, wall_ns)
            self._description_due = not await self._say(connection, message)

    async def _say(self, connection: Connection, message: Message) -> bool:
        try:
            await publish(connection, message)
        except PublishRefused as refusal:
            self._pump.holds.refuse(message.topic, refusal, _now())
            return False
        self._pump.holds.release(message.topic, message.topic)
        return True

    async def _farewell(self, connection: Connection) -> None:
        self._state = State.DRAINING
        await self._say_who_we_are(connection)
        flushed = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._flush_until):
                flushed = await self._pump.idle.wait()
        self._state = State.DISCONNECTED
        await self._say_who_we_are(connection)
        self._parted = flushed

    def _on_message(self, received: Received) -> None:
        self._tally.received += 1
        if self._ears is not None and self._ears.takes(received.topic):
            self._tally.garbage += not self._ears.hear(received)
            return
        match presence.judge(self._life, received):
            case Stale(garbage=garbage):
                self._tally.garbage += garbage
                self._tally.corrections += 1
                self._news.set()
            case Rival(boot=boot, older=older):
                self._rival, self._rival_until = boot, _now() + 3 * self._timers.heartbeat_s
                self._yielding = self._pump.yielding = older
                self._news.set()
            case None:
                pass

    def _rival_now(self) -> bool:
        return self._rival_until > _now()

    def _settle_rivalry(self) -> None:
        """Note when a rival fell silent: what it left on our topics is not ours, so say everything again."""
        if self._rival and not self._rival_now():
            self._rival = ""
            self._yielding = self._pump.yielding = False
            self._pump.repeat_retained()
            self._description_due = True
            self._news.set()

    def _note(self, link: Link, error: str) -> None:
        if link is not self._link:
            self._since_wall_ns = self._clock.wall_ns()
        self._link, self._error = link, error


def _now() -> float:
    return asyncio.get_running_loop().time()
