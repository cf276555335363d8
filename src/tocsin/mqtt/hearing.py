"""Whether anybody hears: a critical alert that reaches nobody over the broker is news, and people hear it elsewhere.

It reached nobody if the broker refused it, did not take it within ten seconds (or is not there), or took it and said
that no subscriber matches (reason 0x10), neither of the stream nor of the alert's own topic. Our own subscription is to
the self-test alone, so it hides nothing. A subscription of somebody who is away counts as a listener: the broker keeps
the message for him.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tocsin.errors import CorruptRecord, StoreError
from tocsin.model.alert import AlertState, Severity
from tocsin.model.event import Why
from tocsin.mqtt.reasons import NO_MATCHING_SUBSCRIBERS
from tocsin.store import Pending
from tocsin.wire import topics
from tocsin.wire.envelope import data_in

log = logging.getLogger(__name__)

LATE_S: Final = 10.0
"""So long the broker may take for a critical alert."""
_LOOK_S: Final = 1.0
_AT_ONCE: Final = 500
"""Rows looked at, beside those that were told of and still wait."""
_MOST: Final = 10_000
"""Alerts that are remembered, and rows looked at."""

Key = tuple[str, int]
"""Fingerprint and activation."""


class Waiting(Protocol):
    """The outbox, as far as rows that wait go; see `tocsin.store.Store`."""

    async def pending(self, limit: int) -> Sequence[Pending]:
        """Return the rows that were not sent yet: the urgent lane first, then by `seq`."""
        ...


class Hearing:
    """Follows critical alerts to the broker. `tell` gets each that reached nobody, once in each of its activations."""

    def __init__(self, outbox: Waiting, tell: Callable[[str, int, Why], None]) -> None:
        self._outbox = outbox
        self._tell = tell
        self._settled: OrderedDict[Key, None] = OrderedDict()
        """Alerts of which it is known whether they were heard, the newest last: nothing more is said of them."""
        self._alone: dict[str, tuple[Key, float]] = {}
        """By their own topics: taken for the stream, where nobody listens; since when."""
        self._waiting: dict[int, tuple[Key, float]] = {}
        """Critical rows that wait, by number, and since when that was seen."""
        self.unheard = 0
        """How many were told of since the start."""

    def taken(self, pending: Pending, code: int) -> None:
        """Note how the broker took a row of the stream."""
        key = _key(pending)
        if key is None or key in self._settled:
            return
        if code == NO_MATCHING_SUBSCRIBERS:
            root = pending.row.topic.partition("/event/")[0]
            self._alone[f"{root}/{topics.alert(key[0])}"] = key, _now()
        else:
            self._settle(key)

    def refused(self, pending: Pending) -> None:
        """Note that the broker refused a row of the stream."""
        key = _key(pending)
        if key is not None:
            self._miss(key, Why.REFUSED)

    def retained(self, topic: str, payload: bytes, code: int) -> None:
        """Note how the broker took the state of an alert on its own topic: some listen there alone.

        It may have come before its row of the stream, if it was committed in the middle of a round.
        """
        found = self._alone.pop(topic, None)
        if found is None:
            if code != NO_MATCHING_SUBSCRIBERS and payload and topics.is_alert(topic):
                self._heard_early(payload)
            return
        key, _ = found
        if code == NO_MATCHING_SUBSCRIBERS:
            self._miss(key, Why.NOBODY)
        else:
            self._settle(key)

    def _heard_early(self, payload: bytes) -> None:
        key = _open_critical(payload)
        if key is not None:
            self._settle(key)

    async def run(self) -> None:
        """Look every second for what waits too long, whether there is a connection or not; until cancelled."""
        while True:
            try:
                await self._look()
            except StoreError as error:
                log.debug("what waits for the broker cannot be looked at: %s", error)
            await asyncio.sleep(_LOOK_S)

    async def _look(self) -> None:
        now = _now()
        for topic, (key, since) in list(self._alone.items()):
            if now - since >= LATE_S:
                del self._alone[topic]
                self._miss(key, Why.NOBODY)
        told = sum(key in self._settled for key, _ in self._waiting.values())
        rows = await self._outbox.pending(min(_AT_ONCE + told, _MOST))
        before, self._waiting = self._waiting, {}
        for pending in rows:
            seq = pending.row.seq
            if seq in before:
                self._waiting[seq] = before[seq]
            elif (found := _key(pending)) is not None:
                self._waiting[seq] = found, now
        for key, since in self._waiting.values():
            if now - since >= LATE_S and key not in self._settled:
                self._miss(key, Why.LATE)
                await asyncio.sleep(0)  # each is decided on at once, and of thousands the loop must not stand still

    def _miss(self, key: Key, why: Why) -> None:
        if key in self._settled:
            return
        self._settle(key)
        self.unheard += 1
        self._tell(*key, why)

    def _settle(self, key: Key) -> None:
        self._settled[key] = None
        while len(self._settled) > _MOST:
            self._settled.popitem(last=False)


def _key(pending: Pending) -> Key | None:
    """Return which critical alert a row says is open; None for every other row."""
    if pending.row.severity is not Severity.CRITICAL:
        return None
    return _open_critical(pending.row.payload)


def _open_critical(payload: bytes) -> Key | None:
    """Return the key of a critical alert that is open; None for every other one, and for what a disk has damaged."""
    try:
        data = data_in(payload)
        if data["severity"] != Severity.CRITICAL or data["state"] == AlertState.RESOLVED:
            return None
        return str(data["fingerprint"]), int(data["activation"])
    except (CorruptRecord, KeyError, TypeError, ValueError):
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
