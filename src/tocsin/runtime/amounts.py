"""What those hold whom the log indexes name: for each index that asks for it a task of the supervisor.

It reads over the reader of the chain, at the finalized block up to which the index is complete.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tocsin.clock import NS
from tocsin.engine.facts import capped
from tocsin.engine.pool import groups_of
from tocsin.engine.state import EngineState
from tocsin.model.block import BlockRef
from tocsin.model.event import AmountsRead, Event
from tocsin.model.evolve import evolve
from tocsin.model.index import AmountSample, AmountSettings, IndexSettings
from tocsin.model.settings import Settings
from tocsin.runtime.kept import KeptTasks
from tocsin.runtime.readers import Readers
from tocsin.runtime.supervisor import Supervisor
from tocsin.state.amounts import Amounts
from tocsin.state.ground import Place
from tocsin.state.indexlayout import Origin
from tocsin.state.keeper import origin_of, path_of
from tocsin.state.reader import Read

_LOOK_S: Final = 1.0
_AGAIN_NS: Final = 60 * NS
"""What could not be read is read again after this time."""

_Key = tuple[str, str]
"""Names of chain and index."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a task is made of; another one is another task."""

    settings: IndexSettings
    amount: AmountSettings
    origin: Origin
    path: Path


class AmountWatch:
    """Owns the tasks. `apply` brings the amounts of a configuration into force."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        readers: Readers,
        now_ns: Callable[[], int],
        state: Callable[[], EngineState],
        emit: Callable[[Event], None],
    ) -> None:
        self._supervisor = supervisor
        self._tasks: KeptTasks[_Key, _Kept] = KeptTasks(supervisor, self._begin)
        self._readers = readers
        self._now_ns = now_ns
        self._state = state
        self._emit = emit

    async def apply(self, settings: Settings, state_dir: Path) -> None:
        """Read what the configuration names, and nothing else."""
        wanted = {
            (chain.name, one.name): _Kept(one, one.amount, origin_of(chain), path_of(state_dir, chain.name, one.name))
            for chain in settings.chains
            for one in chain.indexes
            if one.amount is not None
        }
        await self._tasks.apply(wanted)

    def _begin(self, key: _Key, kept: _Kept, number: int) -> str:
        task = f"amounts {key[0]}/{key[1]} #{number}"
        one = Amounts(kept.settings, kept.amount, kept.path, kept.origin)
        self._supervisor.spawn(task, lambda: self._run(key, one))
        return task

    async def _run(self, key: _Key, amounts: Amounts) -> None:
        """Read for ever: whenever the index has come further, but not more often than is wanted."""
        due_ns, last = self._now_ns(), AmountSample(identity=amounts.settings.identity)
        while True:
            await asyncio.sleep(_LOOK_S)
            through = self._through(key)
            if through is None or through == last.block or self._now_ns() < due_ns:
                continue
            found = await self._read(key[0], amounts)
            is_read = isinstance(found, AmountSample)
            sample = found if isinstance(found, AmountSample) else evolve(last, problem=found)
            if sample != last:
                self._emit(AmountsRead(t_ns=self._now_ns(), chain=key[0], index=key[1], sample=sample))
            last = sample
            every_ns = amounts.settings.every_ns
            due_ns = self._now_ns() + (every_ns if is_read else min(_AGAIN_NS, every_ns))

    async def _read(self, chain: str, amounts: Amounts) -> AmountSample | str:
        """Return what the accounts hold where the index ends, or why that is not known."""
        plan = await amounts.plan()
        if isinstance(plan, str):
            return plan
        found = await self._readers.read(chain, plan, Place(block=amounts.through))
        if not isinstance(found, Read):
            return found.reason
        state = self._state()
        settings = state.settings.chain(chain) if state.settings else None
        if settings is None:
            return f"chain {chain} is not configured"
        sample = amounts.sample(found, groups_of(settings))
        # Nothing is known better than that the block is final.
        grade = None if sample.grade is None else capped(sample.grade, state.chains[chain].finalized.grade)
        return evolve(sample, grade=grade)

    def _through(self, key: _Key) -> BlockRef | None:
        """Return the block to which the index was complete when that was told last; None within a back-fill."""
        chain = self._state().chains.get(key[0])
        seen = chain.indexes.get(key[1]) if chain is not None else None
        through = seen.sample.through if seen is not None else None
        return through if through is not None and through.hash else None
