"""The nodes that are watched now: for each a session, a prober, and a subscription where it offers one.

Every prober and subscription is a task of the supervisor.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from tocsin.config.tree import Chain, Node, Tree
from tocsin.model.effect import Fetch, Pace, Request
from tocsin.model.event import Fetched
from tocsin.model.observation import Fault, FaultKind
from tocsin.rpc.batching import BatchLimit
from tocsin.rpc.bill import Bill
from tocsin.rpc.heads import Heads, HeadStats
from tocsin.rpc.pacing import Budget
from tocsin.rpc.prober import Prober, plan_of
from tocsin.rpc.session import Session
from tocsin.runtime import endpoints
from tocsin.runtime.watched import Means, Sessions, Watched

_MOST_WAITING: Final = 32
"""Questions outside the polls that wait for one node. One that answers its polls and nothing else would gather them
for ever; what is refused here is asked of another node, or when the next head leads to it."""


@dataclass(slots=True, kw_only=True)
class _Watched(Watched):
    session: Session
    shared: Budget | None
    prober: Prober
    heads: Heads | None = None
    waiting: int = 0


class _OfChain(Mapping[str, Session]):
    """The sessions of one chain's nodes by name, as they are at each look."""

    def __init__(self, chain: str, watched: Mapping[tuple[str, str], _Watched]) -> None:
        self._chain = chain
        self._watched = watched

    def __getitem__(self, node: str) -> Session:
        return self._watched[self._chain, node].session

    def __iter__(self) -> Iterator[str]:
        return (node for chain, node in self._watched if chain == self._chain)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Watch(Sessions[Node, _Watched]):
    """Owns the sessions. `apply` brings the nodes of a configuration into force."""

    def __init__(self, means: Means) -> None:
        super().__init__(means)
        self._fetches: asyncio.Queue[Fetch] = asyncio.Queue()
        self._paces: dict[str, Pace] = {}

    async def apply(self, tree: Tree) -> None:
        """Watch what the configuration names, and nothing else."""
        self._means.budgets.apply(tree)
        await self._bring(endpoints.nodes(tree))

    def bills(self) -> Iterator[tuple[str, str, Bill]]:
        """Yield chain, node and what the node cost, in order."""
        for (chain, node), watched in sorted(self._watched.items()):
            yield chain, node, watched.session.bill()

    def batches(self) -> Iterator[tuple[str, str, BatchLimit]]:
        """Yield chain, node and what was learned of the batches that it takes, in order."""
        for (chain, node), watched in sorted(self._watched.items(), key=lambda item: item[0]):
            yield chain, node, watched.session.batch_limit

    def sockets(self) -> Iterator[tuple[str, str, HeadStats]]:
        """Yield chain, node and what happened on its websocket, for nodes that have one, in order."""
        for (chain, node), watched in sorted(self._watched.items(), key=lambda item: item[0]):
            if watched.heads is not None:
                yield chain, node, watched.heads.stats

    def sessions(self, chain: str) -> Mapping[str, Session]:
        """Return the sessions of a chain's nodes by name, whichever there are when it is looked into."""
        return _OfChain(chain, self._watched)

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
                self._means.emit(await watched.prober.fetch(effect))
            finally:
                watched.waiting -= 1

    def _refuse(self, effect: Fetch, why: str) -> None:
        self._means.emit(
            Fetched(
                t_ns=self._means.clock.t_ns(),
                chain=effect.chain,
                node=effect.node,
                request=effect.request,
                call=effect.call,
                fault=Fault(kind=FaultKind.BUDGET, detail=why),
            )
        )

    def _is_same(self, watched: _Watched, chain: Chain, one: Node) -> bool:
        provider, shared = self._means.budgets.of(one.provider)
        return (
            watched.endpoint == endpoints.endpoint(chain, one, provider)
            and watched.plan == plan_of(chain, one)
            and watched.shared is shared
        )

    def _begun(self, chain: Chain, one: Node) -> _Watched:
        provider, shared = self._means.budgets.of(one.provider)
        where, plan = endpoints.endpoint(chain, one, provider), plan_of(chain, one)
        budgets = () if shared is None else (shared,)
        means = self._means
        session = Session(where, clock=means.clock, resolver=means.resolver, shared=budgets)
        prober = Prober(plan, session, clock=means.clock, lag=means.lag)
        if chain.name in self._paces:
            prober.follow(self._paces[chain.name])
        longest_ns = plan.sparse_ns if session.is_bounded else plan.poll_ns
        task = self._task("poll", chain, one)
        self._ask(task, prober.run, longest_ns + where.timeout_ns)
        watched = _Watched(endpoint=where, plan=plan, session=session, shared=shared, prober=prober, tasks=(task,))
        if where.ws is not None:
            self._listen(watched, chain, one)
        return watched

    def _listen(self, watched: _Watched, chain: Chain, one: Node) -> None:
        watched.heads = Heads(
            watched.endpoint,
            clock=self._means.clock,
            resolver=self._means.resolver,
            block_time_ns=chain.block_time_ns,
            wake=watched.prober.wake,
        )
        task = self._task("heads", chain, one)
        watched.tasks += (task,)
        self._means.supervisor.spawn(task, partial(watched.heads.run, self._means.emit))
