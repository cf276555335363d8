"""The ears for consumers: subscribes to their acks, judges each, and lets the store take the believed ones.

What comes in is untrusted. Judging is a few microseconds of the loop whatever the bytes are; of what is believed only
the newest ack of each consumer is kept until the store has time for it. Nothing else changes anything: it is counted by
reason, and answered where it names a response topic of the consumer's own.
"""

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from tocsin.clock import EngineClock
from tocsin.errors import PublishRefused, StoreError
from tocsin.mqtt.client import Received
from tocsin.mqtt.transport import Connection, publish
from tocsin.secret import Secret
from tocsin.store import Acknowledged, Health
from tocsin.wire import topics
from tocsin.wire.acks import Ack, AckRefused, Refusal, Standing, reply, verify
from tocsin.wire.envelope import Message, Origin, dropped_message

log = logging.getLogger(__name__)

BELIEVED: Final = "believed"
"""What acks that were believed are counted under, beside the reasons of those that were not."""

_AGAIN_S: Final = 30.0
"""After this a refused subscription is tried again, and the same hole is named again."""
_PAUSE_S: Final = 0.05
"""Between two rounds: so many acks of a consumer as come meanwhile are one for the store."""
_ANSWERS: Final = 64
"""Answers that wait; more mean that somebody asks faster than he is answered, and the oldest are dropped."""
_ANSWERS_PER_ROUND: Final = 8
_LONGEST_TOPIC: Final = 256


