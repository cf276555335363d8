"""What was decided in a scenario, and where it differs from what must be."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tocsin.engine.step import Step
from tocsin.lab.scenario.file import Scenario
from tocsin.lab.scenario.tables import AlertTable, HeadTable
from tocsin.model.alert import AlertState, Grade, Severity
from tocsin.model.block import BlockRef
from tocsin.model.effect import AlertChanged
from tocsin.model.settings import NodeSettings
from tocsin.testing.simchain import MAIN
from tocsin.testing.simworld import SimWorld
from tocsin.units import duration_text

Subject = str
"""A node's name, or empty for the chain and the watchdog itself."""
Reached = tuple[str, Subject, Severity]

_GROUPS = 2
"""Fewer may never move the agreed head, where so many are configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAt:
    """The agreed head from this moment on, and the branches of the chain that it is on."""

    at_ns: int
    grade: Grade
    block: BlockRef | None
    branches: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Filled while a scenario runs; `problems` compares it with the verdict that is expected."""

    scenario: Scenario
    world: SimWorld | None = None
    """The simulated chain, where there is one: a recording has none, and then branches are not judged."""
    reached: dict[Reached, int] = field(default_factory=dict)
    """When each alert first reached each severity."""
    standing: dict[tuple[str, Subject], AlertState] = field(default_factory=dict)
    heads: list[HeadAt] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    """Heads that were agreed although fewer than two groups had them."""

    def note(self, at_ns: int, done: Step) -> None:
        """Take in what one event led to."""
        for effect in done.effects:
            if isinstance(effect, AlertChanged):
                alert = effect.alert
                subject = dict(alert.labels).get("node", "").partition(".")[2]
                if alert.state is AlertState.FIRING:
                    self.reached.setdefault((alert.detector, subject, alert.severity), at_ns)
                self.standing[alert.detector, subject] = alert.state
        chain = done.state.chains.get(self.scenario.settings.chains[0].name)
        if chain is None:
            return
        head, last = chain.head, self.heads[-1] if self.heads else None
        if last is None or (last.grade, last.block) != (head.grade, head.block):
            self.heads.append(HeadAt(at_ns=at_ns, grade=head.grade, block=head.block, branches=self._on(head.block)))
            if head.block is not None and (last is None or last.block != head.block):
                self._count_support(at_ns, head.block)

    def _on(self, block: BlockRef | None) -> frozenset[str]:
        if self.world is None or block is None:
            return frozenset()
        chain = self.world.chain
        found = chain.by_hash(block.hash)
        return frozenset(
            name
            for name in chain.branches
            if found is not None and chain.at(block.number, chain.head(name), name) is found
        )

    def _count_support(self, at_ns: int, block: BlockRef) -> None:
        if self.world is None:
            return
        nodes = self.scenario.settings.chains[0].nodes
        having = {self._witness(node) for node in nodes if self.world.nodes[node.name].view.has_seen(block.hash)}
        if len(having) < min(_GROUPS, len({self._witness(node) for node in nodes})):
            self.unsupported.append(
                f"at {_time(at_ns)} block {block.number} was agreed, which only {sorted(having)} had"
            )

    def _witness(self, node: NodeSettings) -> str:
        """Return who speaks where a node does: its provider, or what own nodes are told apart by."""
        vote_by = self.scenario.settings.chains[0].vote_by
        return "/".join(getattr(node, tag) for tag in vote_by) if node.own else node.provider

    # -- the comparison

    def problems(self) -> tuple[str, ...]:
        """Return every difference from the verdict that the scenario expects; nothing when it holds."""
        return (*self._alerts(), *self._heads(), *self.unsupported)

    def _alerts(self) -> Iterator[str]:
        expected = {(alert.detector, alert.node or "", alert.severity): alert for alert in self.scenario.expect.alerts}
        for key, at_ns in self.reached.items():
            if key not in expected:
                yield f"{_alert(key)} was raised at {_time(at_ns)}, and is not expected"
        for key, alert in expected.items():
            if key not in self.reached:
                if not alert.optional:
                    yield f"{_alert(key)} was never raised"
                continue
            yield from self._held(key, alert)

    def _held(self, key: Reached, alert: AlertTable) -> Iterator[str]:
        at_ns, to_ns = self.reached[key], alert.to_ns or self.scenario.table.duration_ns
        if not alert.from_ns <= at_ns <= to_ns:
            yield f"{_alert(key)} was raised at {_time(at_ns)}, not from {_time(alert.from_ns)} to {_time(to_ns)}"
        is_resolved = self.standing[key[:2]] is AlertState.RESOLVED
        if alert.ends is not None and is_resolved != (alert.ends == "resolved"):
            yield f"{_alert(key)} is {self.standing[key[:2]]} at the end, not {alert.ends}"

    def _heads(self) -> Iterator[str]:
        for wanted in self.scenario.expect.heads:
            to_ns = wanted.to_ns or self.scenario.table.duration_ns
            yield from _head_problems(wanted, self._between(wanted.from_ns, to_ns))

    def _between(self, from_ns: int, to_ns: int) -> list[HeadAt]:
        """Return what was in force at any time of a window, the state at its beginning first."""
        before = [head for head in self.heads if head.at_ns <= from_ns][-1:]
        return before + [head for head in self.heads if from_ns < head.at_ns <= to_ns]


def _head_problems(wanted: HeadTable, heads: list[HeadAt]) -> Iterator[str]:
    window = f"the head from {_time(wanted.from_ns)}"
    for head in heads:
        if wanted.grades and head.grade not in wanted.grades:
            yield f"{window} has grade {head.grade} at {_time(head.at_ns)}"
        if head.grade in wanted.never:
            yield f"{window} has grade {head.grade} at {_time(head.at_ns)}, which it never may"
        if wanted.branch is not None and head.block is not None and wanted.branch not in head.branches:
            yield f"{window} is not on branch {wanted.branch} at {_time(head.at_ns)}: {sorted(head.branches)}"
        for branch in wanted.not_branch:
            if branch in head.branches and (branch == MAIN or MAIN not in head.branches):
                yield f"{window} is on branch {branch} at {_time(head.at_ns)}"
    for grade in wanted.reaches:
        if all(head.grade is not grade for head in heads):
            yield f"{window} never reaches grade {grade}"
    if wanted.stands and len({head.block for head in heads}) > 1:
        yield f"{window} moves, although it must stand"


def _alert(key: Reached) -> str:
    detector, subject, severity = key
    return f"{detector} {severity}{f' of {subject}' if subject else ''}"


def _time(ns: int) -> str:
    return duration_text(ns - ns % 10**6)
