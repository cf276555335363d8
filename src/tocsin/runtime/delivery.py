"""Watches how the alert stream leaves, and lets the core know."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tocsin.clock import NS, EngineClock
from tocsin.model.event import ChannelSample, ConsumerSample, DeliverySampled
from tocsin.mqtt.acks import Acks
from tocsin.store import Cursor, Health, Limits

_LOOK_S: Final = 1.0
_TELL_NS: Final = 10 * NS
_COARSE: Final = 5
"""Per cent: less is no change worth an event of its own."""


class DeliveryWatch:
    """Samples the outbox, its consumers and the channels of people.

    `acks` gives the ears of the present broker, None without one.
    """

    def __init__(
        self,
        *,
        clock: EngineClock,
        limits: Limits,
        health: Callable[[], Health],
        acks: Callable[[], Acks | None],
        connected: Callable[[], bool],
        channels: Callable[[], tuple[ChannelSample, ...]] = tuple,
        emit: Callable[[DeliverySampled], None],
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._health = health
        self._acks = acks
        self._connected = connected
        self._channels = channels
        self._emit = emit
        self._moved: dict[str, tuple[int, int]] = {}
        self._told: tuple[object, ...] = ()
        self._told_ns = 0

    async def run(self, beat: Callable[[], None]) -> None:
        """Look once a second until cancelled."""
        while True:
            self.look()
            beat()
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Tell the core how it stands, if that is news."""
        sample = self._sample()
        coarse = self._coarse(sample)
        if coarse != self._told or sample.t_ns - self._told_ns >= _TELL_NS:
            self._told, self._told_ns = coarse, sample.t_ns
            self._emit(sample)

    def _coarse(self, sample: DeliverySampled) -> tuple[object, ...]:
        consumers = tuple(replace(one, lag=0, stuck_ns=0, silent_ns=one.silent_ns and 0) for one in sample.consumers)
        shares = (sample.filled // _COARSE, sample.critical_filled // _COARSE)
        channels = tuple((one.name, bool(one.failing_ns), one.given_up, one.error) for one in sample.channels)
        return (sample.connected, sample.durable, shares, bool(sample.unsaved), consumers, channels)

    def _sample(self) -> DeliverySampled:
        health, now_ns = self._health(), self._clock.t_ns()
        counts, limits = health.counts, self._limits
        rows, size = counts.pending + counts.unconfirmed, counts.pending_bytes + counts.unconfirmed_bytes
        critical = counts.critical + counts.unconfirmed_critical
        return DeliverySampled(
            t_ns=now_ns,
            connected=self._connected(),
            durable=health.durable,
            filled=max(100 * rows // limits.outbox_rows, 100 * size // limits.outbox_bytes),
            critical_filled=100 * critical // limits.outbox_rows,
            waiting=counts.pending,
            owed=counts.unconfirmed,
            unsaved=counts.unsaved,
            channels=self._channels(),
            consumers=tuple(self._consumer(one, health.last_seq, now_ns) for one in health.consumers),
        )

    def _consumer(self, cursor: Cursor, last_seq: int, now_ns: int) -> ConsumerSample:
        highest, since_ns = self._moved.get(cursor.name, (-1, now_ns))
        if cursor.max != highest or cursor.max >= last_seq:
            since_ns = now_ns
        self._moved[cursor.name] = (cursor.max, since_ns)
        acks = self._acks()
        silent_ns = None
        if acks is not None and acks.since_ns is not None:
            silent_ns = max(0, now_ns - max(acks.since_ns, acks.heard_ns.get(cursor.name, 0)))
        return ConsumerSample(
            name=cursor.name,
            lag=cursor.lag(last_seq),
            stuck_ns=now_ns - since_ns,
            silent_ns=silent_ns,
        )
