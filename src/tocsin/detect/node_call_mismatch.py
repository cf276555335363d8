"""A node whose result is not what is proven, or what a quorum says, of the same block.

Of what was read: slots, code and results of calls. All are functions of the state of the block, so that two nodes that
have it cannot differ, unless one lies, is broken, or works them out wrongly. It is said when the node, asked for the
same once more, has done it again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "node.call_mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMismatchParams:
    """In wrong results that the node has confirmed. It is over after so many right `results`."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    results: int = 20


def node_call_mismatch(view: ChainView, params: CallMismatchParams) -> Iterator[Finding]:
    """Yield one finding per node that was caught with a wrong result; `value` is 1."""
    limits = Limits(critical=params.critical, clear=params.clear)
    for node in view.answering:
        caught = node.mismatched
        if caught is None or caught.clean >= params.results:
            continue
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=1,
            unit="result",
            limits=limits,
            sample=node.seen.polls,
            summary=f"{node.settings.name} gives a wrong result for {caught.contract} at block {caught.block.number}: "
            f"{caught.reason}",
            grade=view.head.grade,
            block=caught.block,
            evidence=caught.evidence,
            whole=caught.whole,
        )


DETECTOR = ChainDetector(id=ID, params=CallMismatchParams, run=node_call_mismatch)
