"""The beacon nodes that are watched now: for each a session and a prober."""

from tocsin.config.tree import Beacon, Chain, Tree
from tocsin.rpc.beacon import BeaconProber, BeaconSession
from tocsin.runtime import endpoints
from tocsin.runtime.watched import Sessions, Watched


class BeaconWatch(Sessions[Beacon, Watched]):
    """Owns the sessions. `apply` brings the beacon nodes of a configuration into force."""

    async def apply(self, tree: Tree) -> None:
        """Watch what the configuration names, and nothing else."""
        await self._bring({(chain.name, one.name): (chain, one) for chain in tree.chains for one in chain.beacons})

    def _begun(self, chain: Chain, one: Beacon) -> Watched:
        where, plan = endpoints.beacon(chain, one), endpoints.beacon_plan(chain, one)
        means = self._means
        session = BeaconSession(where, clock=means.clock, resolver=means.resolver)
        prober = BeaconProber(plan, session, clock=means.clock, lag=means.lag)
        task = self._task("beacon", chain, one)
        self._ask(task, prober.run, plan.poll_ns + where.timeout_ns)
        return Watched(endpoint=where, plan=plan, session=session, tasks=(task,))

    def _is_same(self, watched: Watched, chain: Chain, one: Beacon) -> bool:
        return watched.endpoint == endpoints.beacon(chain, one) and watched.plan == endpoints.beacon_plan(chain, one)
