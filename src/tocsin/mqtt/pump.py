"""What waits in the store goes to the broker: urgent chains, then retained topics and the rest, round by round.

A round is short, so that a critical row that comes in a storm waits for one round and not for the storm.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import islice
from typing import Final

from tocsin.clock import Clock
from tocsin.errors import PublishRefused
from tocsin.mqtt.echo import Echo
from tocsin.mqtt.health import Tally
from tocsin.mqtt.hearing import Hearing
from tocsin.mqtt.lanes import Chain, Holds, chain_of, lanes
from tocsin.mqtt.outbox import Outbox
from tocsin.mqtt.presence import Life
from tocsin.mqtt.tasks import all_of
from tocsin.mqtt.transport import Connection, publish
from tocsin.store import Pending, Retained
from tocsin.wire.envelope import CONTENT_TYPE, dropped_message, not_durable, retained_expiry_s

ROUND: Final = 64
_MOST: Final = ROUND * 64
"""Rows looked at to find one that the broker does not refuse."""


class Pump:
    """Moves rows over one connection after the other. `own` topics are said by the publisher itself."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        life: Life,
        clock: Clock,
        pause_s: float,
        own: frozenset[str],
        tally: Tally,
        hearing: Hearing | None = None,
        echo: Echo | None = None,
    ) -> None:
        self._life = life
        self.holds = Holds(pause_s)
        self.idle = asyncio.Event()
        """Set while nothing waits but what the broker refuses."""
        self.own = own
        self.yielding = False
        """Leave the retained topics to an older daemon of our name."""
        self._outbox = outbox
        self._clock = clock
        self._tally = tally
        self._hearing = hearing
        self._echo = echo
        self._repeat = True
        self._again: frozenset[str] = frozenset()
        """Retained topics to say though the broker has them, or had refused them."""
        self._retained: dict[str, Retained] = {}
        """Those whose turn comes next, as they were when they were read: seconds ago at most."""
        self._configured: frozenset[str] | None = None

    def start(self) -> None:
        """Begin on a new connection: everything retained is due, nothing is held."""
        self.idle.clear()
        self.holds.end_pauses()
        self._repeat = True

    def repeat_retained(self) -> None:
        """Say everything retained again."""
        self._repeat = True
        self._outbox.outbox_changed.set()

    def say_again(self, topics: frozenset[str]) -> None:
        """Say some retained topics again."""
        self._again |= topics
        self._outbox.outbox_changed.set()

    def configure(self, topics: frozenset[str]) -> None:
        """Take the retained topics that are configured now: every other one that we remember is cleared."""
        self._configured = topics
        self.repeat_retained()

    async def run(self, connection: Connection) -> None:
        """Send for as long as the connection holds. Raises BrokerError."""
        while True:
            self._outbox.outbox_changed.clear()
            looked = _now()  # what a round held may be free by its end, and nothing else would tell of that
            if not await self._round(connection):
                self.idle.set()
                await self._until_something_is_due(looked)
                self.idle.clear()

    async def _round(self, connection: Connection) -> bool:
        """Send what fits into one round; return whether anything was tried."""
        urgent, others = await self._next_chains()
        await self._send_chains(connection, urgent)
        tried: list[Retained] = []
        await all_of(
            [
                self._send_chains(connection, others),
                self._send_due(connection, tried),
                self._tell_drops(connection),
            ]
        )
        return bool(urgent or others or tried)

    async def _tell_drops(self, connection: Connection) -> None:
        """One event stands for the rows that the outbox had to drop: a consumer must not take the hole for loss."""
        for drop in await self._outbox.dropped():
            message = dropped_message(
                self._life.origin,
                self._life.boot,
                first=drop.first,
                last=drop.last,
                count=drop.count,
                reason=drop.reason,
                wall_ns=drop.wall_ns,
                spans=drop.spans,
                stream=self._life.stream,
            )
            if self.holds.holds(message.topic, message.topic, _now()):
                return
            try:
                await publish(connection, message)
            except PublishRefused as refusal:
                self._refuse(message.topic, refusal)
                return
            await self._outbox.mark_announced([drop])

    async def _next_chains(self) -> tuple[list[Chain], list[Chain]]:
        limit = ROUND
        while True:
            rows = await self._outbox.pending(limit)
            urgent, others = lanes(rows, self.holds, _now())
            if urgent or others or len(rows) < limit or limit >= _MOST:
                return urgent, others
            limit *= 4

    async def _next_retained(self) -> list[Retained]:
        if self.yielding:
            return []
        held = self._held(_now())
        repeat, again = self._repeat, self._again - held
        self._repeat, self._again = False, self._again & held
        if repeat or again:
            due: Sequence[Retained] = await self._outbox.retained_all()
            if not repeat:
                due = [one for one in due if one.topic in again or one.published < one.revision]
        else:
            due = await self._outbox.retained_unpublished(ROUND, exclude=held | self.own)
        for one in due:
            if one.topic in held:
                self._again |= {one.topic}
            elif one.topic not in self.own:
                self._retained[one.topic] = one
        return list(islice(self._retained.values(), ROUND))

    def _held(self, now: float) -> frozenset[str]:
        """Return the retained topics that the broker refused: what waits behind them is not to wait."""
        return frozenset(topic for topic in self._again if self.holds.holds(topic, topic, now))

    async def _send_chains(self, connection: Connection, chains: Sequence[Chain]) -> None:
        sent: list[int] = []
        try:
            await all_of([self._send_chain(connection, chain, sent) for chain in chains])
        finally:
            if sent:
                await self._outbox.mark_sent(sent)
                self._tally.sent += len(sent)

    async def _send_chain(self, connection: Connection, chain: Chain, sent: list[int]) -> None:
        for pending in chain:
            try:
                code = await self._publish_row(connection, pending)
            except PublishRefused as refusal:
                if self._hearing is not None:
                    self._hearing.refused(pending)
                self._refuse(chain_of(pending), refusal)
                await self._outbox.mark_failed(pending.row.seq, str(refusal))
                return
            if self._hearing is not None:
                self._hearing.taken(pending, code)
            self.holds.release(pending.row.topic, chain_of(pending))
            sent.append(pending.row.seq)

    async def _publish_row(self, connection: Connection, pending: Pending) -> int:
        row = pending.row
        payload = row.payload if pending.durable else not_durable(row.payload)
        return await connection.publish(
            row.topic,
            payload,
            qos=row.qos,
            retain=row.retain,
            expiry_s=row.expiry_s,
            content_type=row.content_type,
            correlation=self._echo.marked(row.topic, row.seq, payload) if self._echo is not None else None,
        )

    async def _send_due(self, connection: Connection, tried: list[Retained]) -> None:
        """Send the retained topics whose turn it is, and say which."""
        tried += await self._next_retained()
        await all_of([self._send_retained(connection, one) for one in tried])

    async def _send_retained(self, connection: Connection, one: Retained) -> None:
        leftover = self._leftover(one.topic)
        payload = b"" if leftover else one.payload or b""
        expiry_s = retained_expiry_s(one.topic, payload, self._clock.wall_ns())
        if expiry_s == 0:
            payload, expiry_s = b"", None
        is_own = one.topic.startswith(self._life.origin.root)
        content_type = (CONTENT_TYPE if is_own else "application/json") if payload else None
        try:
            code = await connection.publish(
                one.topic, payload, qos=1, retain=True, expiry_s=expiry_s, content_type=content_type
            )
        except PublishRefused as refusal:
            self._refuse(one.topic, refusal)
            self._retained.pop(one.topic, None)  # when its turn comes again, it goes as it is by then
            self._again |= {one.topic}
            return
        if self._hearing is not None:
            self._hearing.retained(one.topic, payload, code)
        self.holds.release(one.topic, one.topic)
        self._retained.pop(one.topic, None)
        await self._outbox.mark_retained(one.topic, one.revision)
        # A reload may have come while the broker answered: what it made a leftover is still to be cleared.
        if leftover and self._leftover(one.topic):
            await self._outbox.forget_retained(one.topic)
        self._tally.retained += 1

    def _leftover(self, topic: str) -> bool:
        """Whether a topic is of an earlier configuration or name. Alerts below our root end by themselves."""
        root = self._life.origin.root
        if self._configured is None or topic in self._configured or topic in self.own:
            return False
        return not topic.startswith(f"{root}alert/")

    def _refuse(self, chain: str, refusal: PublishRefused) -> None:
        self._tally.refused += 1
        self.holds.refuse(chain, refusal, _now())

    async def _until_something_is_due(self, looked: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.holds.next_try_s(looked, _now())):
                await self._outbox.outbox_changed.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
