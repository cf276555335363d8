"""Asks one node what its head is, again and again, and reports every answer and every failure once.

All nodes of a chain are polled at the same instants (`tocsin.engine.cadence`), so that their answers fall into one
evaluation tick and are compared like with like; from intervals of 2 s on, half of them are 40 ms later, so that not all
requests leave in one burst. The prober never retries: every failure is a sample.

What a node says of itself (its version, its peers) is asked about once a minute, in a request of its own after a poll
that was answered: whatever comes of it, the poll stands. The answer travels with the next poll.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from tocsin.clock import MS, NS, EngineClock
from tocsin.engine.cadence import evenly, followed, sparsest_ns
from tocsin.model.effect import Fetch, Pace
from tocsin.model.event import Event, Polled
from tocsin.model.observation import (
    CHAIN_ID,
    FINALIZED,
    GENESIS,
    LATEST,
    NETWORK,
    SAFE,
    SYNCING,
    FaultKind,
    Part,
    RpcErrorKind,
)
from tocsin.model.question import CLIENT_VERSION, PEERS, TXPOOL
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.pacing import Need
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
_JITTER_STEP_NS = 40 * MS
"""Waking the loop for each node alone costs more than the poll itself (100 us against 70 us of a bare socket's): with
steps of 20 ms, 500 nodes at 1 Hz take 17 % of a core instead of 15 %."""

_MOST_LATE_NS = 100 * MS
"""A node that must be connected to again is asked this much after the others, or a sixteenth of the interval: a connect
costs several polls, and thirty of them in one burst would be felt by the healthy nodes behind them."""


_EVERY = (CHAIN_ID, LATEST)

_OWN_SLOWLY = (CLIENT_VERSION, PEERS, TXPOOL)
"""Peers and pool of a provider's node say something about the provider's balancer at most."""
_OTHERS_SLOWLY = (CLIENT_VERSION,)

_LEAST_NS = 20 * MS
"""What is asked beside the polls must be answered before the next one; with less time left it is not asked."""

_GAPS = {NETWORK: 60}
"""What hardly ever changes is asked once in so many times."""

_RAREST = 60
"""What a node does not answer is asked ever more rarely, down to every so many times: an hour instead of a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollPlan:
    """When to ask what. All times in nanoseconds."""

    chain: str
    node: str
    poll_ns: int
    slot_ns: int
    """How often `slot_calls` are asked: the block time. Where that is shorter than `poll_ns`, in every poll."""
    own: bool = False
    """Whether polls cost nothing: then there is one at every interval."""
    slot_calls: tuple[str, ...] = (SAFE, FINALIZED, SYNCING)
    slow_calls: tuple[str, ...] = ()
    """What is asked one by one, each every `slow_ns`."""
    slow_ns: int = 60 * NS
    first_calls: tuple[str, ...] = (GENESIS,)
    """What is asked with the first poll, and again when another machine may answer under the address."""
    sparse_ns: int = 60 * NS
    """The longest time between two polls to which a scarce budget may stretch them: the safety floor."""
    floor_ns: int = 0
    """The shortest time between two polls that a wake-up may cause; 0 takes a quarter of `poll_ns`."""

    def jitter_ns(self, seed: int | str) -> int:
        """Shift of one node: at most 2 % of the interval and 40 ms, in steps of that; below 2 s none."""
        steps = min(self.poll_ns // 50, _MOST_JITTER_NS) // _JITTER_STEP_NS + 1
        return random.Random(f"{seed}/{self.chain}/{self.node}/jitter").randrange(steps) * _JITTER_STEP_NS  # noqa: S311 - as above


class AskedChain(Protocol):
    """What of a chain says how its nodes are polled: the same of a configuration and of the settings made of it."""

    @property
    def name(self) -> str: ...
    @property
    def poll_ns(self) -> int: ...
    @property
    def block_time_ns(self) -> int: ...
    @property
    def tags(self) -> Collection[str]: ...
    @property
    def network_id(self) -> int | None: ...


class AskedNode(Protocol):
    """What of a node says how it is polled."""

    @property
    def name(self) -> str: ...
    @property
    def own(self) -> bool: ...


def plan_of(chain: AskedChain, node: AskedNode) -> PollPlan:
    """Return when one node of a chain is asked what.

    Where the network's id is configured, it is asked with block 0, and once an hour.
    """
    rarely = () if chain.network_id is None else (NETWORK,)
    return PollPlan(
        chain=chain.name,
        node=node.name,
        own=node.own,
        poll_ns=chain.poll_ns,
        slot_ns=max(chain.block_time_ns, chain.poll_ns),
        slot_calls=(*(tag for tag in (SAFE, FINALIZED) if tag in chain.tags), SYNCING),
        slow_calls=(*(_OWN_SLOWLY if node.own else _OTHERS_SLOWLY), *rarely),
        first_calls=(GENESIS, *rarely),
        sparse_ns=sparsest_ns(chain.block_time_ns, chain.poll_ns),
    )


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
        self._cadence = evenly(plan.chain, plan.poll_ns)
        self._jitter_ns = plan.jitter_ns(seed)
        self._floor_ns = plan.floor_ns or plan.poll_ns // 4
        self._wanted = False
        self._waiter: asyncio.Future[None] | None = None
        self._last_start_ns: int | None = None
        self._passed_ns: int | None = None
        """The newest instant that was polled at, or passed over to save."""
        self._is_urgent = False
        self._late_ns = 0
        self._slot: int | None = None
        self._genesis_due = True
        self._slow = SlowCalls(plan, seed)

    def wake(self) -> None:
        """Poll soon: somebody announced a head. Never more often than the floor."""
        if not self._wanted:
            self._wanted = True
            _release(self._waiter)

    def follow(self, pace: Pace) -> None:
        """Poll as the engine says from now on."""
        plan = self.plan
        self._is_urgent = plan.node in pace.urgent
        self._cadence = followed(pace, plan.chain, plan.node, own=plan.own, poll_ns=plan.poll_ns, slot_ns=plan.slot_ns)
        _release(self._waiter)

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Poll until cancelled and emit one `Polled` per poll."""
        while True:
            await self._until_due()
            if self._is_spared():
                continue
            polled = await self._poll()
            emit(polled)
            if polled.fault is None:
                await self._ask_slow()

    async def fetch(self, effect: Fetch) -> Event:
        """Ask the node one thing outside its polls."""
        return await self._session.fetch(effect)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = self._clock.t_ns()
            due = self._next_instant(now)
            if self._wanted:
                due = min(due, (self._last_start_ns or 0) + self._floor_ns)
            if due <= now:
                return
            self._waiter = loop.create_future()
            timer = loop.call_later((due - now) / NS, _release, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None

    def _next_instant(self, now: int) -> int:
        """Return the next shared instant; the one just passed when it was spent waiting for the last answer."""
        last = self._passed_ns
        if last is None:
            return now  # the first poll does not wait
        shift = self._jitter_ns + self._late_ns
        current = self._cadence.at_or_before(now - shift) + shift
        if last < current - self._floor_ns:
            return current
        upcoming = self._cadence.after(now - shift)
        if upcoming + shift - last < self._floor_ns:
            upcoming = self._cadence.after(upcoming)
        return upcoming + shift

    def _is_spared(self) -> bool:
        """Pass over this instant where the budget is scarce, but never over more than `sparse_ns`."""
        now, last = self._clock.t_ns(), self._last_start_ns
        self._wanted, self._passed_ns = False, now
        if last is None or now - last >= self.plan.sparse_ns or not self._session.is_bounded:
            return False
        need = Need.CLOSER if self._is_urgent else Need.ROUTINE
        if self._session.affords(_EVERY, need):
            return False
        self._session.forgo(_EVERY)
        return True

    async def _poll(self) -> Polled:
        now = self._clock.t_ns()
        self._last_start_ns = now
        slot = now // self.plan.slot_ns
        calls = self._calls(with_slot=slot != self._slot)
        answer = await self._session.ask(calls)
        if answer.fault is None:
            self._slot = slot
            if self._genesis_due:
                self._slow.told(answer.parts, answer.ended_ns)
        self._note_connection(answer)
        self.polls += 1
        self.progressed_ns = answer.ended_ns
        return Polled(
            t_ns=answer.ended_ns,
            started_ns=answer.started_ns,
            chain=self.plan.chain,
            node=self.plan.node,
            poll=self.polls,
            parts=answer.parts + self._slow.answers() if answer.fault is None else (),
            fault=answer.fault,
            stalled=self._lag.spoils(answer.started_ns, answer.ended_ns, self._session.endpoint.timeout_ns),
            budget=self._session.budget_use(),
        )

    async def _ask_slow(self) -> None:
        """Ask the one slow question that is due, if any, until the next poll at most."""
        now = self._clock.t_ns()
        call = self._slow.due(now)
        if call is None or not self._session.affords((call,), Need.ROUTINE):
            return
        left = self._next_instant(now) - now
        if left < _LEAST_NS:
            return
        answer = await self._session.ask((call,), timeout_ns=min(left, self._session.endpoint.timeout_ns))
        part = answer.parts[0] if answer.parts else None
        is_refused = answer.fault is not None and answer.fault.kind is FaultKind.BUDGET
        self._slow.asked(call, answer.ended_ns, part, answered=None if is_refused else part is not None)

    def _calls(self, *, with_slot: bool) -> tuple[str, ...]:
        calls = _EVERY + (self.plan.slot_calls if with_slot else ())
        return calls + self.plan.first_calls if self._genesis_due else calls

    def _note_connection(self, answer: Answer) -> None:
        if answer.fault is None:
            self._genesis_due = False
            self._late_ns = 0
        elif answer.fault.kind in _RECONNECTS:
            self._genesis_due = True
            self._late_ns = min(self.plan.poll_ns // 16, _MOST_LATE_NS)


class SlowCalls:
    """When which slow question of a node is due, and the answers that have not been reported yet."""

    def __init__(self, plan: PollPlan, seed: int | str) -> None:
        self._plan = plan
        self._share = random.Random(f"{seed}/{plan.chain}/{plan.node}/slow").random()  # noqa: S311 - spread
        self._due: dict[str, int] = {}
        self._gaps = dict.fromkeys(plan.slow_calls, 1)
        self._answers: dict[str, Part] = {}

    def due(self, now: int) -> str | None:
        """Return the question to ask now. The first ones come within one interval, spread over it."""
        calls = self._plan.slow_calls
        if len(self._due) < len(calls):
            step = self._plan.slow_ns // len(calls)
            spread = {call: now + step * at + int(step * self._share) for at, call in enumerate(calls)}
            self._due = spread | self._due
        return next((call for call in calls if self._due[call] <= now), None)

    def asked(self, call: str, now: int, part: Part | None, *, answered: bool | None) -> None:
        """Note what came of a question; `answered` is None where the node was not asked at all."""
        if part is not None:
            self._answers[call] = part
        self._plan_next(call, now, part, answered=answered)

    def told(self, parts: Collection[Part], now: int) -> None:
        """Note what a poll has brought already: that is not asked before its next time."""
        for part in parts:
            if part.call in self._gaps:
                spread = int(self._plan.slow_ns * self._share)
                self._plan_next(part.call, now + spread, part, answered=True)

    def _plan_next(self, call: str, now: int, part: Part | None, *, answered: bool | None) -> None:
        if answered is not None:
            usual = _GAPS.get(call, 1)
            gap = usual if part is not None and part.error is None else min(2 * self._gaps[call], _RAREST)
            is_missing = part is not None and part.error is not None and part.error.kind is RpcErrorKind.METHOD_MISSING
            self._gaps[call] = _RAREST if is_missing else gap
        self._due[call] = now + self._gaps[call] * self._plan.slow_ns

    def answers(self) -> tuple[Part, ...]:
        """Return what came in since the last time, in the order of the plan."""
        if not self._answers:
            return ()
        parts = tuple(self._answers[call] for call in self._plan.slow_calls if call in self._answers)
        self._answers.clear()
        return parts


def _release(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
