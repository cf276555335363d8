"""One channel at work: what waits for it goes out, the worst first, until somebody has it or a day has passed.

Each channel has a loop of its own, so that a dead one holds up no other. After a failure it waits, ever longer, up to
five minutes, or until something critical comes. Every fourth try then goes to the message that was tried the least, so
that one which the receiver cannot bear does not hide behind itself that the others would get through.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tocsin.clock import NS, EngineClock
from tocsin.errors import CorruptRecord
from tocsin.model.alert import Severity
from tocsin.model.event import ChannelSample
from tocsin.notify.letter import Letter, opened
from tocsin.notify.outcome import Later, Outcome, Refused, Sent
from tocsin.store import NoticeRow

log = logging.getLogger(__name__)

GIVE_UP_NS: Final = 86_400 * NS
"""A message that is a day old tells of yesterday."""
LEAST_TRIES: Final = 12
"""Tries in this life, ten minutes of them at least: a clock that was set makes messages look old that are not."""
HOUR_NS: Final = 3600 * NS
FIRST_WAIT_NS: Final = NS
LONGEST_WAIT_NS: Final = 300 * NS
_IDLE_S: Final = 5.0
_LOOKED_AT: Final = 64
_PROBE_EVERY: Final = 4


class Book(Protocol):
    """What waits, as `tocsin.store.Store` has it. Both raise StoreError."""

    async def notices_for(self, channel: str, limit: int) -> Sequence[NoticeRow]:
        """Return what may be sent now: of each group the oldest, the worst group first."""
        ...

    async def remove_notices(self, numbers: Iterable[int]) -> object:
        """Forget what was sent, or is not to be sent any more."""
        ...


class Carrier(Protocol):
    """One way to people."""

    async def send(self, letter: Letter) -> Outcome:
        """Send a letter once. Never raises, but for cancellation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a channel is. Times are wall nanoseconds, None for never; counts are of this life."""

    name: str
    kind: str
    sent: int
    sent_wall_ns: int | None
    failing_since_wall_ns: int | None
    error: str
    error_wall_ns: int | None
    given_up: int


@dataclass(frozen=True, slots=True)
class _Wait:
    """For how long to wait, in nanoseconds, and whether the receiver asked for it."""

    ns: int = 0
    is_asked: bool = False


class Sender:
    """The loop of one channel."""

    def __init__(
        self,
        name: str,
        kind: str,
        carrier: Carrier,
        book: Book,
        clock: EngineClock,
    ) -> None:
        self.name = name
        self.kind = kind
        self.carrier = carrier
        self._book = book
        self._clock = clock
        self._work = asyncio.Event()
        self._tries: dict[int, int] = {}
        self._newest = 0
        """The highest number that was there at a try."""
        self._failures = 0
        self._failing: tuple[int, int] | None = None
        """Since when nothing gets through, in engine time and on the wall."""
        self._sent = 0
        self._sent_wall_ns: int | None = None
        self._error = ""
        self._error_wall_ns: int | None = None
        self._given_up: deque[int] = deque(maxlen=1000)
        self._given_up_all = 0
        self._random = random.Random(name)  # noqa: S311 - waits that differ, no secret

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._work.set()

    def standing(self) -> Standing:
        """Return how the channel is."""
        return Standing(
            name=self.name,
            kind=self.kind,
            sent=self._sent,
            sent_wall_ns=self._sent_wall_ns,
            failing_since_wall_ns=self._failing[1] if self._failing else None,
            error=self._error,
            error_wall_ns=self._error_wall_ns,
            given_up=self._given_up_all,
        )

    def sample(self, waiting: int) -> ChannelSample:
        """Return the same for the core; `waiting` messages are in the store."""
        now_ns = self._clock.t_ns()
        return ChannelSample(
            name=self.name,
            waiting=waiting,
            failing_ns=now_ns - self._failing[0] if self._failing else 0,
            given_up=sum(now_ns - at < HOUR_NS for at in self._given_up),
            error=self._error if self._failing or self._given_up else "",
        )

    async def run(self, beat: Callable[[], None]) -> None:
        """Send for ever. Raises StoreError when the store refuses."""
        while True:
            beat()
            self._work.clear()
            row = await self._next()
            if row is None:
                await self._rest(_IDLE_S)
                continue
            self._newest = max(self._newest, row.number)
            await self._pause(await self._deliver(row))

    async def _pause(self, wait: _Wait) -> None:
        """Wait after a try. Who was not asked to wait goes on when something critical comes: it may get through."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait.ns / NS
        while (left := until - loop.time()) > 0:
            self._work.clear()
            if not wait.is_asked and await self._is_critical_news():
                return
            await self._rest(left)

    async def _is_critical_news(self) -> bool:
        rows = await self._book.notices_for(self.name, _LOOKED_AT)
        known, self._newest = self._newest, max([self._newest, *(row.number for row in rows)])
        return any(row.number > known and row.severity is Severity.CRITICAL for row in rows)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._work.wait()
        except TimeoutError:
            return

    async def _next(self) -> NoticeRow | None:
        rows = await self._book.notices_for(self.name, _LOOKED_AT)
        if not rows:
            self._tries.clear()
            return None
        if self._failures % _PROBE_EVERY == _PROBE_EVERY - 1:
            return min(rows, key=lambda row: self._tries.get(row.number, 0))
        return rows[0]

    async def _deliver(self, row: NoticeRow) -> _Wait:
        """Send a message once; return for how long to wait then."""
        try:
            outcome = await self.carrier.send(opened(row.payload))
        except CorruptRecord as error:
            outcome = Refused(why=str(error))
        match outcome:
            case Sent():
                await self._done(row)
                self._sent, self._sent_wall_ns = self._sent + 1, self._clock.wall_ns()
                self._failures, self._failing = 0, None
                return _Wait()
            case Refused(why=why):
                await self._give_up(row, why)
                return _Wait(ns=FIRST_WAIT_NS)
            case Later(why=why, wait_ns=asked_ns):
                return await self._failed(row, why, asked_ns)

    async def _failed(self, row: NoticeRow, why: str, asked_ns: int | None) -> _Wait:
        self._failing = self._failing or (self._clock.t_ns(), self._clock.wall_ns())
        self._failures += 1
        self._tries[row.number] = self._tries.get(row.number, 0) + 1
        if self._failures == 1 or why != self._error:
            log.warning("channel %s: %s; what waits is sent as soon as it can be", self.name, why)
        self._note(why)
        is_old = self._clock.wall_ns() - row.created_wall_ns >= GIVE_UP_NS
        if is_old and self._tries[row.number] >= LEAST_TRIES:
            await self._give_up(row, f"for a day: {why}")
        backoff_ns = min(LONGEST_WAIT_NS, FIRST_WAIT_NS << min(self._failures - 1, 16))
        backoff_ns -= self._random.randrange(backoff_ns // 2)
        return _Wait(ns=max(backoff_ns, asked_ns or 0), is_asked=bool(asked_ns))

    async def _give_up(self, row: NoticeRow, why: str) -> None:
        log.error("channel %s: message %s (%s) is given up: %s", self.name, row.number, row.group, why)
        await self._done(row)
        self._note(why)
        self._given_up.append(self._clock.t_ns())
        self._given_up_all += 1

    async def _done(self, row: NoticeRow) -> None:
        await self._book.remove_notices([row.number])
        self._tries.pop(row.number, None)

    def _note(self, why: str) -> None:
        self._error, self._error_wall_ns = why, self._clock.wall_ns()
