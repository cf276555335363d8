"""The beacon nodes that are watched now: for each a session and a prober."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.config.tree import Beacon, Chain, Tree
from tocsin.rpc.beacon import BeaconProber, BeaconSession
from tocsin.rpc.bill import Bill
from tocsin.rpc.pacing import Budget
from tocsin.runtime import endpoints
from tocsin.runtime.watched import Sessions, Watched


@dataclass(slots=True, kw_only=True)
class _Watched(Watched):
    session: BeaconSession
    shared: Budget | None


class BeaconWatch(Sessions[Beacon, _Watched]):
    """Owns the sessions. `apply` brings the beacon nodes of a configuration into force."""

    async def apply(self, tree: Tree) -> None:
        """Watch what the configuration names, and nothing else."""
        self._means.budgets.apply(tree)
        await self._bring({(chain.name, one.name): (chain, one) for chain in tree.chains for one in chain.beacons})

    def bills(self) -> Iterator[tuple[str, str, Bill]]:
        """Yield chain, node and what the node cost, in order."""
        for (chain, node), watched in sorted(self._watched.items(), key=lambda item: item[0]):
            yield chain, node, watched.session.bill()

    def _begun(self, chain: Chain, one: Beacon) -> _Watched:
        where, plan = endpoints.beacon(chain, one), endpoints.beacon_plan(chain, one)
        _, shared = self._means.budgets.of(one.provider)
        means = self._means
        budgets = () if shared is None else (shared,)
        session = BeaconSession(where, clock=means.clock, resolver=means.resolver, shared=budgets)
        prober = BeaconProber(plan, session, clock=means.clock, lag=means.lag)
        task = self._task("beacon", chain, one)
        longest_ns = plan.sparse_ns if session.is_bounded else plan.poll_ns
        self._ask(task, prober.run, longest_ns + where.timeout_ns)
        return _Watched(endpoint=where, plan=plan, session=session, shared=shared, tasks=(task,))

    def _is_same(self, watched: _Watched, chain: Chain, one: Beacon) -> bool:
        return (
            watched.endpoint == endpoints.beacon(chain, one)
            and watched.plan == endpoints.beacon_plan(chain, one)
            and watched.shared is self._means.budgets.of(one.provider)[1]
        )
