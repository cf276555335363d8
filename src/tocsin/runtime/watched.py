"""What is asked now: for each node of one kind a session, and a task of the supervisor that asks over it.

A reload starts, ends or replaces what differs and leaves the rest alone, connections included.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from tocsin.clock import NS, EngineClock
from tocsin.config.tree import Asked, Chain
from tocsin.model.event import Event
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.prober import PollPlan
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.budgets import Budgets
from tocsin.runtime.supervisor import Supervisor

_SLACK_NS: Final = 30 * NS
"""How much longer than its poll and deadline a prober may take before it counts as hung: back-offs of the session."""

Key = tuple[str, str]
"""Names of chain and node."""

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every session and every prober works with; `emit` takes the events."""

    supervisor: Supervisor
    clock: EngineClock
    resolver: Resolver
    lag: LoopLag
    emit: Emit
    budgets: Budgets = field(default_factory=Budgets)


class Closable(Protocol):
    """A session, as far as it matters here."""

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(slots=True, kw_only=True)
class Watched:
    """One of them: as what it is asked, over which session, by which tasks."""

    endpoint: Endpoint
    plan: PollPlan
    session: Closable
    tasks: tuple[str, ...]


One = TypeVar("One", bound=Asked)
Kept = TypeVar("Kept", bound=Watched)


class Sessions(ABC, Generic[One, Kept]):
    """Owns the sessions of one kind of node."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._watched: dict[Key, Kept] = {}
        self._generation = 0

    @abstractmethod
    def _begun(self, chain: Chain, one: One) -> Kept:
        """Open a session and start its tasks, each named by `_task`."""

    @abstractmethod
    def _is_same(self, watched: Kept, chain: Chain, one: One) -> bool:
        """Tell whether what is watched is what the configuration says now."""

    async def close(self) -> None:
        """Close every session; their tasks are ended by the supervisor."""
        for watched in self._watched.values():
            await watched.session.close()
        self._watched.clear()

    async def _bring(self, wanted: Mapping[Key, tuple[Chain, One]]) -> None:
        """Watch what is wanted, and nothing else."""
        for key, watched in list(self._watched.items()):
            if key not in wanted or not self._is_same(watched, *wanted[key]):
                await self._end(key)
        for key, (chain, one) in wanted.items():
            if key not in self._watched:
                self._generation += 1
                self._watched[key] = self._begun(chain, one)

    async def _end(self, key: Key) -> None:
        watched = self._watched.pop(key)
        for task in watched.tasks:
            await self._means.supervisor.end(task)
        await watched.session.close()

    def _task(self, what: str, chain: Chain, one: One) -> str:
        return f"{what} {chain.name}/{one.name} #{self._generation}"

    def _ask(self, task: str, run: Callable[[Emit], Coroutine[Any, Any, None]], paces_ns: int) -> None:
        """Start a prober: it is alive as long as it reports, every `paces_ns` (its interval and deadline) at least."""
        means = self._means

        def report(event: Event) -> None:
            means.supervisor.beat(task)
            means.emit(event)

        means.supervisor.spawn(task, lambda: run(report), budget_ns=3 * paces_ns + _SLACK_NS)
