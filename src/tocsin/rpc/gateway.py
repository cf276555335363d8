"""Asks one price gateway for its price, again and again, and reports every answer and every failure once.

What of the answer decides is read at once, exactly; the rest is not kept. One absolute deadline covers a poll, a body
has a cap while it is read, and a gateway that asks to be left alone is.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tocsin.clock import MS, NS, EngineClock
from tocsin.model.event import Event, GatewayPolled
from tocsin.model.observation import Fault, FaultKind
from tocsin.rpc.channel import HttpChannel, Progress
from tocsin.rpc.defects import Defects
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import fault_of
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.pacing import retry_after_ns
from tocsin.rpc.resolver import Resolver
from tocsin.units import span_text
from tocsin.wire import quote

_LONGEST_HOLD_NS: Final = 3600 * NS
"""However long a gateway asks to be left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """When a gateway is asked, and where in its answer the price stands."""

    poll_ns: int
    price: str
    time: str | None = None
    low: str = ""
    high: str = ""


class GatewaySession:
    """The connection to one gateway. Opens when first asked; close it when done."""

    def __init__(self, endpoint: Endpoint, plan: GatewayPlan, *, clock: EngineClock, resolver: Resolver) -> None:
        self.endpoint = endpoint
        self.plan = plan
        self._clock = clock
        self._channel = HttpChannel(endpoint, resolver)
        self._defects = Defects(endpoint)
        secrets = (endpoint.url, endpoint.proxy, *(value for _, value in endpoint.headers))
        forms = {form for secret in secrets if secret is not None for form in secret.forms()}
        self._secrets = sorted(forms, key=lambda form: (-len(form), form))
        self._held_until_ns = 0

    async def ask(self) -> quote.Price | Fault:
        """Ask once. Never raises, but for cancellation."""
        left_ns = self._held_until_ns - self._clock.t_ns()
        if left_ns > 0:
            detail = f"it asked to be left alone for another {span_text(left_ns)}"
            return Fault(kind=FaultKind.RATE_LIMITED, detail=detail, retry_after_ns=left_ns)
        found = await self._asked()
        if not isinstance(found, Fault):
            return found
        if found.retry_after_ns is not None:
            self._held_until_ns = self._clock.t_ns() + min(found.retry_after_ns, _LONGEST_HOLD_NS)
        return self._discreet(found)

    async def close(self) -> None:
        """Close every connection; an ask under way ends in a fault."""
        await self._channel.close()

    async def _asked(self) -> quote.Price | Fault:
        progress, timeout_ns = Progress(), self.endpoint.timeout_ns
        try:
            async with asyncio.timeout(timeout_ns / NS):
                reply = await self._channel.get("", progress, quote.LARGEST)
        except TimeoutError:
            what = "no answer" if progress.status is None else "the answer was not complete"
            hint = self._channel.hint()
            return Fault(kind=FaultKind.TIMEOUT, detail=hint or f"{what} after {timeout_ns // MS} ms")
        except Exception as error:  # noqa: BLE001 - all that sockets, TLS and HTTP can raise is a fault of this ask
            fault = fault_of(error)
            return self._defects.fault(error) if fault.kind is FaultKind.INTERNAL else fault
        hold = retry_after_ns(reply.retry_after, self._clock.wall_ns())
        plan = self.plan
        return quote.read(
            reply.status, reply.body, plan.price, plan.time, low=plan.low, high=plan.high, retry_after_ns=hold
        )

    def _discreet(self, fault: Fault) -> Fault:
        """Return a fault without what of our secrets an answer repeats."""
        detail = fault.detail
        for form in self._secrets:
            detail = detail.replace(form, "***")
        return fault if detail == fault.detail else replace(fault, detail=detail)


class GatewayProber:
    """Polls one gateway. `run` belongs to a task of the caller; it ends when cancelled."""

    def __init__(self, session: GatewaySession, *, clock: EngineClock, lag: LoopLag, seed: int | str = 0) -> None:
        self.polls = 0
        """Polls so far; the number of the newest `GatewayPolled`."""
        self._session = session
        self._clock = clock
        self._lag = lag
        name = session.endpoint.node
        self._phase_ns = random.Random(f"{seed}/{name}/phase").randrange(session.plan.poll_ns)  # noqa: S311 - spread

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Poll until cancelled and emit one `GatewayPolled` per poll."""
        while True:
            emit(await self.poll())
            now, every = self._clock.t_ns(), self._session.plan.poll_ns
            await asyncio.sleep((every - (now - self._phase_ns) % every) / NS)

    async def poll(self) -> GatewayPolled:
        """Ask once."""
        started = self._clock.t_ns()
        found = await self._session.ask()
        ended, endpoint = self._clock.t_ns(), self._session.endpoint
        self.polls += 1
        fault = found if isinstance(found, Fault) else None
        return GatewayPolled(
            t_ns=ended,
            wall_ns=self._clock.wall_ns(),
            started_ns=started,
            gateway=endpoint.node,
            poll=self.polls,
            price=found.value if isinstance(found, quote.Price) else "",
            price_ns=found.at_ns if isinstance(found, quote.Price) else None,
            fault=fault,
            stalled=fault is not None and self._lag.spoils(started, ended, endpoint.timeout_ns),
        )
