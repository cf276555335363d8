"""The pool of an own node holds far more or far fewer transactions than it usually does, or none.

An empty pool is a node that no peer tells anything any more; a full one is a storm of fees, or somebody's flood. The
usual is the last hour, in medians, so that half of it may be anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, seconds
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView, NodeView
from tocsin.units import DurationNs

ID = "mempool.anomaly"


@dataclass(frozen=True, slots=True, kw_only=True)
class MempoolAnomalyParams:
    """In tenths of a standard deviation from the median; a pool that is empty for `empty` counts as much as `info`."""

    info: Over | None = Over(over=60, polls=2)
    clear: Under = Under(under=40, polls=2)
    empty: DurationNs = DurationNs(300 * 10**9)


def mempool_anomaly(view: ChainView, params: MempoolAnomalyParams) -> Iterator[Finding]:
    """Yield one finding per own node with an unusual pool; `value` in tenths of a standard deviation."""
    for node in view.answering:
        vitals = node.seen.vitals
        since_ns = vitals.empty_since_ns
        is_empty = since_ns is not None and view.now_ns - since_ns >= params.empty
        if node.settings.own and (is_empty or vitals.deviation >= params.clear.under):
            yield _finding(view, node, params, is_empty=is_empty)


def _finding(view: ChainView, node: NodeView, params: MempoolAnomalyParams, *, is_empty: bool) -> Finding:
    vitals, info = node.seen.vitals, params.info
    value = max(vitals.deviation, info.over if is_empty and info is not None else 0)
    if is_empty and vitals.empty_since_ns is not None:
        words = f"has been empty for {seconds(view.now_ns - vitals.empty_since_ns)}"
    else:
        words = f"holds {vitals.pending} transactions, {value // 10}.{value % 10} deviations from the usual"
    return Finding(
        detector=ID,
        labels=node.labels,
        value=value,
        unit="tenths of a deviation",
        limits=Limits(info=info, clear=params.clear),
        sample=vitals.pool_answers,
        summary=f"the pool of {node.settings.name} {words}",
        grade=view.head.grade,
        evidence={"pending": vitals.pending, "last_hour": list(vitals.pendings)},
    )


DETECTOR = ChainDetector(
    id=ID,
    params=MempoolAnomalyParams,
    run=mempool_anomaly,
    starts=Trust.OBSERVE,
    judges=lambda node: node.settings.own and node.seen.vitals.pending is not None,
)
