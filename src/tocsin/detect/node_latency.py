"""A node that answers its polls, and takes too long.

Only slowness beside the others is the node's: when all are slow it is our line. What takes longer than the node's
`timeout` is no answer at all, and counted by `node.errors` and `node.unreachable` instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView, NodeView

ID = "node.latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyParams:
    """In milliseconds that 95 % of the last 32 polls took at most, from 20 polls on; not below 200.

    `info` counts where it is also `times` the median of the other nodes, `warning` in any case.
    """

    info: Over | None = Over(over=3_000)
    warning: Over | None = Over(over=10_000)
    times: int = 3
    clear: Under = Under(under=2_100, for_ns=120 * 10**9)


def median_ms(view: ChainView, node: NodeView) -> int | None:
    """Return the median of what the other answering nodes took for their newest poll; None where there are none."""
    others = sorted(other.seen.latency_ns or 0 for other in view.answering if other is not node)
    return others[len(others) // 2] // 10**6 if others else None


def node_latency(view: ChainView, params: LatencyParams) -> Iterator[Finding]:
    """Yield one finding per node that is not quick; `value` in ms."""
    for node in view.answering:
        p95_ms = node.seen.p95_ms
        if p95_ms < params.clear.under:
            continue
        usual_ms = median_ms(view, node)
        stands_out = usual_ms is None or p95_ms > params.times * usual_ms
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=p95_ms,
            unit="ms",
            limits=Limits(info=params.info if stands_out else None, warning=params.warning, clear=params.clear),
            sample=node.seen.polls,
            summary=f"{node.settings.name} takes up to {p95_ms} ms for 95 of 100 polls"
            + ("" if usual_ms is None else f", the others {usual_ms} ms"),
            grade=view.head.grade,
            evidence={"latencies_ms": list(node.seen.latencies), "others_ms": usual_ms},
        )


DETECTOR = ChainDetector(id=ID, params=LatencyParams, run=node_latency, starts=Trust.OBSERVE)
