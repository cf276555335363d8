"""The log indexes that are kept now: for each a task of the supervisor, with a file of its own.

They ask over the sessions of the watch, with what the polls leave. What they find out about nodes enters as events.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tocsin import ids
from tocsin.chain.groups import Groups
from tocsin.clock import Clock
from tocsin.engine.facts import is_known, is_on_chain
from tocsin.engine.pool import groups_of
from tocsin.engine.state import ChainState, EngineState
from tocsin.model.block import BlockRef
from tocsin.model.event import Event, IndexSampled, SoundLogs
from tocsin.model.index import IndexSample, IndexSettings
from tocsin.model.settings import ChainSettings, Settings
from tocsin.runtime.kept import KeptTasks
from tocsin.runtime.supervisor import Supervisor
from tocsin.runtime.watch import Watch
from tocsin.state.indexer import Target
from tocsin.state.indexlayout import Origin
from tocsin.state.inquiry import Deviation
from tocsin.state.keeper import Keeper, origin_of, path_of, terms_of
from tocsin.state.source import Sessions

_Key = tuple[str, str]
"""Names of chain and index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What an index is kept by; another one is another task."""

    settings: IndexSettings
    path: Path
    origin: Origin
    groups: Groups
    accuses: bool
    patience_ns: int


@dataclass(slots=True, kw_only=True)
class _World:
    """The chain of one index, as the core knows it."""

    chain: str
    index: str
    state: Callable[[], EngineState]
    emit: Callable[[Event], None]
    now_ns: Callable[[], int]

    def target(self) -> Target | str:
        """Return head and finalized block, where both are known well enough to be built upon."""
        chain = self.state().chains.get(self.chain)
        head, final = _agreed(chain, "head"), _agreed(chain, "finalized")
        if head is None or final is None:
            return "no head is agreed" if head is None else "no finalized block is agreed"
        if head.number < final.number:
            return f"the agreed head {head.number} is below the finalized block {final.number}"
        return Target(finalized=final, head=head)

    def is_on_chain(self, block: BlockRef) -> bool:
        """Tell whether a block leads to the agreed head."""
        chain = self.state().chains.get(self.chain)
        return chain is not None and is_on_chain(chain, block)

    def tell(self, sample: IndexSample, sound: tuple[SoundLogs, ...]) -> None:
        """Let the core know how far the index is."""
        self.emit(
            IndexSampled(t_ns=self.now_ns(), chain=self.chain, index=self.index, sample=sample, sound=sound),
        )

    def refute(self, deviation: Deviation) -> None:
        """Let the core know who told wrong things, with all that proves it."""
        self.emit(deviation.told(self.chain, self.index, self.now_ns()))


class Indexes:
    """Owns the tasks. `apply` brings the indexes of a configuration into force."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        watch: Watch,
        mono: Clock,
        now_ns: Callable[[], int],
        state: Callable[[], EngineState],
        emit: Callable[[Event], None],
    ) -> None:
        self._supervisor = supervisor
        self._tasks: KeptTasks[_Key, _Kept] = KeptTasks(supervisor, self._begin)
        self._watch = watch
        self._mono = mono
        self._now_ns = now_ns
        self._state = state
        self._emit = emit
        self._sources: dict[str, Sessions] = {}

    async def apply(self, settings: Settings, state_dir: Path) -> None:
        """Keep what the configuration names, and nothing else."""
        await self._tasks.apply(
            {(chain.name, one.name): _kept(chain, one, state_dir) for chain in settings.chains for one in chain.indexes}
        )

    def _begin(self, key: _Key, kept: _Kept, number: int) -> str:
        chain, name = key
        task = f"index {chain}/{name} #{number}"
        source = self._sources.setdefault(chain, Sessions(chain, self._watch.sessions(chain)))
        world = _World(chain=chain, index=name, state=self._state, emit=self._emit, now_ns=self._now_ns)
        keeper = Keeper(
            kept.settings,
            kept.path,
            kept.groups,
            source,
            world,
            clock=self._mono,
            terms=terms_of(kept.settings, accuses=kept.accuses, patience_ns=kept.patience_ns),
            salt=ids.salt(),
            origin=kept.origin,
        )
        self._supervisor.spawn(task, lambda: keeper.run(lambda: self._supervisor.beat(task)))
        return task


def _kept(chain: ChainSettings, one: IndexSettings, state_dir: Path) -> _Kept:
    return _Kept(
        settings=one,
        path=path_of(state_dir, chain.name, one.name),
        origin=origin_of(chain),
        groups=groups_of(chain),
        accuses=chain.hashes_as_ethereum,
        patience_ns=chain.poll_ns,
    )


def _agreed(chain: ChainState | None, which: str) -> BlockRef | None:
    """Return the head or the finalized block, where it is known as values are that are published."""
    if chain is None:
        return None
    agreed = chain.head if which == "head" else chain.finalized
    return agreed.block if is_known(agreed.grade, agreed.groups) else None
