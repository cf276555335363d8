"""The nodes that are watched now: for each a session, a prober, and a subscription where it offers one.

Every prober and subscription is a task of the supervisor. A reload starts, ends or replaces what differs and leaves
the rest alone, connections included.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from tocsin.clock import NS, EngineClock
from tocsin.config.tree import Chain, Node, Provider, Tree
from tocsin.model.effect import Fetch, Pace, Request
from tocsin.model.event import Event, Fetched
from tocsin.model.observation import Fault, FaultKind
from tocsin.rpc.bill import Bill
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.heads import Heads, HeadStats
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.pacing import Budget
from tocsin.rpc.prober import PollPlan, Prober
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.runtime import endpoints
from tocsin.runtime.supervisor import Supervisor

_SLACK_NS = 30 * NS
"""How much longer than its poll and deadline a prober may take before it counts as hung: back-offs of the session."""

_MOST_WAITING: Final = 32
"""Questions outside the polls that wait for one node. One that answers its polls and nothing else would gather them
for ever; what is refused here is asked of another node, or when the next head leads to it."""

Key = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class _Watched:
    endpoint: Endpoint
    plan: PollPlan
    session: Session
    shared: Budget | None
    prober: Prober
    tasks: tuple[str, ...]
    heads: Heads | None = None
    waiting: int = 0


class Watch:
    """Owns the sessions. `apply` brings the nodes of a configuration into force."""

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
        self._fetches: asyncio.Queue[Fetch] = asyncio.Queue()
        self._paces: dict[str, Pace] = {}
        self._providers: dict[str, tuple[Provider, Budget]] = {}
        self._generation = 0

    async def apply(self, tree: Tree) -> None:
        """Watch what the configuration names, and nothing else."""
        wanted = endpoints.nodes(tree)
        self._providers = {
            provider.name: (provider, self._kept(provider) or Budget(provider.budget)) for provider in tree.providers
        }
        for key in [key for key in self._watched if not self._is_same(key, wanted)]:
            await self._end(key)
        for key, (chain, node) in wanted.items():
            if key not in self._watched:
                self._begin(key, chain, node)

    async def close(self) -> None:
        """Close every session; their tasks are ended by the supervisor."""
        for watched in self._watched.values():
            await watched.session.close()
        self._watched.clear()

    def bills(self) -> Iterator[tuple[str, str, Bill]]:
        """Yield chain, node and what the node cost, in order."""
        for (chain, node), watched in sorted(self._watched.items()):
            yield chain, node, watched.session.bill()

    def sockets(self) -> Iterator[tuple[str, str, HeadStats]]:
        """Yield chain, node and what happened on its websocket, for nodes that have one, in order."""
        for (chain, node), watched in sorted(self._watched.items(), key=lambda item: item[0]):
            if watched.heads is not None:
                yield chain, node, watched.heads.stats

    def take(self, request: Request) -> None:
        """Take what the engine asks: another pace at once, a question to a node for `run_fetches`."""
        if isinstance(request, Fetch):
            self._fetches.put_nowait(request)
            return
        self._paces[request.chain] = request
        for (chain, _), watched in self._watched.items():
            if chain == request.chain:
                watched.prober.follow(request)

    async def run_fetches(self) -> None:
        """Carry out fetches for ever, several at a time. Belongs to one task."""
        async with asyncio.TaskGroup() as group:
            while True:
                effect = await self._fetches.get()
                group.create_task(self._fetch(effect))

    async def _fetch(self, effect: Fetch) -> None:
        watched = self._watched.get((effect.chain, effect.node))
        if watched is None:
            self._refuse(effect, "the node is configured no longer")
        elif watched.waiting >= _MOST_WAITING:
            self._refuse(effect, f"{watched.waiting} questions wait for the node already")
        else:
            watched.waiting += 1
            try:
                self._emit(await watched.prober.fetch(effect))
            finally:
                watched.waiting -= 1

    def _refuse(self, effect: Fetch, why: str) -> None:
        self._emit(
            Fetched(
                t_ns=self._clock.t_ns(),
                chain=effect.chain,
                node=effect.node,
                request=effect.request,
                call=effect.call,
                fault=Fault(kind=FaultKind.BUDGET, detail=why),
            )
        )

    def _is_same(self, key: Key, wanted: Mapping[Key, tuple[Chain, Node]]) -> bool:
        if key not in wanted:
            return False
        watched, (chain, node) = self._watched[key], wanted[key]
        provider, shared = self._providers.get(node.provider, (None, None))
        return (
            watched.endpoint == endpoints.endpoint(chain, node, provider)
            and watched.plan == endpoints.poll_plan(chain, node)
            and watched.shared is shared
        )

    def _kept(self, provider: Provider) -> Budget | None:
        """Return the budget in force if it is the same: a reload must not grant another hour's worth."""
        before, budget = self._providers.get(provider.name, (None, None))
        return budget if before is not None and before.budget == provider.budget else None

    async def _end(self, key: Key) -> None:
        watched = self._watched.pop(key)
        for task in watched.tasks:
            await self._supervisor.end(task)
        await watched.session.close()

    def _begin(self, key: Key, chain: Chain, node: Node) -> None:
        self._generation += 1
        provider, shared = self._providers.get(node.provider, (None, None))
        where, plan = endpoints.endpoint(chain, node, provider), endpoints.poll_plan(chain, node)
        budgets = () if shared is None else (shared,)
        session = Session(where, clock=self._clock, resolver=self._resolver, shared=budgets)
        prober = Prober(plan, session, clock=self._clock, lag=self._lag)
        if chain.name in self._paces:
            prober.follow(self._paces[chain.name])
        name = f"poll {chain.name}/{node.name} #{self._generation}"
        longest_ns = plan.sparse_ns if session.is_bounded else plan.poll_ns
        budget_ns = 3 * (longest_ns + where.timeout_ns) + _SLACK_NS

        def report(event: Event) -> None:
            self._supervisor.beat(name)
            self._emit(event)

        self._supervisor.spawn(name, lambda: prober.run(report), budget_ns=budget_ns)
        tasks = [name]
        heads = None
        if where.ws is not None:
            heads = Heads(
                where,
                clock=self._clock,
                resolver=self._resolver,
                block_time_ns=chain.block_time_ns,
                wake=prober.wake,
            )
            tasks.append(f"heads {chain.name}/{node.name} #{self._generation}")
            self._supervisor.spawn(tasks[-1], partial(heads.run, self._emit))
        self._watched[key] = _Watched(
            endpoint=where,
            plan=plan,
            session=session,
            shared=shared,
            prober=prober,
            tasks=tuple(tasks),
            heads=heads,
        )
