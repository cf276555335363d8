"""A node whose head stays behind the agreed head.

Own nodes lag by three blocks about never, so one poll that says so is enough; providers do, and get five on two polls.
At 2 s polling and 12 s blocks a frozen own node is told of in 34 s (median); waiting for a second poll takes 36 s
(simulation: benchmarks/detection.py, docs/explanation/detection.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tocsin.detect.base import ChainDetector, blocks, node_evidence, seconds
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import Behind, ChainView, Relation, Unlinked

ID = "node.lag"


@dataclass(frozen=True, slots=True, kw_only=True)
class LagParams:
    """In blocks, or where blocks come faster than polls in as many as may come in a poll.

    `provider_warning` holds for nodes that are not your own: they are slower and farther away.
    """

    warning: Over | None = Over(over=3)
    provider_warning: Over | None = Over(over=5, polls=2)
    critical: Over | None = Over(over=15, polls=2)
    clear: Under = Under(under=2, polls=3)


def blocks_behind(relation: Relation) -> int:
    """Return how far behind the agreed head, 0 if not. A gap too wide to link is counted by height."""
    match relation:
        case Behind(blocks=count):
            return count
        case Unlinked(ahead=ahead) if ahead < 0:
            return -ahead
        case _:
            return 0


def blocks_per_poll(view: ChainView) -> int:
    """Return how many blocks may come between two polls, at least 1: two honest nodes may be that far apart."""
    return -(-view.settings.pace_ns // view.settings.block_time_ns)


def _scaled(limit: Over | None, per_poll: int) -> Over | None:
    return limit if limit is None or per_poll == 1 else replace(limit, over=limit.over * per_poll)


def _limits(view: ChainView, params: LagParams, *, own: bool) -> Limits:
    per_poll = blocks_per_poll(view)
    return Limits(
        warning=_scaled(params.warning if own else params.provider_warning, per_poll),
        critical=_scaled(params.critical, per_poll),
        clear=params.clear if per_poll == 1 else replace(params.clear, under=params.clear.under * per_poll),
    )


def node_lag(view: ChainView, params: LagParams) -> Iterator[Finding]:
    """Yield one finding per node that is behind; `value` in blocks. A node never observed yields nothing, not 0."""
    for node in view.answering:
        behind = blocks_behind(node.relation)
        if not behind or node.severed or node.apart or node.withheld or node.seen.corrupt is not None:
            continue
        late = seconds(behind * view.settings.block_time_ns)
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=behind,
            unit="blocks",
            limits=_limits(view, params, own=node.settings.own),
            sample=node.seen.polls,
            summary=f"{node.settings.name} is {blocks(behind)} ({late}) behind the agreed head",
            grade=view.head.grade,
            block=view.head.block,
            evidence=node_evidence(view, node),
        )


DETECTOR = ChainDetector(id=ID, params=LagParams, run=node_lag, everywhere=True)
