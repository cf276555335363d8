"""Blocks come, and none of them becomes final: the validators of the chain do not agree, or cannot reach each other.

How far finalized is behind the head when all is well is a fact of the chain's profile (`finality_slots`). On Ethereum
that is 95 slots (19 min) at most: a warning at 106 % comes after 100 slots, 20 min; at 237 % it is 225 slots, 45 min.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, blocks, seconds
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "chain.finality_stall"
_UNSEEN = (Grade.SPLIT, Grade.BLIND)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityStallParams:
    """In percent of the profile's `finality_slots`; a chain without it is not judged."""

    warning_percent: int = 106
    critical_percent: int = 237


def chain_finality_stall(view: ChainView, params: FinalityStallParams) -> Iterator[Finding]:
    """Yield a finding while finalized is too far behind the agreed head; `value` in blocks."""
    usual, head, final = view.settings.finality_slots, view.head.block, view.finalized.block
    if usual is None or head is None or final is None or view.head.grade in _UNSEEN:
        return
    if view.revoked and view.finalized.grade is Grade.SPLIT:
        return  # frozen by a violation, which says all there is to say
    behind, limit = head.number - final.number, usual * params.warning_percent // 100
    if behind < limit:
        return
    hold_ns = 2 * view.settings.pace_ns  # finalized is asked once in a block time
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=behind,
        unit="blocks",
        limits=Limits(
            warning=Over(over=limit, for_ns=hold_ns),
            critical=Over(over=usual * params.critical_percent // 100, for_ns=hold_ns),
            clear=Under(under=limit),
        ),
        sample=view.tick,
        summary=f"{view.settings.name} finalizes nothing: the finalized block is {blocks(behind)} "
        f"({seconds(behind * view.settings.block_time_ns)}) behind the head, {blocks(usual)} are usual",
        grade=view.finalized.grade,
        block=final,
        evidence={"finalized": {"number": final.number, "hash": final.hash}, "head": head.number, "usual": usual},
    )


DETECTOR = ChainDetector(id=ID, params=FinalityStallParams, run=chain_finality_stall)
