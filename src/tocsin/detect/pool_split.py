"""The groups contradict each other and neither side has a quorum: nobody can say which branch is right.

The last agreed head is frozen and published as such. Picking a side here is how a watchdog becomes the liar's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, blocks
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "pool.split"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitParams:
    """In blocks since the last agreed one; a split of any depth counts when it lasts `lasting_slots`."""

    critical: Over | None = Over(over=2)
    lasting_slots: int = 3
    clear_slots: int = 4


def split_limits(view: ChainView, params: SplitParams) -> Limits:
    """Return the limits: two polls must have seen it, and any depth counts once it has lasted."""
    pace = view.settings.pace_ns
    since = view.split_since_ns
    lasting = since is not None and view.now_ns - since > params.lasting_slots * pace
    critical = params.critical
    if critical is not None:
        over = 1 if lasting else critical.over
        critical = Over(over=over, polls=critical.polls, for_ns=max(critical.for_ns, view.settings.poll_ns))
    return Limits(critical=critical, clear=Under(under=1, for_ns=params.clear_slots * pace))


def pool_split(view: ChainView, params: SplitParams) -> Iterator[Finding]:
    """Yield a finding while the groups are split; `value` in blocks since the last agreed head."""
    if view.head.grade is not Grade.SPLIT:
        return
    base = view.head.block.number if view.head.block is not None else None
    lowest = min((branch.number for branch in view.branches), default=0)
    depth = max([1, *(branch.number - (lowest if base is None else base) for branch in view.branches)])
    since = "and have never agreed" if base is None else f"since block {base}, {blocks(depth)} deep"
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=depth,
        unit="blocks",
        limits=split_limits(view, params),
        sample=view.tick,
        summary=f"the nodes of {view.settings.name} contradict each other {since}; no side has a quorum",
        grade=Grade.SPLIT,
        block=view.head.block,
        evidence={
            "branches": [{"number": branch.number, "hash": branch.hash} for branch in view.branches],
            "heads": {node.settings.name: node.seen.head.hash for node in view.nodes if node.voting and node.seen.head},
        },
    )


DETECTOR = ChainDetector(id=ID, params=SplitParams, run=pool_split)
