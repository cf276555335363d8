"""Reads thousands of calls and slots at one block that is agreed on, from one group at a time.

A plan is read in two phases: what the second asks for may depend on what the first has given. Both are at the same
block, all of it, whoever answers; where the chain leaves that block meanwhile, the reading ends and says so. A node
that fails is followed by one of another group, which is asked for what is missing; nobody is asked for what another one
is still asked for.

One group is believed, so some reads, drawn by lot, are asked of another one at the same time
(`tocsin.state.readaudit`). Who is caught with a wrong answer is left out, and all is read anew from others.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tocsin.chain.groups import Groups
from tocsin.chain.readaudit import drawn
from tocsin.chain.readload import FIRST_SHARE, Limits, Wanted
from tocsin.chain.readvalues import Values
from tocsin.clock import Clock
from tocsin.model.block import BlockRef
from tocsin.model.reading import Item
from tocsin.model.settings import READ_AUDIT_ONE_IN
from tocsin.state.compiled import Compiled
from tocsin.state.ground import Ground, Lane, Place
from tocsin.state.nodereads import Aggregators, Gathered, NodeReads
from tocsin.state.panel import Panel
from tocsin.state.readaudit import Audit, Auditor, Doubt
from tocsin.state.source import BodySource

_MOST_TOLD: Final = 300

Then = Callable[[Values], Sequence[Wanted]]
"""What the second phase asks for, by what the first has given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTerms:
    """How is read. Of the reads of each group one in `audit_one_in` is asked of another one as well; 0: none."""

    audit_one_in: int = READ_AUDIT_ONE_IN
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    aggregators: Aggregators = Aggregators()  # noqa: RUF009 - frozen


class Plan:
    """What is read at every block: `first`, and then what `then` makes of that. Compiled once, for one reader."""

    def __init__(self, first: Sequence[Wanted], then: Then | None = None, *, audit_one_in: int | None = None) -> None:
        """`audit_one_in` is for what matters more, or less, than what a reader reads as a rule (None)."""
        self.first = tuple(first)
        self.then = then
        self.audit_one_in = audit_one_in
        self._compiled: dict[str, Compiled] = {}
        self._apart: set[Item] = set()

    def compiled(self, phase: str, wanted: tuple[Wanted, ...], limits: Limits) -> Compiled:
        """Return what is wanted in a phase as questions; the ones of the last time, if it is the same."""
        known = self._compiled.get(phase)
        if known is None or known.limits != limits or known.wanted != wanted:
            known = self._compiled[phase] = Compiled(wanted, limits, self._apart)
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A reading: values of both phases at one block.

    What is not known has no outcome, and `missing` says why. `nodes` are those who were believed; `audited` counts the
    reads that another group was asked for, `disputed` those of them of which nobody can tell who is right.
    """

    block: BlockRef
    first: Values
    second: Values
    wanted: tuple[Wanted, ...]
    """What the second phase asked for."""
    nodes: tuple[str, ...]
    audited: int = 0
    disputed: int = 0
    missing: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every read has an outcome."""
        return self.first.is_whole and self.second.is_whole


@dataclass(frozen=True, slots=True)
class Unread:
    """There is no reading, and why; `is_replaced` if the block left the chain meanwhile."""

    reason: str
    is_replaced: bool = False


