"""A node that gives no usable answer, for whatever reason: no connection, no JSON, no end.

Failures leak away one per good answer, so that a node which fails every third poll is not called dead, and one
that fails three of four is. A refusal for lack of budget is no failure: `node.rate_limited` says that.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "node.unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreachableParams:
    """In failed polls: 5 are 10 s at 2 s polling. Own nodes warn, providers inform."""

    warning: Over | None = Over(over=5)
    """For own nodes."""
    provider_info: Over | None = Over(over=5)
    """For all others: an outage of somebody else's."""
    clear: Under = Under(under=1)


def node_unreachable(view: ChainView, params: UnreachableParams) -> Iterator[Finding]:
    """Yield one finding per node with failures; `value` in leaky failures."""
    own = Limits(warning=params.warning, clear=params.clear)
    provider = Limits(info=params.provider_info, clear=params.clear)
    for node in view.nodes:
        seen = node.seen
        if not seen.failures:
            continue
        said = f"gives no usable answer ({seen.fault.kind}: {seen.fault.detail})" if seen.fault else "answers again"
        evidence: dict[str, object] = {"failures": seen.failures, "answers": seen.answers}
        if seen.fault is not None:
            evidence["fault"] = {
                "kind": seen.fault.kind.value,
                "detail": seen.fault.detail,
                "status": seen.fault.status,
            }
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=seen.failures,
            unit="failures",
            limits=own if node.settings.own else provider,
            sample=seen.polls,
            summary=f"{node.settings.name} {said}",
            grade=view.head.grade,
            evidence=evidence,
        )


DETECTOR = ChainDetector(id=ID, params=UnreachableParams, run=node_unreachable, everywhere=True)
