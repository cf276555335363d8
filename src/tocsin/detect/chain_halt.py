"""The agreed head stands still: the chain has no new block, or those that have one make no quorum.

Counted only while the groups agree; nodes that fell silent, or that contradict each other, are other alerts. Nodes
with newer blocks are named; one group of them mutes nothing, because one that lies shows anything. Where two groups go
on together it is not the chain that stands still, see `pool.majority_stalled`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, block_evidence, if_counted, is_moving, paced, seconds
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import Ahead, ChainView, NodeView, Unlinked

ID = "chain.halt"
_TWO_GROUPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltParams:
    """In block times without a new agreed head, since watching began: 6 are 72 s on a chain of 12 s, 15 are 180 s."""

    warning: Over | None = Over(over=6)
    critical: Over | None = Over(over=15)
    clear_slots: int = 3


def is_agreed(view: ChainView) -> bool:
    """Tell whether the head is agreed now, as well as this pool can: a single group has nobody to agree with."""
    if view.head.groups < _TWO_GROUPS:
        return view.head.grade is Grade.UNCORROBORATED
    return view.head.grade in (Grade.QUORUM, Grade.MAJORITY)


def is_ahead(node: NodeView) -> bool:
    """Tell whether a voting node shows a block above the agreed head."""
    return node.voting and (
        isinstance(node.relation, Ahead) or (isinstance(node.relation, Unlinked) and node.relation.ahead > 0)
    )


def chain_halt(view: ChainView, params: HaltParams) -> Iterator[Finding]:
    """Yield a finding while the agreed head is old; `value` in block times."""
    head, pace_ns = view.head, view.settings.pace_ns
    if not is_agreed(view) or head.since_ns is None or not any(node.voting for node in view.nodes):
        return
    if is_moving(view, view.lead):
        return  # two groups go on: the majority stands still and not the chain, see pool.majority_stalled
    first = params.warning or params.critical
    slots = (view.now_ns - head.since_ns) // pace_ns
    counted = (view.now_ns - max(head.since_ns, view.started_ns)) // pace_ns
    if slots < params.clear_slots:
        return
    ahead = [node.settings.name for node in view.nodes if is_ahead(node)]
    evidence: dict[str, object] = {"ahead": ahead} if ahead else {}
    if view.head_header is not None:
        evidence["agreed"] = block_evidence(view.head_header)
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=slots,
        unit="block times",
        limits=Limits(
            warning=if_counted(paced(params.warning, first, view.usual_gap), counted),
            critical=if_counted(paced(params.critical, first, view.usual_gap), counted),
            clear=Under(under=params.clear_slots, for_ns=params.clear_slots * pace_ns),
        ),
        sample=view.tick,
        summary=f"{view.settings.name} has no new agreed block for {seconds(slots * pace_ns)}; "
        + (f"only {', '.join(ahead)} shows newer ones" if ahead else "no node shows a newer one"),
        grade=head.grade,
        block=head.block,
        evidence=evidence,
    )


DETECTOR = ChainDetector(id=ID, params=HaltParams, run=chain_halt)
