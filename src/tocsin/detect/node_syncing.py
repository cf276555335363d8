"""A node that is still catching up: it says so, or its head is more than an hour older than the chain's.

Clients say "not syncing" while hours behind (geth reports only a running sync cycle), so age is believed as well. Where
no head is agreed, age is held against our own clock, as far as the head of another node bears that out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, node_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView, NodeView
from tocsin.units import DurationNs

ID = "node.syncing"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncingParams:
    """Clears after four answers without a sign of it."""

    warning: Over | None = Over(over=1, polls=2)
    clear: Under = Under(under=1, polls=4)
    age: DurationNs = DurationNs(3600 * 10**9)
    """How much older than the agreed head (or, where none is agreed, than the clock) a head may be."""


def head_age_ns(view: ChainView, node: NodeView) -> int:
    """Return how much older this head is than the agreed one, or than now where none is agreed.

    Now is what the wall clock says, but no later than the newest head of another node: our clock may be hours ahead.
    """
    if node.seen.head is None:
        return 0
    if view.head_header is not None:
        now = view.head_header.timestamp * 10**9
    else:
        others = [other.seen.head.timestamp for other in view.answering if other.seen.head and other is not node]
        now = min(view.wall_ns, max(others, default=0) * 10**9)
    return now - node.seen.head.timestamp * 10**9


def node_syncing(view: ChainView, params: SyncingParams) -> Iterator[Finding]:
    """Yield one finding per node that catches up; `value` is 1."""
    limits = Limits(warning=params.warning, clear=params.clear)
    for node in view.answering:
        old = head_age_ns(view, node) > params.age
        if node.seen.syncing or old:
            why = "it says so" if node.seen.syncing else "its head is more than an hour old"
            yield Finding(
                detector=ID,
                labels=node.labels,
                value=1,
                unit="flag",
                limits=limits,
                sample=node.seen.polls,
                summary=f"{node.settings.name} is catching up: {why}",
                grade=view.head.grade,
                block=view.head.block,
                evidence=node_evidence(view, node),
            )


DETECTOR = ChainDetector(id=ID, params=SyncingParams, run=node_syncing)
