"""The chain itself stands still: no voting node of any group has shown a new head.

Counted only while the groups agree; nodes that fell silent, or that contradict each other, are other alerts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, block_evidence, seconds
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import Ahead, ChainView, Unlinked

ID = "chain.halt"
_KNOWN = (Grade.QUORUM, Grade.UNCORROBORATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltParams:
    """In block times without a new agreed head: 6 are 72 s and 15 are 180 s on a chain of 12 s."""

    warning: Over | None = Over(over=6)
    critical: Over | None = Over(over=15)
    clear_slots: int = 3


def chain_halt(view: ChainView, params: HaltParams) -> Iterator[Finding]:
    """Yield a finding while the agreed head is old; `value` in block times."""
    head = view.head
    if head.grade not in _KNOWN or head.since_ns is None or not any(node.voting for node in view.nodes):
        return
    slots = (view.now_ns - head.since_ns) // view.settings.pace_ns
    moving = any(
        isinstance(node.relation, Ahead) or (isinstance(node.relation, Unlinked) and node.relation.ahead > 0)
        for node in view.nodes
        if node.voting
    )
    if slots < params.clear_slots or moving:
        return
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=slots,
        unit="block times",
        limits=Limits(
            warning=params.warning,
            critical=params.critical,
            clear=Under(under=params.clear_slots, for_ns=params.clear_slots * view.settings.pace_ns),
        ),
        sample=view.tick,
        summary=f"{view.settings.name} has no new block for {seconds(slots * view.settings.pace_ns)} on any node",
        grade=head.grade,
        block=head.block,
        evidence={"agreed": block_evidence(view.head_header)} if view.head_header is not None else {},
    )


DETECTOR = ChainDetector(id=ID, params=HaltParams, run=chain_halt)
