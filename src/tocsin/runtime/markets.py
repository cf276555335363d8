"""The markets that are valued now: for each a task of the supervisor, which follows it from agreed head to agreed head.

What a valuation ends in enters as an event; books and valuations themselves are functions of the chain. They are made
in one thread, one at a time, so that the loop is never held; a market that falls behind goes on with the newest head.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tocsin import ids
from tocsin.chain.groups import Groups
from tocsin.clock import Clock
from tocsin.engine.facts import is_known
from tocsin.engine.pool import groups_of
from tocsin.engine.readplan import root_of
from tocsin.engine.state import EngineState
from tocsin.model.block import BlockRef, Header
from tocsin.model.event import Event, MarketValued
from tocsin.model.market import MarketSample, MarketSettings
from tocsin.model.reading import Pin
from tocsin.model.settings import ChainSettings, Settings
from tocsin.protocols import kind_of
from tocsin.protocols.places import Target
from tocsin.runtime.ground import CoreGround
from tocsin.runtime.kept import KeptTasks
from tocsin.runtime.readers import Readers
from tocsin.runtime.supervisor import Supervisor
from tocsin.runtime.valuer import Valuer, World
from tocsin.runtime.watch import Watch
from tocsin.state.ground import Place
from tocsin.state.indexlayout import Origin
from tocsin.state.inquiry import Deviation
from tocsin.state.keeper import origin_of
from tocsin.state.keeper import path_of as index_of
from tocsin.state.marketfile import Identity, path_of
from tocsin.state.marketfollow import Follower
from tocsin.state.marketkernel import Warm
from tocsin.state.marketmembers import members_in
from tocsin.state.marketread import Worker
from tocsin.state.markettrail import Trail
from tocsin.state.source import Sessions

log = logging.getLogger(__name__)

_Key = tuple[str, str]
"""Names of chain and market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What a market is valued by; another one is another task."""

    settings: MarketSettings
    chain: ChainSettings
    """As far as it matters here: its groups, its index, how it is read."""
    state_dir: Path
    origin: Origin
    groups: Groups


@dataclass(slots=True, kw_only=True)
class _World:
    """The chain of one market, as the core knows it."""

    chain: str
    market: MarketSettings
    state: Callable[[], EngineState]
    emit: Callable[[Event], None]
    now_ns: Callable[[], int]

    def head(self) -> tuple[Place, Header] | None:
        """Return the agreed head with its header, None while none is known well enough."""
        chain = self.state().chains.get(self.chain)
        if chain is None or chain.head.block is None or not is_known(chain.head.grade, chain.head.groups):
            return None
        header = chain.tree.headers.get(chain.head.block.hash)
        return None if header is None else (Place(block=header.ref, root=root_of(header)), header)

    def tell(self, sample: MarketSample) -> None:
        """Let the core know what a valuation says."""
        self.emit(MarketValued(t_ns=self.now_ns(), chain=self.chain, market=self.market.name, sample=sample))

    def refute(self, deviation: Deviation) -> None:
        """Let the core know who told wrong logs, with all that proves it."""
        self.emit(deviation.told(self.chain, self.market.index, self.now_ns()))


class MarketWatch:
    """Owns the tasks. `apply` brings the markets of a configuration into force."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        watch: Watch,
        readers: Readers,
        mono: Clock,
        now_ns: Callable[[], int],
        state: Callable[[], EngineState],
        emit: Callable[[Event], None],
    ) -> None:
        self._supervisor = supervisor
        self._tasks: KeptTasks[_Key, _Kept] = KeptTasks(supervisor, self._begin)
        self._watch = watch
        self._readers = readers
        self._mono = mono
        self._now_ns = now_ns
        self._state = state
        self._emit = emit
        self._worker = Worker()
        self._warm = Warm(self._worker)
        self._sources: dict[str, Sessions] = {}
        self._valuers: dict[_Key, Valuer] = {}

    @property
    def is_warm(self) -> bool:
        """Whether the kernels are ready, or nobody needs them."""
        return not self._valuers or self._warm.is_ready

    async def apply(self, settings: Settings, state_dir: Path) -> None:
        """Value what the configuration names, and nothing else."""
        wanted = {
            (chain.name, one.name): _kept(chain, one, state_dir) for chain in settings.chains for one in chain.markets
        }
        for key in self._valuers.keys() - wanted.keys():
            del self._valuers[key]
        await self._tasks.apply(wanted)

    def valuer(self, chain: str, market: str) -> Valuer | None:
        """Return what values a market, to ask it about other prices."""
        return self._valuers.get((chain, market))

    def names(self) -> tuple[_Key, ...]:
        """Return chain and name of each market that is valued."""
        return tuple(self._valuers)

    def nodes(self, chain: str, block: BlockRef) -> Iterator[tuple[str, Pin, Sessions]]:
        """Yield the nodes of a chain that may be asked about a block now, how each is told of it, and over what."""
        settings = self._state().settings
        found = settings.chain(chain) if settings is not None else None
        source, ground = self._sources.get(chain), CoreGround(chain, state=self._state, now_ns=self._now_ns)
        for node in found.nodes if found is not None and source is not None else ():
            means = ground.means(node.name, Place(block=block))
            if means is not None and source is not None:
                yield node.name, means.pin, source

    def close(self) -> None:
        """Value nothing more."""
        self._worker.close()

    def _begin(self, key: _Key, kept: _Kept, number: int) -> str:
        chain, name = key
        task = f"market {chain}/{name} #{number}"
        one = kept.settings
        source = self._sources.setdefault(chain, Sessions(chain, self._watch.sessions(chain)))
        accuses = kept.chain.hashes_as_ethereum
        target = Target(
            pool=bytes.fromhex(one.pool[2:]),
            id=bytes.fromhex(one.id[2:]),
            tokens=tuple(bytes.fromhex(token[2:]) for token in one.tokens),
        )
        index = next(each for each in kept.chain.indexes if each.name == one.index)
        follower = Follower(
            kind_of(one.kind),
            target,
            groups=kept.groups,
            ask=lambda plan, place: self._readers.read(chain, plan, place),
            trail=Trail(kept.groups, source, self._mono, salt=ids.salt(), accuses=accuses),
            worker=self._worker,
            members=lambda: members_in(index_of(kept.state_dir, chain, one.index), index, kept.origin),
            always=frozenset(bytes.fromhex(own.address[2:]) for own in one.watched),
        )
        world: World = _World(chain=chain, market=one, state=self._state, emit=self._emit, now_ns=self._now_ns)
        valuer = self._valuers[key] = Valuer(
            one,
            follower,
            world,
            worker=self._worker,
            warm=self._warm,
            clock=self._mono,
            path=path_of(kept.state_dir, chain, name),
            identity=Identity(market=one.identity, origin=kept.origin),
            patience_ns=kept.chain.poll_ns,
        )
        self._supervisor.spawn(task, lambda: valuer.run(lambda: self._supervisor.beat(task)))
        return task


def _kept(chain: ChainSettings, one: MarketSettings, state_dir: Path) -> _Kept:
    return _Kept(settings=one, chain=chain, state_dir=state_dir, origin=origin_of(chain), groups=groups_of(chain))
