"""A node that shows no new head while the agreed chain moves on.

With 1 % missed slots a gap of four block times happens once in months (0.007 a day simulated), so it is worth a
warning; six is worth waking somebody. On a chain that is often quiet for longer the limits grow with its gaps.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, if_counted, known_until_ns, node_evidence, paced, seconds
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import Behind, ChainView, NodeView, Unlinked

ID = "node.stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleParams:
    """In block times without a new head, since watching began. Clears when three polls in a row find a fresh one."""

    warning: Over | None = Over(over=4)
    critical: Over | None = Over(over=6)
    clear: Under = Under(under=2, polls=3)


def silent_slots(view: ChainView, node: NodeView) -> int:
    """Return for how many block times this node has shown no new head while the agreed head moved on; else 0.

    The agreed head must be past the node's for a block time: when a chain that stood still goes on, somebody is last.
    """
    since, outrun, pace_ns = node.seen.head_since_ns, node.seen.outrun_since_ns, view.settings.pace_ns
    if since is None or outrun is None or view.now_ns - outrun < pace_ns or node.seen.corrupt is not None:
        return 0
    slots = (known_until_ns(view, node) - since) // pace_ns
    match node.relation:
        case Behind():
            return slots
        case Unlinked(ahead=ahead) if ahead < 0:
            return slots
        case _:
            return 0


def _limits(view: ChainView, params: StaleParams, slots: int) -> Limits:
    """Return the limits, without those that only the time before watching began has reached."""
    counted = min(slots, (view.now_ns - view.started_ns) // view.settings.pace_ns)
    first = params.warning or params.critical
    return Limits(
        warning=if_counted(paced(params.warning, first, view.usual_gap), counted),
        critical=if_counted(paced(params.critical, first, view.usual_gap), counted),
        clear=params.clear,
    )


def node_stale(view: ChainView, params: StaleParams) -> Iterator[Finding]:
    """Yield one finding per node that stands still; `value` in block times."""
    for node in view.answering:
        slots = silent_slots(view, node)
        if slots > 1:
            yield Finding(
                detector=ID,
                labels=node.labels,
                value=slots,
                unit="block times",
                limits=_limits(view, params, slots),
                sample=node.seen.polls,
                summary=f"{node.settings.name} shows no new head for {seconds(slots * view.settings.pace_ns)} "
                "while the agreed chain moves",
                grade=view.head.grade,
                block=view.head.block,
                evidence=node_evidence(view, node),
            )


DETECTOR = ChainDetector(id=ID, params=StaleParams, run=node_stale, everywhere=True)
