"""The beacon nodes that are watched now: for each a session and a prober, a task of the supervisor.

As with nodes, a reload starts, ends or replaces what differs and leaves the rest alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tocsin.clock import NS, EngineClock
from tocsin.config.tree import Beacon, Chain, Tree
from tocsin.model.event import Event
from tocsin.rpc.beacon import BeaconProber, BeaconSession
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.prober import PollPlan
from tocsin.rpc.resolver import Resolver
from tocsin.runtime import endpoints
from tocsin.runtime.supervisor import Supervisor

_SLACK_NS = 30 * NS

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched:
    endpoint: Endpoint
    plan: PollPlan
    session: BeaconSession
    task: str


class BeaconWatch:
    """Owns the sessions. `apply` brings the beacon nodes of a configuration into force."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        clock: EngineClock,
        resolver: Resolver,
        lag: LoopLag,
        emit: Callable[[Event], None],
    ) -> None:
        self._supervisor = supervisor
        self._clock = clock
        self._resolver = resolver
        self._lag = lag
        self._emit = emit
        self._watched: dict[Key, _Watched] = {}
        self._generation = 0

    async def apply(self, tree: Tree) -> None:
        """Watch what the configuration names, and nothing else."""
        wanted = {(chain.name, one.name): (chain, one) for chain in tree.chains for one in chain.beacons}
        for key, watched in list(self._watched.items()):
            if key not in wanted or not _is_same(watched, *wanted[key]):
                await self._end(key)
        for key, (chain, one) in wanted.items():
            if key not in self._watched:
                self._watched[key] = self._begun(chain, one)

    async def close(self) -> None:
        """Close every session; their tasks are ended by the supervisor."""
        for watched in self._watched.values():
            await watched.session.close()
        self._watched.clear()

    async def _end(self, key: Key) -> None:
        watched = self._watched.pop(key)
        await self._supervisor.end(watched.task)
        await watched.session.close()

    def _begun(self, chain: Chain, one: Beacon) -> _Watched:
        self._generation += 1
        where, plan = endpoints.beacon(chain, one), endpoints.beacon_plan(chain, one)
        session = BeaconSession(where, clock=self._clock, resolver=self._resolver)
        prober = BeaconProber(plan, session, clock=self._clock, lag=self._lag)
        name = f"beacon {chain.name}/{one.name} #{self._generation}"

        def report(event: Event) -> None:
            self._supervisor.beat(name)
            self._emit(event)

        budget_ns = 3 * (plan.poll_ns + where.timeout_ns) + _SLACK_NS
        self._supervisor.spawn(name, lambda: prober.run(report), budget_ns=budget_ns)
        return _Watched(endpoint=where, plan=plan, session=session, task=name)


def _is_same(watched: _Watched, chain: Chain, one: Beacon) -> bool:
    return watched.endpoint == endpoints.beacon(chain, one) and watched.plan == endpoints.beacon_plan(chain, one)
