"""How far a detector is believed: what it finds is counted, alerted as a warning at most, or alerted as it is."""

from dataclasses import dataclass
from enum import StrEnum

from tocsin.model.alert import Labels


class Trust(StrEnum):
    """How far a detector is believed on a chain, in rising order."""

    OBSERVE = "observe"
    """Counted and shown, never alerted."""
    WARN = "warn"
    """Alerts, as a warning at most."""
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One alert that a detector raised, or would have raised were it believed."""

    labels: Labels
    summary: str
    value: int
    unit: str
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A check failed on all nodes at once: it is taken for wrong itself until a person has acknowledged that."""

    nodes: tuple[str, ...]
    """Their names, the first of them where they are many."""
    count: int
    """How many nodes it failed on."""
    summary: str
    """Of one of the findings."""
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far one detector is believed on one chain, and what that rests on."""

    trust: Trust
    fixed: Trust | None = None
    """As configured; it is not earned then, and not lost but for a suspicion."""
    checks: int = 0
    """Checks in the window that runs: agreed blocks at which it had something to judge by."""
    cases: int = 0
    """Alerts of the window that nothing else bears out; those about nodes of one group count once."""
    accused: tuple[str, ...] = ()
    """The groups, each by its first node, of which a case was counted in this window; sorted."""
    everywhere: bool = False
    """Whether it failed on all nodes at once in this window."""
    since_checks: int = 0
    """All checks on this chain."""
    since_cases: int = 0
    """All alerts that it raised, or would have raised, while it was not enforced."""
    first: Case | None = None
    newest: Case | None = None
    suspicion: Suspicion | None = None
