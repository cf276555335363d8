"""Asks one beacon node over REST, again and again, and reports every answer and every failure once.

A poll asks where the head is and whether the node is in sync, once per slot also for finality and peers, and after a
failure what the node is. Where a head or a finalized checkpoint is new, its execution payload is asked for: once per
root, from memory after that. One absolute deadline covers all of it. A node without an answer for its head is at fault,
and one that names a slot, an epoch, a genesis or a length of slots that no chain has; of the rest, what did not come is
missing, no more.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from tocsin.clock import MS, NS, EngineClock
from tocsin.engine.cadence import evenly
from tocsin.model import beacon
from tocsin.model.event import BeaconPolled, Event
from tocsin.model.observation import BudgetUse, Fault, FaultKind, Part
from tocsin.rpc.bill import Bill, Meter
from tocsin.rpc.channel import HttpChannel, Progress, Reply
from tocsin.rpc.defects import Defects
from tocsin.rpc.discretion import Discretion
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import fault_of
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.pacing import Budget, Need, Pacing, retry_after_ns
from tocsin.rpc.prober import PollPlan
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Answer
from tocsin.wire import beacon as wire

EVERY: Final = (beacon.HEAD, beacon.SYNC)
PER_SLOT: Final = (beacon.FINALITY, beacon.PEERS)
ONCE: Final = (beacon.VERSION, beacon.GENESIS, beacon.SPEC, beacon.DEPOSIT)

_ROOTS_KEPT: Final = 16
_TRIES: Final = 3
"""How often a payload is asked for before the node is taken not to have it."""

_AGAIN: Final = 2
"""How often finality is asked for again within a slot when no answer came."""

_OFF_LOOP: Final = 256 * 1024
"""Bytes from which reading JSON would hold up the event loop by more than a millisecond."""

_Outcomes = dict[str, Part | Fault]


class Getter(Protocol):
    """A way to a beacon node."""

    async def get(self, path: str, progress: Progress, cap: int) -> Reply:
        """Ask for a path; at most `cap` bytes. Raises whatever sockets, TLS and HTTP can raise."""
        ...

    def hint(self) -> str | None:
        """Say why an answer may be late, if there is more to say than that it is."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class BeaconSession:
    """The connection to one beacon node. Opens when first asked; close it when done."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: EngineClock,
        resolver: Resolver,
        seed: int | str = 0,
        channel: Getter | None = None,
        shared: Sequence[Budget] = (),
    ) -> None:
        """`channel` is another way to the node than the one its URL says; `shared` are budgets as of `Session`.

        A request costs one unit of them, whatever it asks.
        """
        self.endpoint = endpoint
        self._clock = clock
        self._channel: Getter = channel or HttpChannel(endpoint, resolver)
        secrets = (endpoint.url, endpoint.proxy, *(value for _, value in endpoint.headers))
        self._discretion = Discretion(secret for secret in secrets if secret is not None)
        self._pacing = Pacing(
            budget_per_day=endpoint.budget_per_day,
            shared=shared,
            seed=f"{seed}/{endpoint.chain}/{endpoint.node}/hold",
        )
        self._meter = Meter()
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._payloads: dict[str, Part | None] = {}
        self._failures: dict[str, int] = {}
        self._told: frozenset[str] = frozenset()
        self._blinded = True
        self._defects = Defects(endpoint)

    async def ask(self, calls: tuple[str, ...]) -> Answer:
        """Ask some calls side by side, then what they point to. Never raises, but for cancellation."""
        started = self._clock.t_ns()
        try:
            outcome = await self._asked(calls, started)
        except Exception as error:  # noqa: BLE001 - as in `Session.ask`: a defect of ours is a fault of its own
            outcome = self._defects.fault(error)
        return Answer.of(outcome, started, self._clock.t_ns())

    @property
    def is_bounded(self) -> bool:
        """Whether what may be asked of the node is bounded by any budget."""
        return self._pacing.is_bounded

    def affords(self, requests: int, need: Need) -> bool:
        """Tell whether the budgets have enough for some requests and for what matters more than they do."""
        return self._pacing.affords(requests, requests, need, self._clock.t_ns())

    def forgo(self, requests: int) -> None:
        """Note that some requests are not made in order to save."""
        self._pacing.forgo(requests, requests, self._clock.t_ns())

    def budget_use(self) -> BudgetUse | None:
        """Return how the budget is used that suffices least, None where there is none."""
        return self._pacing.use(self._clock.t_ns()) if self.is_bounded else None

    def bill(self) -> Bill:
        """Return what the node cost."""
        return self._meter.bill(self._clock.t_ns())

    async def close(self) -> None:
        """Close every connection; asks under way end in a fault."""
        await self._channel.close()

    async def _asked(self, calls: tuple[str, ...], now_ns: int) -> tuple[Part, ...] | Fault:
        fault = self._pacing.check(len(calls), now_ns, len(calls))
        if fault is not None:
            return fault
        outcomes: _Outcomes = {}
        progress = Progress()
        try:
            async with asyncio.timeout(self.endpoint.timeout_ns / NS):
                await self._gather(calls, outcomes, progress)
                wanted = [root for root in self._wanted(outcomes) if root not in self._payloads]
                if wanted and self._pacing.check(len(wanted), self._clock.t_ns(), len(wanted)) is None:
                    await self._gather([beacon.payload_of(root) for root in wanted], outcomes)
        except TimeoutError:
            outcomes.setdefault(beacon.HEAD, self._late(progress))
        return self._settled(calls, outcomes)

    async def _gather(self, calls: Iterable[str], outcomes: _Outcomes, progress: Progress | None = None) -> None:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(self._into(outcomes, call, progress or Progress()))

    async def _into(self, outcomes: _Outcomes, call: str, progress: Progress) -> None:
        async with self._slots:
            root = beacon.root_of(call)
            if root is None:
                outcomes[call] = await self._get(call, wire.PATHS[call], progress)
                return
            outcome = outcomes[call] = await self._payload(call, root, progress)
            self._remember(root, outcome)

    async def _payload(self, call: str, root: str, progress: Progress) -> Part | Fault:
        blinded, whole = wire.PAYLOAD_PATHS
        if self._blinded:
            outcome = await self._get(call, blinded + root, progress)
            if isinstance(outcome, Part) or not wire.is_absent(outcome):
                return outcome
        outcome = await self._get(call, whole + root, progress)
        if isinstance(outcome, Part):
            self._blinded = False  # it has the block, so the path was what it did not have
        return outcome

    async def _get(self, call: str, path: str, progress: Progress) -> Part | Fault:
        self._meter.spend(1, 1, self._clock.t_ns())
        try:
            reply = await self._channel.get(path, progress, wire.cap_of(call))
        except Exception as error:  # noqa: BLE001 - all that sockets, TLS and HTTP can raise is a fault of this ask
            fault = fault_of(error)
            return self._defects.fault(error) if fault.kind is FaultKind.INTERNAL else fault
        hold = retry_after_ns(reply.retry_after, self._clock.wall_ns())
        if len(reply.body) > _OFF_LOOP:
            return await asyncio.to_thread(wire.read, call, reply.status, reply.body, retry_after_ns=hold)
        return wire.read(call, reply.status, reply.body, retry_after_ns=hold)

    def _remember(self, root: str, outcome: Part | Fault) -> None:
        """Keep a payload, or that there is none to be had; one that failed is asked for again a few times."""
        if isinstance(outcome, Fault):
            self._failures[root] = self._failures.get(root, 0) + 1
            if self._failures[root] < _TRIES:
                return
        self._failures.pop(root, None)
        self._payloads[root] = outcome if isinstance(outcome, Part) else None
        for kept in (self._payloads, self._failures):
            while len(kept) > _ROOTS_KEPT:
                del kept[next(iter(kept))]

    def _wanted(self, outcomes: Mapping[str, Part | Fault]) -> tuple[str, ...]:
        """Return the roots whose execution payload matters: of the head and of the finalized checkpoint."""
        head, final = (_values(outcomes.get(call)) for call in (beacon.HEAD, beacon.FINALITY))
        roots = (wire.root(head, "data.root"), wire.root(final, "data.finalized.root"))
        return tuple(root for root in roots if root is not None and int(root, 16))

    def _settled(self, calls: tuple[str, ...], outcomes: _Outcomes) -> tuple[Part, ...] | Fault:
        faults = [outcome for outcome in outcomes.values() if isinstance(outcome, Fault)]
        limited = next((fault for fault in faults if fault.kind is FaultKind.RATE_LIMITED), None)
        if limited is not None:
            hold = self._pacing.limited(limited.retry_after_ns, self._clock.t_ns())
            limited = Fault(kind=limited.kind, detail=limited.detail, status=limited.status, retry_after_ns=hold)
        head = outcomes.get(beacon.HEAD)
        if not isinstance(head, Part):
            return limited or head or Fault(kind=FaultKind.MALFORMED, detail="the head was not asked for")
        absurd = next(
            (said for each in outcomes.values() if isinstance(each, Part) and (said := wire.absurd(each))), None
        )
        if absurd is not None:
            return Fault(kind=FaultKind.MALFORMED, detail=absurd)
        if limited is None:
            self._pacing.answered()
        answers = {call: outcomes[call] for call in calls if call in outcomes}
        parts = [part if isinstance(part, Part) else wire.refused(call, part) for call, part in answers.items()]
        return self._discretion.of((*parts, *self._news(outcomes)))

    def _news(self, outcomes: Mapping[str, Part | Fault]) -> tuple[Part, ...]:
        """Return the payloads of roots that were not told of in the poll before."""
        known = {root: part for root in self._wanted(outcomes) if (part := self._payloads.get(root)) is not None}
        fresh = tuple(part for root, part in known.items() if root not in self._told)
        # Finality is asked once per slot only; what was told of it stays told.
        self._told = frozenset(known) if beacon.FINALITY in outcomes else self._told | frozenset(known)
        return fresh

    def _late(self, progress: Progress) -> Fault:
        timeout = f"{self.endpoint.timeout_ns // MS} ms"
        hint = self._channel.hint()
        if hint is not None:
            return Fault(kind=FaultKind.DNS, detail=f"{hint}: given up after {timeout}")
        if progress.status is None and not progress.received:
            return Fault(kind=FaultKind.TIMEOUT, detail=f"no answer within {timeout}")
        return Fault(kind=FaultKind.TIMEOUT, detail=f"the answer was not complete after {timeout}")


class BeaconProber:
    """Polls one beacon node. `run` belongs to a task of the caller; it ends when cancelled."""

    def __init__(
        self, plan: PollPlan, session: BeaconSession, *, clock: EngineClock, lag: LoopLag, seed: int | str = 0
    ) -> None:
        self.plan = plan
        self.polls = 0
        """Polls so far; the number of the newest `BeaconPolled`."""
        self._session = session
        self._clock = clock
        self._lag = lag
        self._cadence = evenly(plan.chain, plan.poll_ns)
        self._jitter_ns = plan.jitter_ns(seed)
        self._slot: int | None = None
        self._again = 0
        self._asked_ns: int | None = None
        self._is_new = True

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Poll until cancelled and emit one `BeaconPolled` per poll."""
        while True:
            if not self._is_spared():
                emit(await self.poll())
            now = self._clock.t_ns()
            await asyncio.sleep((self._cadence.after(now - self._jitter_ns) + self._jitter_ns - now) / NS)

    def _is_spared(self) -> bool:
        """Pass over this instant where the budget is scarce, as `Prober` does for a node that is well."""
        last, session = self._asked_ns, self._session
        if last is None or self._clock.t_ns() - last >= self.plan.sparse_ns or not session.is_bounded:
            return False
        if session.affords(len(EVERY), Need.ROUTINE):
            return False
        session.forgo(len(EVERY))
        return True

    async def poll(self) -> BeaconPolled:
        """Ask once."""
        self._asked_ns = self._clock.t_ns()
        slot = self._asked_ns // self.plan.slot_ns
        answer = await self._session.ask(
            EVERY + (PER_SLOT if slot != self._slot or self._is_new else ()) + (ONCE if self._is_new else ())
        )
        if answer.fault is None:
            # What was final before is no news of it: after a defect it is asked again, and once a slot as long as it
            # is not answered at all.
            again = _lacks_finality(answer.parts) and self._again < _AGAIN
            self._again = self._again + 1 if again else 0
            self._slot = self._slot if again else slot
        # Whatever failed, another node may answer under the address next time.
        self._is_new = answer.fault is not None
        self.polls += 1
        return BeaconPolled(
            t_ns=answer.ended_ns,
            started_ns=answer.started_ns,
            chain=self.plan.chain,
            node=self.plan.node,
            poll=self.polls,
            parts=answer.parts,
            fault=answer.fault,
            stalled=self._lag.spoils(answer.started_ns, answer.ended_ns, self._session.endpoint.timeout_ns),
            budget=self._session.budget_use(),
        )


def _lacks_finality(parts: Iterable[Part]) -> bool:
    return any(part.call == beacon.FINALITY and part.result is None for part in parts)


def _values(outcome: Part | Fault | None) -> wire.Values:
    return wire.values(outcome) if isinstance(outcome, Part) else {}
