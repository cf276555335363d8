"""What was final is not: two finalized blocks that exclude each other, or an agreed head that left the finalized one.

Finality that is revoked is the worst that a chain can do, and a node that merely claims it is not to be used either.
The agreed finalized block is never moved by it, and only a person's `ack` lets it go.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView, Conflict

ID = "chain.finality_violation"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityViolationParams:
    """In blocks that contradict a finalized one. `latched`: resolves only after `ack`."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    latched: bool = True


def chain_finality_violation(view: ChainView, params: FinalityViolationParams) -> Iterator[Finding]:
    """Yield a finding while there is a contradiction; `value` in nodes that show one, the agreed head counts as one."""
    if not view.conflicts:
        return
    first = view.conflicts[0]
    who = [conflict.node for conflict in view.conflicts if conflict.node]
    said = f"{', '.join(who)} finalized other blocks" if who else "the agreed head left the finalized block"
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=len(view.conflicts),
        unit="contradictions",
        limits=Limits(critical=params.critical, clear=params.clear, latched=params.latched),
        sample=view.tick,
        summary=f"finality of {view.settings.name} is violated: {said}, against block {first.against.number}",
        grade=view.finalized.grade,
        block=first.against,
        evidence={"conflicts": [_plain(conflict) for conflict in view.conflicts]},
    )


def _plain(conflict: Conflict) -> dict[str, object]:
    return {
        "node": conflict.node or None,
        "block": {"number": conflict.block.number, "hash": conflict.block.hash},
        "against": {"number": conflict.against.number, "hash": conflict.against.hash},
    }


DETECTOR = ChainDetector(id=ID, params=FinalityViolationParams, run=chain_finality_violation)
