"""Asks one node what its head is, again and again, and reports every answer and every failure once.

All nodes of a chain are polled at the same instants (multiples of the poll interval in engine time, shifted by a phase
of the chain), so that their answers fall into one evaluation tick and are compared like with like; a few milliseconds
of jitter per node keep the requests from leaving in one burst. The prober never retries: every failure is a sample.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from tocsin.clock import MS, NS, EngineClock
from tocsin.model.effect import Fetch
from tocsin.model.event import Event, Polled
from tocsin.model.observation import CHAIN_ID, FINALIZED, GENESIS, LATEST, SAFE, SYNCING, FaultKind
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.session import Answer, Session

_RECONNECTS = frozenset(
    {
        FaultKind.DNS,
        FaultKind.REFUSED,
        FaultKind.UNROUTABLE,
        FaultKind.TLS,
        FaultKind.TIMEOUT,
        FaultKind.RESET,
    }
)
"""After one of these another machine may answer under the address: its genesis is asked again."""

_MOST_JITTER_NS = 40 * MS
_JITTER_STEP_NS = 20 * MS
"""Waking the loop for each node alone costs more than the poll itself (100 us against 70 us of a bare socket's)."""

_MOST_LATE_NS = 100 * MS
"""A node that must be connected to again is asked this much after the others, or a sixteenth of the interval: a connect
costs several polls, and thirty of them in one burst would be felt by the healthy nodes behind them."""


_EVERY = (CHAIN_ID, LATEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollPlan:
    """When to ask what. All times in nanoseconds."""

    chain: str
    node: str
    poll_ns: int
    slot_ns: int
    """How often `slot_calls` are asked: the block time. Where that is shorter than `poll_ns`, in every poll."""
    slot_calls: tuple[str, ...] = (SAFE, FINALIZED, SYNCING)
    floor_ns: int = 0
    """The shortest time between two polls that a wake-up may cause; 0 takes a quarter of `poll_ns`."""

    def phase_ns(self) -> int:
        """Shift of the chain's instants: equal for all its nodes, so that several chains do not poll in one burst."""
        return random.Random(f"{self.chain}/phase").randrange(self.poll_ns)  # noqa: S311 - spread, not a secret

    def jitter_ns(self, seed: int | str) -> int:
        """Shift of one node: at most 2 % of the interval and 40 ms, in steps."""
        steps = min(self.poll_ns // 50, _MOST_JITTER_NS) // _JITTER_STEP_NS + 1
        return random.Random(f"{seed}/{self.chain}/{self.node}/jitter").randrange(steps) * _JITTER_STEP_NS  # noqa: S311 - as above


class Prober:
    """Polls one node. `run` belongs to a task of the caller; it ends when cancelled."""

    def __init__(
        self, plan: PollPlan, session: Session, *, clock: EngineClock, lag: LoopLag, seed: int | str = 0
    ) -> None:
        self.plan = plan
        self.polls = 0
        """Polls so far; the number of the newest `Polled`."""
        self.progressed_ns: int | None = None
        """Engine time of the newest report, for whoever watches that this task lives."""
        self._session = session
        self._clock = clock
        self._lag = lag
        self._shift_ns = plan.phase_ns() + plan.jitter_ns(seed)
        self._floor_ns = plan.floor_ns or plan.poll_ns // 4
        self._wanted = False
        self._waiter: asyncio.Future[None] | None = None
        self._last_start_ns: int | None = None
        self._late_ns = 0
        self._slot: int | None = None
        self._genesis_due = True

    def wake(self) -> None:
        """Poll soon: somebody announced a head. Never more often than the floor."""
        if not self._wanted:
            self._wanted = True
            _release(self._waiter)

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Poll until cancelled and emit one `Polled` per poll."""
        while True:
            await self._until_due()
            emit(await self._poll())

    async def fetch(self, effect: Fetch) -> Event:
        """Ask the node one thing outside its polls."""
        return await self._session.fetch(effect)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._next_instant(self._clock.t_ns())
        while True:
            if self._wanted:
                due = min(due, (self._last_start_ns or 0) + self._floor_ns)
            left = due - self._clock.t_ns()
            if left <= 0:
                return
            self._waiter = loop.create_future()
            timer = loop.call_later(left / NS, _release, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None

    def _next_instant(self, now: int) -> int:
        """Return the next shared instant; the one just passed when it was spent waiting for the last answer."""
        current = now - (now - self._shift_ns - self._late_ns) % self.plan.poll_ns
        last = self._last_start_ns
        if last is None:
            return now  # the first poll does not wait
        if last < current - self._floor_ns:
            return current
        upcoming = current + self.plan.poll_ns
        return upcoming if upcoming - last >= self._floor_ns else upcoming + self.plan.poll_ns

    async def _poll(self) -> Polled:
        now = self._clock.t_ns()
        self._wanted = False
        self._last_start_ns = now
        slot = now // self.plan.slot_ns
        calls = self._calls(with_slot=slot != self._slot)
        answer = await self._session.ask(calls)
        if answer.fault is None:
            self._slot = slot
        self._note_connection(answer)
        self.polls += 1
        self.progressed_ns = answer.ended_ns
        stalled_ns = self._lag.stalled_ns(answer.started_ns, answer.ended_ns)
        return Polled(
            t_ns=answer.ended_ns,
            started_ns=answer.started_ns,
            chain=self.plan.chain,
            node=self.plan.node,
            poll=self.polls,
            parts=answer.parts,
            fault=answer.fault,
            stalled=4 * stalled_ns > self._session.endpoint.timeout_ns,
        )

    def _calls(self, *, with_slot: bool) -> tuple[str, ...]:
        calls = _EVERY + (self.plan.slot_calls if with_slot else ())
        return (*calls, GENESIS) if self._genesis_due else calls

    def _note_connection(self, answer: Answer) -> None:
        if answer.fault is None:
            self._genesis_due = False
            self._late_ns = 0
        elif answer.fault.kind in _RECONNECTS:
            self._genesis_due = True
            self._late_ns = min(self.plan.poll_ns // 16, _MOST_LATE_NS)


def _release(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
