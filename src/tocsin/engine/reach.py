"""Finding out how far down a node answers, in few questions: a ladder upwards, then halving. One step at a time.

Clients keep state for about 128 blocks (geth), 10,064 (reth), or all of it; proofs for none beyond the head (reth's
default window), 1,000 blocks (erigon), or all. So the rungs stand where clients differ, and an eighth is exact enough.
"""

from enum import Enum, auto
from typing import Final

from tocsin.model.evolve import evolve
from tocsin.model.traits import Reach

FIRST_BLOCK: Final = 1
"""Who answers for this block answers for all: pruned clients keep the genesis too, so that says nothing."""

_RUNGS: Final = (0, 1, 64, 127, 1_023, 10_063, 90_000, 1_000_000)
_EXACTNESS: Final = 8

FORGIVEN_NS: Final = 86_400 * 10**9
"""After a day a reach that became shorter is what the node has: somebody chose it, or nobody minds."""


class Verdict(Enum):
    """What an answer says about the ability that was tried."""

    GOOD = auto()
    REFUSED = auto()
    MISSING = auto()
    """The node does not know the method."""
    UNSURE = auto()
    """Nothing: a timeout, a limit, a fault of the way."""


def depth_at(head: int, block: int) -> int:
    """Return how far a block is below a head, at least 0."""
    return max(0, head - block)


def next_depth(reach: Reach, head: int, claimed: int | None = None, most: int | None = None) -> int | None:
    """Return the depth to try next, None when the reach is known exactly enough.

    `claimed` is the depth that the node itself says it has; it saves the ladder, and is tried like any other. Nothing
    deeper than `most` is tried.
    """
    top = head - FIRST_BLOCK if most is None else min(most, head - FIRST_BLOCK)
    if reach.missing or top < 0:
        return None
    if reach.depth is None:
        return 0 if reach.limit is None or reach.limit > 0 else None
    if reach.whole or reach.depth >= top or reach.depth == claimed:
        return None
    if reach.limit is None:
        if claimed is not None and reach.depth < claimed:
            return min(claimed, top)
        return min(next((rung for rung in _RUNGS if rung > reach.depth), top), top)
    gap = reach.limit - reach.depth
    return reach.depth + gap // 2 if gap > max(1, reach.depth // _EXACTNESS) else None


def narrowed(reach: Reach, depth: int, verdict: Verdict, *, whole: bool) -> Reach:
    """Return what is known after a depth was tried; `whole` tells whether it was the first block."""
    match verdict:
        case Verdict.GOOD:
            limit = reach.limit if reach.limit is not None and reach.limit > depth else None
            return evolve(reach, depth=depth, limit=limit, whole=whole, missing=False)
        case Verdict.REFUSED:
            kept = reach.depth if reach.depth is not None and reach.depth < depth else None
            return evolve(reach, depth=kept, limit=depth, whole=False, missing=False)
        case Verdict.MISSING:
            return evolve(reach, depth=None, limit=None, whole=False, missing=True)
        case Verdict.UNSURE:
            return reach


def ended(reach: Reach, before: Reach, t_ns: int) -> Reach:
    """Return the result of a search, measured against the deepest that the node ever answered."""
    best = max((depth for depth in (reach.depth, before.best) if depth is not None), default=None)
    is_short = best is not None and (reach.depth is None or reach.depth < best - best // _EXACTNESS)
    lost_ns = (before.lost_ns if before.lost_ns is not None else t_ns) if is_short else None
    if lost_ns is not None and t_ns - lost_ns >= FORGIVEN_NS:
        best, lost_ns = reach.depth, None
    return evolve(reach, best=best, lost_ns=lost_ns, tries=before.tries + 1)


def is_news(now: Reach, before: Reach) -> bool:
    """Tell whether a result differs from the one before by more than inexactness."""
    if (now.missing, now.whole, now.depth is None) != (before.missing, before.whole, before.depth is None):
        return True
    if now.depth is None or before.depth is None or now.whole:
        return False
    return abs(now.depth - before.depth) > max(now.depth, before.depth) // 4
