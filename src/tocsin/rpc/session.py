"""Everything that is asked of one node goes through its session; every outcome is a value.

One absolute deadline covers an ask from the first lookup to the last byte, so a node that drips a byte a second is as
late as one that hangs. Nothing is ever asked twice because it failed: a failure is a sample. The one thing that is sent
again is a batch that the node refused as too long, cut in half, until it fits; the length that fits is remembered.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Self

from tocsin.clock import MS, NS, EngineClock
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.logquery import LOGS
from tocsin.model.observation import (
    GENESIS,
    BudgetUse,
    Fault,
    FaultKind,
    Part,
    RpcError,
    RpcErrorKind,
    hash_of,
    number_of,
)
from tocsin.model.question import is_trial
from tocsin.model.reading import READ, requests
from tocsin.rpc.batching import BatchLimit
from tocsin.rpc.bill import Bill, Meter, price_of
from tocsin.rpc.channel import Channel, HttpChannel, Progress, Reply
from tocsin.rpc.defects import Defects
from tocsin.rpc.discretion import Discretion
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import fault_of
from tocsin.rpc.ipc import IpcChannel
from tocsin.rpc.pacing import Budget, Need, Pacing, retry_after_ns
from tocsin.rpc.resolver import Resolver
from tocsin.wire import jsonrpc, quirks

_OFF_LOOP = 256 * 1024
"""Bytes of an answer from which on a thread parses it: of the logs of some thousand blocks that takes 30 ms."""
_PLANS_KEPT = 2
"""Bodies kept to be compared with the next ones: a node is polled with two sets of calls in turn."""

_DROPS = frozenset({FaultKind.RESET, FaultKind.TRUNCATED, FaultKind.HTTP_STATUS})
"""Faults that may be a node's way of refusing a batch (older erigon drops the connection)."""

_NO_BATCH_ERRORS = frozenset({RpcErrorKind.INVALID, RpcErrorKind.METHOD_MISSING, RpcErrorKind.OTHER})
"""Errors for a whole batch that may mean that batches are not understood at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an ask: parts in the order of the calls, or a fault and no parts. Instants are engine time."""

    parts: tuple[Part, ...]
    fault: Fault | None
    started_ns: int
    ended_ns: int

    @classmethod
    def of(cls, outcome: tuple[Part, ...] | Fault, started_ns: int, ended_ns: int) -> Self:
        """Return the answer for what came of it."""
        if isinstance(outcome, Fault):
            return cls((), outcome, started_ns, ended_ns)
        return cls(outcome, None, started_ns, ended_ns)


@dataclass(frozen=True, slots=True)
class _Refused:
    """A batch was too long, or may have been; `fault` is what it was if it was not."""

    size: int
    fault: Fault
    certain: bool


_Outcome = tuple[Part, ...] | _Refused | Fault


