"""An address behind which several nodes answer in turn: its head goes back a block or two, and on again.

Harmless in itself, and good to know: the head of such an address is the head of nobody, and what is asked of it in two
questions may be answered by two nodes (go-ethereum #27353). A chain does not go back by seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, node_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView
from tocsin.units import DurationNs

ID = "node.balancer_skew"


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerSkewParams:
    """In steps back of up to three blocks within 5 s, counted over `over`."""

    info: Over | None = Over(over=3)
    clear: Under = Under(under=1)
    span: DurationNs = DurationNs(300 * 10**9)
    """How long a step back counts."""


def node_balancer_skew(view: ChainView, params: BalancerSkewParams) -> Iterator[Finding]:
    """Yield one finding per node whose head went back lately; `value` in steps back."""
    for node in view.answering:
        if not node.seen.regressions:
            continue
        steps = sum(view.now_ns - at_ns < params.span for at_ns in node.seen.regressions)
        if not steps:
            continue
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=steps,
            unit="steps back",
            limits=Limits(info=params.info, clear=params.clear),
            sample=node.seen.polls,
            summary=f"{node.settings.name} went back by a few blocks {steps} times: several nodes answer there",
            grade=view.head.grade,
            block=view.head.block,
            evidence=node_evidence(view, node),
        )


DETECTOR = ChainDetector(id=ID, params=BalancerSkewParams, run=node_balancer_skew, starts=Trust.OBSERVE)
