"""What the detectors of nodes and of beacon nodes without an answer say in the same way."""

from dataclasses import dataclass

from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.beacon import BeaconView
from tocsin.model.observation import Fault
from tocsin.model.view import ChainView, NodeView


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureParams:
    """In failed polls, which leak away one per good answer. Own nodes warn, providers inform."""

    warning: Over | None = Over(over=5)
    """For own nodes."""
    provider_info: Over | None = Over(over=5)
    """For all others: an outage of somebody else's."""
    clear: Under = Under(under=1)


def words(fault: Fault) -> str:
    """Say what went wrong."""
    return f"{fault.kind}: {fault.detail}"


def failing(
    view: ChainView, node: NodeView | BeaconView, params: FailureParams, *, detector: str, own: bool, summary: str
) -> Finding:
    """Return the finding about a node with failures; `value` in leaky failures."""
    seen = node.seen
    evidence: dict[str, object] = {"failures": seen.failures, "answers": seen.answers}
    if seen.fault is not None:
        evidence["fault"] = {"kind": seen.fault.kind.value, "detail": seen.fault.detail, "status": seen.fault.status}
    return Finding(
        detector=detector,
        labels=node.labels,
        value=seen.failures,
        unit="failures",
        limits=Limits(
            warning=params.warning if own else None, info=None if own else params.provider_info, clear=params.clear
        ),
        sample=seen.polls,
        summary=summary,
        grade=view.head.grade,
        evidence=evidence,
    )
