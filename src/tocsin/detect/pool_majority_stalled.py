"""Most groups stand still while others go on: the agreed head is old because those who make it are stuck.

Nobody is thrown out for being ahead. Two groups that move together on the same chain are taken for the chain that goes
on; one node alone may have made its blocks up, since headers carry no proof of their own: it warns, and stays
uncorroborated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, blocks, is_moving, known_until_ns, seconds
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import ChainView, Lead, NodeView

ID = "pool.majority_stalled"
_AGREED = (Grade.QUORUM, Grade.MAJORITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class MajorityStalledParams:
    """In half block times for which blocks come above an agreed head that stands still: 5 are 30 s at 12 s blocks."""

    critical: Over | None = Over(over=5)
    """For a lead that at least two groups have."""
    alone_warning: Over | None = Over(over=5)
    """For the lead of one node, or of nodes that make no two groups."""
    clear: Under = Under(under=1)


def pool_majority_stalled(view: ChainView, params: MajorityStalledParams) -> Iterator[Finding]:
    """Yield a finding while others lead; `value` in half block times since they do.

    Counted as ahead are nodes alone whose head descends from the agreed one and may be what it says; and time as far as
    it is known that those who do not lead stand still: some may be asked rarely, to save a budget.
    """
    if view.head.block is None or view.head.grade not in _AGREED:
        return
    lead = view.lead
    alone = {name: lone for name, lone in view.lone.items() if is_moving(view, lone)}
    if lead is not None and is_moving(view, lead):
        limits = Limits(critical=params.critical, clear=params.clear)
        yield _finding(view, lead, _heights(alone), limits, view.head.grade)
    elif alone:
        # Whoever has been ahead for longest; a node that joins in begins nothing anew.
        first = min(alone.values(), key=lambda lone: (lone.since_ns, -lone.block.number, lone.block.hash))
        limits = Limits(warning=params.alone_warning, clear=params.clear)
        yield _finding(view, first, _heights(alone), limits, Grade.UNCORROBORATED)


def _heights(leads: Mapping[str, Lead]) -> dict[str, int]:
    return {name: lead.block.number for name, lead in sorted(leads.items())}


def _finding(view: ChainView, lead: Lead, ahead: Mapping[str, int], limits: Limits, grade: Grade) -> Finding:
    agreed = view.head.block
    number = agreed.number if agreed is not None else 0
    known_ns = min((known_until_ns(view, node) for node in view.nodes if _may_stand(node, number)), default=view.now_ns)
    is_lone = grade is Grade.UNCORROBORATED
    ahead_by = blocks((max(ahead.values()) if is_lone else lead.block.number) - number)
    how = "" if not is_lone else " alone" if len(ahead) == 1 else ", no two groups together,"
    return Finding(
        detector=ID,
        labels=view.labels,
        value=max(0, known_ns - lead.since_ns) // max(1, view.settings.pace_ns // 2),
        unit="half block times",
        limits=limits,
        sample=view.tick,
        summary=f"most nodes of {view.settings.name} stand still at block {number}, {', '.join(ahead)}{how} went on "
        f"by {ahead_by} in {seconds(view.now_ns - lead.since_ns)}",
        grade=grade,
        block=lead.block,
        evidence={
            "ahead": list(ahead),
            "heads": dict(ahead),
            "alone": is_lone,
            "fresh": {"number": lead.block.number, "hash": lead.block.hash},
        },
    )


def _may_stand(node: NodeView, number: int) -> bool:
    """Tell whether a node's vote holds the agreed head where it is."""
    return node.voting and node.seen.head is not None and node.seen.head.number <= number


DETECTOR = ChainDetector(id=ID, params=MajorityStalledParams, run=pool_majority_stalled)
