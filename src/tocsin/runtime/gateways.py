"""The price gateways that are asked now: for each a session and a prober."""

from dataclasses import dataclass
from typing import Final

from tocsin.clock import NS
from tocsin.config.feed import GatewayTable
from tocsin.config.load import Loaded
from tocsin.model.event import Event
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.gateway import GatewayPlan, GatewayProber, GatewaySession
from tocsin.runtime.watched import Means

_SLACK_NS: Final = 30 * NS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    session: GatewaySession
    task: str


class GatewayWatch:
    """Owns the sessions. `apply` brings the gateways of a configuration into force; the rest stays as it is."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._asked: dict[str, _Asked] = {}
        self._generation = 0

    async def apply(self, loaded: Loaded) -> None:
        """Ask the gateways whose price a feed has, and no others."""
        used = {one.name for chain in loaded.settings.chains for one in chain.gateways}
        wanted = {one.name: one for one in loaded.tree.gateways if one.name in used}
        for name, asked in list(self._asked.items()):
            one = wanted.get(name)
            if one is None or (asked.session.endpoint, asked.session.plan) != (endpoint(one), plan(one)):
                await self._end(name)
        for name, one in wanted.items():
            if name not in self._asked:
                self._begin(one)

    async def close(self) -> None:
        """Close every session; their tasks are ended by the supervisor."""
        for asked in self._asked.values():
            await asked.session.close()
        self._asked.clear()

    def _begin(self, one: GatewayTable) -> None:
        means, where, when = self._means, endpoint(one), plan(one)
        self._generation += 1
        task = f"gateway {one.name} #{self._generation}"
        session = GatewaySession(where, when, clock=means.clock, resolver=means.resolver)
        prober = GatewayProber(session, clock=means.clock, lag=means.lag)

        def report(event: Event) -> None:
            means.supervisor.beat(task)
            means.emit(event)

        budget_ns = 3 * (when.poll_ns + where.timeout_ns) + _SLACK_NS
        means.supervisor.spawn(task, lambda: prober.run(report), budget_ns=budget_ns)
        self._asked[one.name] = _Asked(session=session, task=task)

    async def _end(self, name: str) -> None:
        asked = self._asked.pop(name)
        await self._means.supervisor.end(asked.task)
        await asked.session.close()


def endpoint(one: GatewayTable) -> Endpoint:
    """Return how a gateway is reached."""
    return Endpoint(
        chain="",
        node=one.name,
        url=one.url,
        headers=tuple(one.headers.items()),
        ca=one.ca,
        proxy=one.proxy,
        timeout_ns=one.timeout_ns,
        concurrency=1,
    )


def plan(one: GatewayTable) -> GatewayPlan:
    """Return when a gateway is asked, and where in its answer the price stands."""
    return GatewayPlan(poll_ns=one.poll_ns, price=one.price, time=one.time, low=one.low or "", high=one.high or "")