@dataclass(slots=True)
class _State:
    """A reading under way."""

    place: Place
    nodes: dict[str, None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    audited: int = 0
    disputed: int = 0
    is_betrayed: bool = False


class Reader:
    """Reads plans on one chain. What it finds out about nodes is in `doubts` until somebody takes it."""

    def __init__(
        self,
        groups: Groups,
        source: BodySource,
        ground: Ground,
        clock: Clock,
        *,
        salt: bytes,
        terms: ReadTerms | None = None,
    ) -> None:
        """`salt` decides whom is asked and what is audited: no node may know it."""
        self.terms = terms or ReadTerms()
        self.doubts: list[Doubt] = []
        self.audited = 0
        """Reads that another group was asked for as well, and answered."""
        self._panel = Panel(groups, clock, salt=salt, span=FIRST_SHARE)
        self._reads = NodeReads(self._panel, source, clock, self.terms.aggregators)
        self._auditor = Auditor(self._panel, self._reads, source, ground)
        self._ground = ground
        self._salt = salt

    async def read(self, plan: Plan, at: Lane | Place = Lane.HEAD) -> Read | Unread:
        """Read a plan at the block that is agreed on now, or at one that was. Never raises for what nodes do."""
        place = self._ground.place(at) if isinstance(at, Lane) else at
        if place is None:
            return Unread(f"no block is agreed on at the lane {at}")
        self._panel.pass_turn()
        state = _State(place)
        for _ in self._panel.groups.groups:
            found = await self._attempt(plan, state)
            if not self._ground.holds(place.block):
                return Unread(f"block {place.block.number} ({place.block.hash}) left the chain", is_replaced=True)
            if found is not None:
                return found
        return Unread("each group that answers was caught with a wrong answer")

    async def _attempt(self, plan: Plan, state: _State) -> Read | Unread | None:
        """Read both phases; None where a node was caught, and all has to be read anew."""
        state.nodes.clear()
        state.is_betrayed, state.audited, state.disputed = False, 0, 0
        one_in = self.terms.audit_one_in if plan.audit_one_in is None else plan.audit_one_in
        first = await self._phase(plan.compiled("first", plan.first, self.terms.limits), "first", state, one_in)
        if state.is_betrayed:
            return None
        if plan.first and not state.nodes and not first.values.proven.any():
            return Unread(f"nobody answers: {_told(state)}"[:_MOST_TOLD])
        wanted: tuple[Wanted, ...] = ()
        second = Gathered(Values(0))
        if plan.then is not None and self._ground.holds(state.place.block):
            wanted = tuple(plan.then(first.values))
            second = await self._phase(plan.compiled("second", wanted, self.terms.limits), "second", state, one_in)
        if state.is_betrayed:
            return None
        is_whole = first.values.is_whole and second.values.is_whole
        return Read(
            block=state.place.block,
            first=first.values,
            second=second.values,
            wanted=wanted,
            nodes=tuple(sorted(state.nodes)),
            audited=state.audited,
            disputed=state.disputed,
            missing="" if is_whole else _told(state) or "answers contradict each other",
        )

    async def _phase(self, plan: Compiled, phase: str, state: _State, one_in: int) -> Gathered:
        """Read one phase, and have some of it audited at the same time."""
        got = Gathered(Values(len(plan.wanted)))
        if not plan.wanted:
            return got
        order = self._panel.drawn(f"read {state.place.block.hash}")
        chosen = drawn(self._salt, state.place.block.hash, phase, len(plan.wanted), one_in)
        if not chosen or len(order) == 1:
            await self._gather(plan, got, order, state)
            audit = Audit()
        else:
            # The group that is asked second audits the first.
            others = [*order[1:], order[0]]
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._gather(plan, got, order, state))
                auditing = tasks.create_task(self._auditor.second(plan, chosen, state.place, others))
            await reading
            audit = await auditing
        await self._settle(plan, got, audit, state)
        return got

    async def _gather(
        self, plan: Compiled, got: Gathered, order: Sequence[tuple[str, tuple[str, ...]]], state: _State
    ) -> None:
        """Ask group by group until nothing is missing."""
        place = state.place
        for _, nodes in order:
            for node in nodes:
                if got.values.is_whole or not self._ground.holds(place.block):
                    return
                means = self._ground.means(node, place)
                if means is None:
                    state.reasons[node] = "not asked: it is not well, or cannot have the block"
                    continue
                why = await self._reads.read(
                    node, means, place, plan, got, holds=lambda: self._ground.holds(place.block)
                )
                if why:
                    state.reasons[node] = why
                    continue
                break

    async def _settle(self, plan: Compiled, got: Gathered, audit: Audit, state: _State) -> None:
        """Hold what was read against what others said, and settle where they differ."""
        for node in {name for name, _ in got.served.values()}:
            state.nodes[node] = None
        state.nodes.update(dict.fromkeys({name for name, _ in got.refuted}))
        if not self._ground.holds(state.place.block):
            return
        verdict = await self._auditor.compared(plan, got, audit, state.place)
        self.audited += verdict.compared
        state.audited += verdict.compared
        state.disputed += verdict.disputed
        self.doubts += verdict.doubts
        state.is_betrayed = bool(verdict.caught & state.nodes.keys())
        for node in verdict.caught:
            self._panel.distrust(node)


def _told(state: _State) -> str:
    return "; ".join(f"{node}: {why}" for node, why in sorted(state.reasons.items()))[:_MOST_TOLD]
