"""A node that no longer answers as far back as it did, and less far than is needed.

State for the finalized block, receipts for a reorg, proofs at the head: what is read pinned to a block fails there, at
the moment when it is wanted. Pruned by a restart with other flags, a resync, or a provider's new plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.traits import Reach
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView, NodeView

ID = "node.depth_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthLostParams:
    """In blocks that are missing, of what is needed and was there. Needed: blocks below the head, 0 is the head.

    Searched every ten minutes, headers and receipts every hour; a loss is looked at again after one. `state` and
    `receipts` reach the finalized block of Ethereum, which geth's 128 blocks of state just do.
    """

    warning: Over | None = Over(over=1, polls=2)
    clear: Under = Under(under=1)
    state: int = 64
    proofs: int = 0
    headers: int = 64
    receipts: int = 64


def missing_blocks(reach: Reach, needed: int) -> int:
    """Return how many of the needed blocks a node once answered for and does not any more."""
    if reach.lost_ns is None or reach.best is None:
        return 0
    return max(0, min(needed, reach.best) - (-1 if reach.depth is None else reach.depth))


def node_depth_lost(view: ChainView, params: DepthLostParams) -> Iterator[Finding]:
    """Yield one finding per node that lost depth; `value` in blocks, of what lost most."""
    for node in view.answering:
        if not node.seen.capabilities.is_short:
            continue
        reaches = node.seen.capabilities.reach
        lost = {name: missing_blocks(reach, getattr(params, name)) for name, reach in reaches.items()}
        if any(lost.values()):
            yield _finding(view, node, params, {name: blocks for name, blocks in sorted(lost.items()) if blocks})


def _finding(view: ChainView, node: NodeView, params: DepthLostParams, lost: dict[str, int]) -> Finding:
    reaches = node.seen.capabilities.reach
    words = [
        f"{name} {'nowhere' if reaches[name].depth is None else f'{reaches[name].depth} blocks back'}" for name in lost
    ]
    return Finding(
        detector=ID,
        labels=node.labels,
        value=max(lost.values()),
        unit="blocks",
        limits=Limits(warning=params.warning, clear=params.clear),
        sample=sum(reaches[name].tries for name in lost),
        summary=f"{node.settings.name} answers for less than it did: {', '.join(words)}",
        grade=view.head.grade,
        evidence={
            name: {"depth": reaches[name].depth, "before": reaches[name].best, "needed": getattr(params, name)}
            for name in lost
        },
    )


DETECTOR = ChainDetector(
    id=ID,
    params=DepthLostParams,
    run=node_depth_lost,
    starts=Trust.OBSERVE,
    judges=lambda node: bool(node.seen.capabilities.reach),
)
