"""A base fee that the block before does not lead to, or one that is far above the usual.

Where the profile gives the parameters of EIP-1559, the fee of a block follows from its parent to the wei. A node
whose head rests on a block with another fee follows a chain that no honest client takes. A fee that is ten times the
median of the last hour is no fault: the market for blocks is in trouble, and so are those who must get into one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, node_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.block import Rule
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView, NodeView

ID = "chain.basefee"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasefeeParams:
    """`wrong` in fees that do not follow, critical for the node; `surge` in medians of the last hour, for the chain."""

    wrong: Over | None = Over(over=1, polls=2)
    clear: Under = Under(under=1, polls=3)
    surge: Over | None = Over(over=10)
    calm: Under = Under(under=5)


def chain_basefee(view: ChainView, params: BasefeeParams) -> Iterator[Finding]:
    """Yield one finding per node with a wrong fee, `value` 1; and one for a surge, `value` in medians."""
    for node in view.answering:
        if node.breaches:
            yield from _wrong(view, node, params)
    header, usual = view.head_header, view.fee_median
    if header is None or not usual or header.base_fee is None or header.base_fee < params.calm.under * usual:
        return
    times = header.base_fee // usual
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=times,
        unit="medians",
        limits=Limits(warning=params.surge, clear=params.calm),
        sample=view.tick,
        summary=f"the base fee of {view.settings.name} is {times} times the median of the last hour",
        grade=view.head.grade,
        block=header.ref,
        evidence={"base_fee_wei": str(header.base_fee), "median_wei": str(usual)},
    )


def _wrong(view: ChainView, node: NodeView, params: BasefeeParams) -> Iterator[Finding]:
    breach = next((one for one in node.breaches if one.rule is Rule.BASE_FEE), None)
    if breach is None:
        return
    yield Finding(
        detector=ID,
        labels=node.labels,
        value=1,
        unit="fee",
        limits=Limits(critical=params.wrong, clear=params.clear),
        sample=node.seen.polls,
        summary=f"{node.settings.name} follows a block whose base fee is {breach.shown} wei instead of {breach.right}",
        grade=view.head.grade,
        block=view.head.block,
        evidence={
            **node_evidence(view, node),
            "base_fee_wei": str(breach.shown),
            "right_wei": str(breach.right),
        },
    )


DETECTOR = ChainDetector(id=ID, params=BasefeeParams, run=chain_basefee, starts=Trust.OBSERVE)
