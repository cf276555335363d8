"""What the detectors of nodes and of beacon nodes without an answer say in the same way."""

from dataclasses import dataclass

from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.beacon import BeaconRecord, BeaconView
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.view import ChainView, NodeRecord, NodeView


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureParams:
    """In failed polls, which leak away one per good answer. Own nodes warn, providers inform."""

    warning: Over | None = Over(over=5)
    """For own nodes."""
    provider_info: Over | None = Over(over=5)
    """For all others: an outage of somebody else's."""
    clear: Under = Under(under=1)


_SURE = 2
"""Refusals in a row: one may be a gateway's word for a node that is down."""


def is_throttled(seen: NodeRecord | BeaconRecord) -> bool:
    """Tell whether who failed before now refuses: somebody answers, so it is not down (`node.rate_limited` tells)."""
    return seen.fault is not None and seen.fault.kind is FaultKind.RATE_LIMITED and seen.refusals >= _SURE


def said_of(fault: Fault | None) -> str:
    """Say what came of the newest question."""
    if fault is None:
        return "answers again"
    if fault.kind is FaultKind.RATE_LIMITED:
        return f"gave no usable answer, and refuses to be asked now ({fault.detail})"
    return f"gives no usable answer ({fault.kind}: {fault.detail})"


def failing(
    view: ChainView, node: NodeView | BeaconView, params: FailureParams, *, detector: str, own: bool, summary: str
) -> Finding:
    """Return the finding about a node with failures; `value` in leaky failures, 0 for one that refuses by now."""
    seen = node.seen
    evidence: dict[str, object] = {"failures": seen.failures, "answers": seen.answers}
    if seen.fault is not None:
        evidence["fault"] = {"kind": seen.fault.kind.value, "detail": seen.fault.detail, "status": seen.fault.status}
    return Finding(
        detector=detector,
        labels=node.labels,
        value=0 if is_throttled(seen) else seen.failures,
        unit="failures",
        limits=Limits(
            warning=params.warning if own else None, info=None if own else params.provider_info, clear=params.clear
        ),
        sample=seen.polls,
        summary=summary,
        fading=seen.fault is None,
        grade=view.head.grade,
        evidence=evidence,
    )
