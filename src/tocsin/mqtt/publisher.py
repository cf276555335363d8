"""The one who speaks to the broker: connects again and again, and sends what the store holds.

A row is marked sent only after the broker's positive answer. On each connect everything retained is said again from
our own table: a broker may have lost its memory. A refused publish stays, is shown in `health` and is tried again at
a slow pace; a broker that is away costs nothing but time.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from tocsin.clock import Clock
from tocsin.errors import BrokerError, PublishRefused
from tocsin.mqtt import presence
from tocsin.mqtt.acks import Acks
from tocsin.mqtt.births import Births
from tocsin.mqtt.client import Received
from tocsin.mqtt.echo import Echo
from tocsin.mqtt.health import Contact, Health, Link, Tally
from tocsin.mqtt.hearing import Hearing
from tocsin.mqtt.outbox import Outbox
from tocsin.mqtt.peers import Ears
from tocsin.mqtt.presence import Life, Rival, Stale, State
from tocsin.mqtt.pump import Pump
from tocsin.mqtt.rivalry import Rivalry
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
    backoff_most_s: float = 2.0
    """A broker that is back is found within this: with 30 s, what waited for it waited half a minute longer."""
    steady_s: float = 30.0
    """A connection that held this long was a good one: the next failure starts from the first back-off again."""
    refused_pause_s: float = 30.0
    correction_s: float = 0.2
    """Between two sayings of `status`: nobody can make us talk without end."""


@dataclass(slots=True)
class _Parting:
    """How `goodbye` and `run` agree on the end."""

    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    flush_until: float = 0.0
    flushed: bool = False


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
        acks: Acks | None = None,
        echo: Echo | None = None,
        births: Births | None = None,
        hearing: Hearing | None = None,
    ) -> None:
        self._life = life
        self._transport = transport
        self._clock = clock
        self._broker = broker
        self._beat = beat
        self._ears = ears
        self._acks = acks
        self._echo = echo
        self._births = births
        self._hearing = hearing
        self._timers: Final = timers or Timers()
        self._state = State.INIT
        self._description: Mapping[str, object] | None = None
        self._description_due = False
        self._beats = 0
        self._news = asyncio.Event()
        self._parting = _Parting()
        self._tally = Tally()
        self._rivalry = Rivalry(3 * self._timers.heartbeat_s)
        link = Link.CONNECTING if transport is not None else Link.NONE
        self._contact = Contact(link=link, since_wall_ns=clock.wall_ns())
        self._pump = self._pump_of(outbox)

    def _pump_of(self, outbox: Outbox) -> Pump:
        root = self._life.origin.root
        return Pump(
            outbox,
            life=self._life,
            clock=self._clock,
            pause_s=self._timers.refused_pause_s,
            own=frozenset(root + topic for topic in (topics.STATUS, topics.DESCRIPTION)),
            tally=self._tally,
            hearing=self._hearing,
            echo=self._echo,
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

    def configure(self, retained: Collection[str], elsewhere: Collection[str] = ()) -> None:
        """Take the retained topics that are configured now, at the start and before each reload.

        Those `retained` are below our root, those `elsewhere` as they are.

        What else we remember to have published, below this root or, after a change of name, another one, is
        cleared on the broker and forgotten. Alerts below our root end by themselves.
        """
        root = self._life.origin.root
        self._pump.configure(frozenset(root + topic for topic in retained) | frozenset(elsewhere))

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
            link=self._contact.link,
            broker=self._broker,
            since_wall_ns=self._contact.since_wall_ns,
            error=self._contact.error,
            refused=(
                *self._pump.holds.refused,
                *(self._ears.refused if self._ears is not None else ()),
                *(self._acks.refused if self._acks is not None else ()),
                *(self._echo.refused if self._echo is not None else ()),
                *(self._births.refused if self._births is not None else ()),
            ),
            rival=self._rivalry.boot(_now()),
            tally=replace(self._tally),
            unheard=self._hearing.unheard if self._hearing is not None else 0,
            acks=dict(self._acks.counts) if self._acks is not None else {},
        )

    async def run(self) -> None:
        """Serve until `goodbye`. Without a broker it waits for that and says so in `health`."""
        self._parting.over.clear()
        try:
            if self._transport is None:
                await self._parting.wanted.wait()
                return
            while not self._parting.wanted.is_set():
                with contextlib.suppress(BrokerError):
                    await self._reconnecting(self._transport)
        finally:
            self._parting.over.set()

    async def goodbye(self, within_s: float) -> bool:
        """Drain what waits, say `disconnected` and let `run` end; False when that did not fit into the time."""
        self._parting.flush_until = _now() + 0.8 * within_s
        self._parting.wanted.set()
        if self._contact.link is not Link.CONNECTED:
            return self._transport is None
        try:
            async with asyncio.timeout(within_s):
                await self._parting.over.wait()
        except TimeoutError:
            return False
        return self._parting.flushed

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
        return self._parting.wanted.is_set()

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._parting.wanted.wait()

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
        if self._echo is not None:
            await self._echo.subscribe(connection)
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
                if self._acks is not None:
                    tasks.append(group.create_task(self._acks.listen(connection)))
                if self._echo is not None:
                    tasks.append(group.create_task(self._echo.listen(connection)))
                if self._births is not None:
                    tasks.append(group.create_task(self._births.listen(connection, self._pump.say_again)))
                await self._parting.wanted.wait()
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
                async with asyncio.timeout(self._timers.refused_pause_s):
                    await self._news.wait()
            if self._news.is_set() or self._pump.holds.refused:
                self._news.clear()
                await self._say_who_we_are(connection)
                if self._rivalry.takes_answer():
                    await self._say_beat(connection)
            await asyncio.sleep(self._timers.correction_s)

    async def _keep_beating(self, connection: Connection) -> None:
        while True:
            self._settle_rivalry()
            if not self._rivalry.yielding:
                await self._say_beat(connection)
            await asyncio.sleep(self._timers.heartbeat_s)

    async def _say_beat(self, connection: Connection) -> None:
        self._beats += 1
        period_s, wall_ns = self._timers.heartbeat_s, self._clock.wall_ns()
        await self._say(connection, presence.heartbeat(self._life, self._beats, self._beat(), period_s, wall_ns))

    async def _say_who_we_are(self, connection: Connection) -> None:
        if self._rivalry.yielding:
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
            async with asyncio.timeout_at(self._parting.flush_until):
                flushed = await self._pump.idle.wait()
        self._state = State.DISCONNECTED
        await self._say_who_we_are(connection)
        self._parting.flushed = flushed

    def _on_message(self, received: Received) -> None:
        self._tally.received += 1
        if self._ears is not None and self._ears.takes(received.topic):
            self._tally.garbage += not self._ears.hear(received)
            return
        if self._acks is not None and self._acks.takes(received.topic):
            self._acks.hear(received)
            return
        if self._echo is not None and received.topic == self._echo.topic:
            self._tally.garbage += not self._echo.hear(received)
            return
        if self._births is not None and self._births.takes(received.topic):
            self._births.hear(received)
            return
        match presence.judge(self._life, received):
            case Stale(garbage=garbage, parted=parted):
                self._tally.garbage += garbage
                self._tally.corrections += 1
                if self._rivalry.has_parted(parted):
                    self._take_over()
                self._news.set()
            case Rival() as rival:
                self._rivalry.heard(rival, _now())
                self._pump.yielding = self._rivalry.yielding
                self._news.set()
            case None:
                pass

    def _settle_rivalry(self) -> None:
        """Note when a rival fell silent."""
        if self._rivalry.has_ended(_now()):
            self._take_over()

    def _take_over(self) -> None:
        """Say everything again: what a rival that is gone left on our topics is not ours."""
        self._pump.yielding = False
        self._pump.repeat_retained()
        self._description_due = True
        self._news.set()

    def _note(self, link: Link, error: str) -> None:
        self._contact.note(link, error, self._clock.wall_ns())


def _now() -> float:
    return asyncio.get_running_loop().time()