class Book(Protocol):
    """The store, as far as consumers go; see `tocsin.store.Store`."""

    def health(self) -> Health:
        """Return cursors and the last number of the stream."""
        ...

    async def register_consumers(self, names: Iterable[str]) -> None:
        """Owe these consumers what comes from now on, and no others anything."""
        ...

    async def acknowledge(
        self,
        name: str,
        *,
        at: int,
        highest: int,
        missing: Iterable[int],
        wanted: Iterable[tuple[int, int]] | None = None,
        connected_wall_ns: int = 0,
    ) -> Acknowledged | None:
        """Take an ack that was believed; rows that left before the connection of now may be lost at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Believed:
    ack: Ack
    received: Received


class Acks:
    """Hears registered consumers over whatever connection there is."""

    def __init__(self, *, origin: Origin, boot: str, book: Book, clock: EngineClock) -> None:
        self._origin = origin
        self._boot = boot
        self._book = book
        self._clock = clock
        self._below = origin.root + topics.ack("x")[:-1]
        self._keys: dict[str, Secret] = {}
        self._at: dict[str, int] = {}
        self._is_registered = False
        self._believed: dict[str, _Believed] = {}
        self._answers: deque[tuple[Message, bytes | None]] = deque(maxlen=_ANSWERS)
        self._gone: dict[str, tuple[object, float]] = {}
        self._work = asyncio.Event()
        self._connected_wall_ns = 0
        self.counts: Counter[str] = Counter()
        """Acks since the start: believed ones, and others by the reason why not."""
        self.heard_ns: dict[str, int] = {}
        """When the last ack of each consumer was believed in this life, engine time."""
        self.since_ns: int | None = None
        """Since when the broker gives us acks without a break, engine time; None while it does not."""
        self.refused: tuple[str, ...] = ()
        """Why the broker does not give us the acks; empty when it does."""

    def configure(self, keys: Mapping[str, Secret]) -> None:
        """Believe these consumers, by name, from now on."""
        self._keys = dict(keys)
        self._is_registered = False
        self._work.set()

    async def register(self) -> None:
        """Let the store know who is owed the stream; while it cannot write, that is tried again later."""
        try:
            await self._book.register_consumers(sorted(self._keys))
        except StoreError as error:
            log.warning("consumers cannot be registered: %s", error)
        else:
            self._is_registered = True

    def takes(self, topic: str) -> bool:
        """Tell whether a topic is one of acks."""
        return topic.startswith(self._below)

    def hear(self, received: Received) -> None:
        """Take a message on a topic of acks."""
        consumer = received.topic.removeprefix(self._below)
        try:
            ack = self._judged(consumer, received)
        except AckRefused as refused:
            self.counts[refused.reason.value] += 1
            self._answer(consumer, received, refused.reason)
            return
        self.counts[BELIEVED] += 1
        self._at[consumer] = ack.at
        self.heard_ns[consumer] = self._clock.t_ns()
        self._believed[consumer] = _Believed(ack=ack, received=received)
        self._work.set()

    def _judged(self, consumer: str, received: Received) -> Ack:
        if received.retained:
            raise AckRefused(Refusal.RETAINED, "the broker had kept it")
        key = self._keys.get(consumer)
        if key is None:
            raise AckRefused(Refusal.UNREGISTERED, "no consumer of this name is configured")
        ack = verify(received.payload, self._origin.source, consumer, key.reveal().encode())
        standing = self._standing(consumer)
        if ack.at <= standing.at:
            raise AckRefused(Refusal.REPLAYED, "at did not rise")
        if ack.stream and ack.stream != standing.stream:
            raise AckRefused(Refusal.OTHER_STREAM, "it speaks of another state directory")
        if ack.max > standing.last_seq:
            raise AckRefused(Refusal.FUTURE, "max was never sent")
        if not ack.stream and ack.max and standing.stream:
            raise AckRefused(Refusal.NO_STREAM, "it does not say of which stream it has so much")
        return ack

    def _standing(self, consumer: str) -> Standing:
        """Return what is believed of a consumer; an ack that the store has not taken yet counts by its `at`."""
        health = self._book.health()
        kept = next((one for one in health.consumers if one.name == consumer), None)
        at, highest = (kept.at, kept.max) if kept is not None else (0, 0)
        return Standing(
            at=max(self._at.get(consumer, 0), at), max=highest, last_seq=health.last_seq, stream=health.stream
        )

    async def listen(self, connection: Connection) -> None:
        """Subscribe, and let the store take what is believed, until cancelled. Raises BrokerError, StoreError."""
        self.since_ns, self._connected_wall_ns = None, self._clock.wall_ns()
        try:
            while True:
                if self._keys and self.since_ns is None:
                    await self._subscribe(connection)
                if not self._is_registered:
                    await self.register()
                await self._settle(connection)
                await asyncio.sleep(_PAUSE_S)
                await self._until_work()
        finally:
            self.since_ns = None

    async def _until_work(self) -> None:
        if not self._believed and not self._answers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    await self._work.wait()
        self._work.clear()

    async def _subscribe(self, connection: Connection) -> None:
        try:
            await connection.subscribe(self._below + "+")
        except PublishRefused as refusal:
            self.refused = (str(refusal),)
        else:
            self.refused, self.since_ns = (), self._clock.t_ns()

    async def _settle(self, connection: Connection) -> None:
        """Let the store take the acks that wait, and say what there is to say."""
        waiting, self._believed = self._believed, {}
        for consumer, one in waiting.items():
            ack = one.ack
            done = await self._book.acknowledge(
                consumer,
                at=ack.at,
                highest=ack.max,
                missing=ack.missing,
                wanted=ack.wanted,
                connected_wall_ns=self._connected_wall_ns,
            )
            if done is not None:
                self._answer(consumer, one.received, None)
                await self._name_gone(connection, done)
        for _ in range(min(_ANSWERS_PER_ROUND, len(self._answers))):
            message, correlation = self._answers.popleft()
            with contextlib.suppress(PublishRefused):  # whoever may not be answered there has to do without
                await connection.publish(
                    message.topic,
                    message.payload,
                    qos=message.qos,
                    retain=False,
                    expiry_s=message.expiry_s,
                    content_type=message.content_type,
                    correlation=correlation,
                )

    def _answer(self, consumer: str, received: Received, reason: Refusal | None) -> None:
        """Let an ack be answered, where it names a topic that is its consumer's to name."""
        below = f"{self._origin.root}reply/{consumer}/"
        topic = received.response_topic
        if not topic.startswith(below) or topic == below or len(topic) > _LONGEST_TOPIC:
            return
        if any(character in topic for character in "+#\x00"):
            return
        message = reply(
            self._origin,
            self._boot,
            topic.removeprefix(self._origin.root),
            reason=reason,
            standing=self._standing(consumer),
            wall_ns=self._clock.wall_ns(),
        )
        self._answers.append((message, received.correlation))
        self._work.set()

    async def _name_gone(self, connection: Connection, done: Acknowledged) -> None:
        """Say which of the numbers that a consumer lacks it can stop waiting for; it may have missed that before."""
        now, name, gone = asyncio.get_running_loop().time(), done.cursor.name, done.gone
        told, until = self._gone.get(name, ((), 0.0))
        if not gone or (told == gone and now < until):
            return
        message = dropped_message(
            self._origin,
            self._boot,
            first=gone[0][0],
            last=gone[-1][1],
            count=sum(last - first + 1 for first, last in gone),
            reason="no longer kept",
            wall_ns=self._clock.wall_ns(),
            spans=gone,
            stream=self._book.health().stream,
        )
        with contextlib.suppress(PublishRefused):  # it is asked for again
            await publish(connection, message)
            self._gone[name] = (gone, now + _AGAIN_S)