class Session:
    """The connection to one node. Opens when first asked; close it when done."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: EngineClock,
        resolver: Resolver,
        seed: int | str = 0,
        batch_limit: BatchLimit | None = None,
        channel: Channel | None = None,
        shared: Sequence[Budget] = (),
    ) -> None:
        """`channel` is another way to the node than the one its URL says: a simulation has no sockets.

        `shared` are budgets of units that other nodes of the same provider spend from, too.
        """
        self.endpoint = endpoint
        self.batch_limit = batch_limit or BatchLimit()
        self._clock = clock
        is_ipc = endpoint.url.scheme == "ipc"
        self._channel: Channel = channel or (IpcChannel(endpoint) if is_ipc else HttpChannel(endpoint, resolver))
        secrets = (endpoint.url, endpoint.ws, endpoint.proxy, *(value for _, value in endpoint.headers))
        self._discretion = Discretion(secret for secret in secrets if secret is not None)
        self._pacing = Pacing(
            budget_per_day=endpoint.budget_per_day,
            shared=shared,
            seed=f"{seed}/{endpoint.chain}/{endpoint.node}/hold",
        )
        self._meter = Meter()
        self._fetches = asyncio.Semaphore(max(1, endpoint.concurrency - 1))
        self._last: dict[tuple[str, ...], tuple[bytes, tuple[Part, ...]]] = {}
        self._defects = Defects(endpoint)

    async def ask(self, calls: tuple[str, ...], *, timeout_ns: int | None = None, body: bytes | None = None) -> Answer:
        """Ask some calls within a time. Never raises, but for cancellation.

        `body` is the request of one call where it is written already (`tocsin.wire.prepared`).
        """
        started = self._clock.t_ns()
        timeout_ns = self.endpoint.timeout_ns if timeout_ns is None else timeout_ns
        try:
            outcome = await self._asked(calls, started, timeout_ns, body)
        except Exception as error:  # noqa: BLE001 - whatever it is: a node that is asked no longer must not look well
            outcome = self._defects.fault(error)
        return Answer.of(outcome, started, self._clock.t_ns())

    async def fetch(self, effect: Fetch, need: Need | None = None) -> Fetched:
        """Ask one call outside the polls, or a run of headers in one request, if the budget allows.

        At least one connection is always left to the polls. `need` is how much the call matters, by default what its
        kind does.
        """
        async with self._fetches:
            calls = requests(effect.call)
            if need is None:
                need = Need.ROUTINE if is_trial(effect.call) else Need.CLOSER
            answer = await self.ask(calls) if self.affords(calls, need) else self._unaffordable()
        return Fetched(
            t_ns=answer.ended_ns,
            chain=effect.chain,
            node=effect.node,
            request=effect.request,
            call=effect.call,
            part=answer.parts[0] if len(answer.parts) == 1 else None,
            fault=answer.fault,
            run=answer.parts if len(answer.parts) > 1 else (),
        )

    async def read(self, call: str, body: bytes) -> Answer:
        """Ask one thing whose request is written already, as `fetch` does; `call` says in short what it is."""
        async with self._fetches:
            return await self.ask((call,), body=body) if self.affords((call,), Need.CLOSER) else self._unaffordable()

    @property
    def is_bounded(self) -> bool:
        """Whether what may be asked of the node is bounded by any budget."""
        return self._pacing.is_bounded

    def affords(self, calls: tuple[str, ...], need: Need) -> bool:
        """Tell whether the budgets have enough for some calls and for what matters more than they do."""
        if not self._pacing.is_bounded:
            return True
        return self._pacing.affords(len(calls), price_of(calls, self.endpoint.prices), need, self._clock.t_ns())

    def forgo(self, calls: tuple[str, ...]) -> None:
        """Note that some calls are not asked in order to save."""
        self._pacing.forgo(len(calls), price_of(calls, self.endpoint.prices), self._clock.t_ns())

    def budget_use(self) -> BudgetUse | None:
        """Return how the budget is used that suffices least, None where there is none."""
        return self._pacing.use(self._clock.t_ns()) if self._pacing.is_bounded else None

    def bill(self) -> Bill:
        """Return what the node cost."""
        return self._meter.bill(self._clock.t_ns())

    def _unaffordable(self) -> Answer:
        now = self._clock.t_ns()
        detail = "not asked: what is left of the budget is kept for the polls"
        return Answer((), Fault(kind=FaultKind.BUDGET, detail=detail), now, now)

    async def close(self) -> None:
        """Close every connection; asks under way end in a fault."""
        await self._channel.close()

    async def _asked(
        self, calls: tuple[str, ...], now_ns: int, timeout_ns: int, body: bytes | None
    ) -> tuple[Part, ...] | Fault:
        units = price_of(calls, self.endpoint.prices)
        fault = self._pacing.check(len(calls), now_ns, units)
        if fault is not None:
            return fault
        self._meter.spend(len(calls), units, now_ns)
        outcome = await self._within(calls, timeout_ns, body)
        if isinstance(outcome, Fault):
            return self._paced(outcome)
        self._pace_by_parts(outcome)
        return outcome

    async def _within(self, calls: tuple[str, ...], timeout_ns: int, body: bytes | None) -> tuple[Part, ...] | Fault:
        progress = Progress()
        size = min(self.batch_limit.size, len(calls))
        try:
            async with asyncio.timeout(timeout_ns / NS):
                outcome = await self._send(calls, size, progress, body)
                if isinstance(outcome, _Refused):
                    return await self._fit(calls, outcome, progress)
        except TimeoutError:
            return self._late(progress, timeout_ns)
        if not isinstance(outcome, Fault):
            self.batch_limit.answered(size)
        return outcome

    def _late(self, progress: Progress, timeout_ns: int) -> Fault:
        hint = self._channel.hint()
        if hint is not None:
            return Fault(kind=FaultKind.DNS, detail=f"{hint}: given up after {timeout_ns // MS} ms")
        if progress.status is None and not progress.received:
            return Fault(kind=FaultKind.TIMEOUT, detail=f"no answer within {timeout_ns // MS} ms")
        detail = f"the answer was not complete after {timeout_ns // MS} ms, {progress.received} bytes had come"
        return Fault(kind=FaultKind.TIMEOUT, detail=detail, status=progress.status)

    async def _fit(self, calls: tuple[str, ...], refused: _Refused, progress: Progress) -> tuple[Part, ...] | Fault:
        """Send the calls again in ever smaller batches until the node takes them, and remember what it took."""
        limit = self.batch_limit
        suspected = False
        while True:
            if refused.certain:
                limit.refused(refused.size)
            elif not suspected:
                suspected = limit.suspects(refused.size)
                if not suspected:
                    return refused.fault
            size = refused.size // 2
            outcome = await self._send(calls, size, progress)
            if isinstance(outcome, Fault):
                return outcome
            if not isinstance(outcome, _Refused):
                limit.fits(size)
                return outcome
            refused = outcome

    def _send(
        self, calls: tuple[str, ...], size: int, progress: Progress, body: bytes | None = None
    ) -> Awaitable[_Outcome]:
        """Send calls in batches of a size; one batch, the rule, costs no further coroutine."""
        if size >= len(calls):
            return self._exchange(calls, progress, body)
        chunks = [calls[start : start + size] for start in range(0, len(calls), size)]
        return self._in_chunks(chunks, progress)

    async def _in_chunks(self, chunks: list[tuple[str, ...]], progress: Progress) -> _Outcome:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._exchange(chunk, progress)) for chunk in chunks]
        return _joined([task.result() for task in tasks])

    async def _exchange(self, calls: tuple[str, ...], progress: Progress, body: bytes | None = None) -> _Outcome:
        body = jsonrpc.encode(calls, batch=len(calls) > 1) if body is None else body
        try:
            reply = await self._channel.post(body, progress)
        except Exception as error:  # noqa: BLE001 - all that sockets, TLS and HTTP can raise is a fault of this ask
            fault = fault_of(error)
            return self._defects.fault(error) if fault.kind is FaultKind.INTERNAL else self._suspicious(calls, fault)
        last = self._last.get(calls)
        if last is not None and last[0] == reply.body and reply.status == 200:  # noqa: PLR2004 - HTTP OK
            return last[1]
        if reply.status // 100 == 3:  # noqa: PLR2004 - a redirect, whatever its body says
            return quirks.fault_of_status(reply.status, b"")
        if len(reply.body) > _OFF_LOOP:
            return self._judged(calls, reply, await asyncio.to_thread(jsonrpc.read, reply.body, calls, reply.status))
        return self._judged(calls, reply, jsonrpc.read(reply.body, calls, reply.status))

    def _judged(self, calls: tuple[str, ...], reply: Reply, outcome: tuple[Part, ...] | RpcError | Fault) -> _Outcome:
        hold = retry_after_ns(reply.retry_after, self._clock.wall_ns())
        if isinstance(outcome, RpcError):
            fault = quirks.fault_of_error(outcome, status=_notable(reply.status), retry_after_ns=hold)
            if len(calls) > 1 and outcome.kind is RpcErrorKind.BATCH_LIMIT:
                return _Refused(len(calls), fault, certain=True)
            return self._suspicious(calls, fault, outcome.kind)
        if isinstance(outcome, Fault):
            if reply.status == 200:  # noqa: PLR2004 - HTTP OK
                return outcome if hold is None else _held(outcome, hold)
            fault = quirks.fault_of_status(reply.status, reply.body, retry_after_ns=hold)
            return self._suspicious(calls, fault)
        if len(calls) > 1 and jsonrpc.refuses_batch(outcome):
            return _Refused(len(calls), _first_error(outcome), certain=True)
        discreet = self._discretion.of(outcome)
        if reply.status == 200:  # noqa: PLR2004 - HTTP OK
            self._remember(calls, reply.body, discreet)
        return discreet

    def _suspicious(self, calls: Sequence[str], fault: Fault, kind: RpcErrorKind | None = None) -> _Refused | Fault:
        suspect = fault.kind in _DROPS if kind is None else kind in _NO_BATCH_ERRORS
        return _Refused(len(calls), fault, certain=False) if suspect and len(calls) > 1 else fault

    def _remember(self, calls: tuple[str, ...], body: bytes, parts: tuple[Part, ...]) -> None:
        # Asked once: to remember it would push out what every poll asks.
        if any(_is_asked_once(call) for call in calls):
            return
        self._last.pop(calls, None)
        if len(self._last) >= _PLANS_KEPT:
            del self._last[next(iter(self._last))]
        self._last[calls] = (body, parts)

    def _paced(self, fault: Fault) -> Fault:
        """Obey a rate limit, and say in the fault for how long the node will be left alone.

        A 503 with Retry-After is no rate limit: the node is out of service, and a watchdog must go on saying so.
        """
        if fault.kind is FaultKind.RATE_LIMITED:
            return _held(fault, self._pacing.limited(fault.retry_after_ns, self._clock.t_ns()))
        return fault

    def _pace_by_parts(self, parts: tuple[Part, ...]) -> None:
        if any(part.error is not None and part.error.kind is RpcErrorKind.RATE_LIMITED for part in parts):
            self._pacing.limited(None, self._clock.t_ns())
        else:
            self._pacing.answered()


def _joined(outcomes: list[_Outcome]) -> _Outcome:
    """Join the outcomes of several batches: a refusal first, then a fault, else all parts in order."""
    parts: list[Part] = []
    fault: Fault | None = None
    for outcome in outcomes:
        if isinstance(outcome, _Refused):
            return outcome
        if isinstance(outcome, Fault):
            fault = fault or outcome
        else:
            parts.extend(outcome)
    return fault or tuple(parts)


def _first_error(parts: Sequence[Part]) -> Fault:
    return next(quirks.fault_of_error(part.error) for part in parts if part.error is not None)


def _held(fault: Fault, hold_ns: int) -> Fault:
    return Fault(kind=fault.kind, detail=fault.detail, status=fault.status, retry_after_ns=hold_ns)


def _notable(status: int) -> int | None:
    return None if status == 200 else status  # noqa: PLR2004 - HTTP OK


def _is_asked_once(call: str) -> bool:
    return call == GENESIS or hash_of(call) is not None or number_of(call) is not None or call.startswith((READ, LOGS))
