"""A node, or the budget set for it, that refuses to be asked.

Kept apart from `node.unreachable`: the node is well, we ask too much. It is no vote against anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, everyone
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.observation import FaultKind
from tocsin.model.view import ChainView

ID = "node.rate_limited"
_LIMITING = (FaultKind.RATE_LIMITED, FaultKind.BUDGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitedParams:
    """In refused polls in a row."""

    warning: Over | None = Over(over=2)
    clear: Under = Under(under=1, polls=3)


def node_rate_limited(view: ChainView, params: RateLimitedParams) -> Iterator[Finding]:
    """Yield one finding per node or beacon node that refuses; `value` in polls refused in a row."""
    limits = Limits(warning=params.warning, clear=params.clear)
    for node, settings in everyone(view):
        fault = node.seen.fault
        if fault is not None and fault.kind in _LIMITING:
            yield Finding(
                detector=ID,
                labels=node.labels,
                value=node.seen.refusals,
                unit="polls",
                limits=limits,
                sample=node.seen.polls,
                summary=f"{settings.name} refuses to be asked ({fault.kind}: {fault.detail})",
                grade=view.head.grade,
                evidence={"status": fault.status, "retry_after_ns": fault.retry_after_ns},
                unmuted=fault.kind is FaultKind.RATE_LIMITED,  # its own word; `node.budget_short` is a forecast of ours
            )


DETECTOR = ChainDetector(id=ID, params=RateLimitedParams, run=node_rate_limited, everywhere=True)
