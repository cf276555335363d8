"""What was final is not: two finalized blocks that exclude each other, or an agreed head that left the finalized one.

Finality that is revoked is the worst that a chain can do: critical, once two groups at least bear it out, and only a
person's `ack` lets it go. One group alone may be broken or lie: that is told as a warning, and ends with its cause.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import ChainView, Conflict

ID = "chain.finality_violation"
_TWO_GROUPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityViolationParams:
    """In contradictions to a finalized block. `latched`: what two groups bear out resolves only after `ack`."""

    critical: Over | None = Over(over=1)
    """For what two groups bear out."""
    alone_warning: Over | None = Over(over=1)
    """For what nodes of one group show, or nodes that agree on nothing among themselves."""
    clear: Under = Under(under=1)
    latched: bool = True


def chain_finality_violation(view: ChainView, params: FinalityViolationParams) -> Iterator[Finding]:
    """Yield a finding while there is a contradiction; `value` in nodes that show one, the agreed head counts as one."""
    conflicts = (*view.revoked, *(one for one in view.conflicts if one not in view.revoked))
    if not conflicts:
        return
    is_borne_out = bool(view.revoked) and view.finalized.groups >= _TWO_GROUPS
    first = conflicts[0]
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=len(conflicts),
        unit="contradictions",
        limits=_limits(params, is_borne_out=is_borne_out),
        sample=view.tick,
        summary=_summary(view, conflicts, is_borne_out=is_borne_out),
        grade=view.finalized.grade if is_borne_out else Grade.UNCORROBORATED,
        block=first.against,
        evidence={"conflicts": [_plain(conflict) for conflict in conflicts], "groups": view.finalized.groups},
    )


def _limits(params: FinalityViolationParams, *, is_borne_out: bool) -> Limits:
    if is_borne_out:
        return Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    return Limits(warning=params.alone_warning, clear=params.clear)


def _summary(view: ChainView, conflicts: Sequence[Conflict], *, is_borne_out: bool) -> str:
    who = list(dict.fromkeys(conflict.node for conflict in conflicts if conflict.node))
    said = f"{', '.join(who)} finalized other blocks" if who else "the agreed head left the finalized block"
    against = f"against block {conflicts[0].against.number}"
    if is_borne_out:
        return f"finality of {view.settings.name} is violated: {said}, {against}"
    return f"{said} on {view.settings.name}, {against}; no two groups bear it out"


def _plain(conflict: Conflict) -> dict[str, object]:
    return {
        "node": conflict.node or None,
        "block": {"number": conflict.block.number, "hash": conflict.block.hash},
        "against": {"number": conflict.against.number, "hash": conflict.against.hash},
    }


DETECTOR = ChainDetector(id=ID, params=FinalityViolationParams, run=chain_finality_violation)
