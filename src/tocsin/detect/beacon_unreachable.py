"""A beacon node that gives no usable answer, for whatever reason; counted like `node.unreachable`."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "beacon.unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconUnreachableParams:
    """In failed polls, which leak away one per good answer: 5 are 10 s at 2 s polling."""

    warning: Over | None = Over(over=5)
    """For own nodes."""
    provider_info: Over | None = Over(over=5)
    """For all others: an outage of somebody else's."""
    clear: Under = Under(under=1)


def beacon_unreachable(view: ChainView, params: BeaconUnreachableParams) -> Iterator[Finding]:
    """Yield one finding per beacon node with failures; `value` in leaky failures."""
    for beacon in view.beacons:
        seen = beacon.seen
        if not seen.failures:
            continue
        node = beacon.settings.node
        why = f"{seen.fault.kind}: {seen.fault.detail}" if seen.fault else "answering again"
        evidence: dict[str, object] = {"failures": seen.failures, "answers": seen.answers}
        if seen.fault is not None:
            evidence["fault"] = {
                "kind": seen.fault.kind.value,
                "detail": seen.fault.detail,
                "status": seen.fault.status,
            }
        yield Finding(
            detector=ID,
            labels=beacon.labels,
            value=seen.failures,
            unit="failures",
            limits=Limits(
                warning=params.warning if node.own else None,
                info=None if node.own else params.provider_info,
                clear=params.clear,
            ),
            sample=seen.polls,
            summary=f"beacon node {node.name} gives no usable answer ({why})",
            grade=view.head.grade,
            evidence=evidence,
        )


DETECTOR = ChainDetector(id=ID, params=BeaconUnreachableParams, run=beacon_unreachable)
