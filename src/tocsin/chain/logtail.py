"""The blocks above the finalized one: kept apart, each by its hash, until they are final or have left the chain.

The tail is one chain of blocks, lowest first. It never holds a block that is not an ancestor of the agreed head that it
was last brought to; what leaves the chain leaves the tail, and nothing of it has been in the index.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from tocsin.chain.logindex import Tally, merged
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef

_ORDER = (Grade.PROVEN, Grade.QUORUM, Grade.MAJORITY, Grade.UNCORROBORATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TailBlock:
    """What one block adds, and how its logs are known."""

    block: BlockRef
    parent_hash: str
    tally: Tally
    grade: Grade


def is_on(tail: Sequence[TailBlock], block: BlockRef) -> bool:
    """Tell whether a block is in the tail."""
    at = block.number - tail[0].block.number if tail else -1
    return 0 <= at < len(tail) and tail[at].block == block


def kept(tail: Sequence[TailBlock], parent: BlockRef) -> tuple[TailBlock, ...]:
    """Return what is left of the tail where the chain goes on from `parent`, of the tail or the block below it."""
    return tuple([block for block in tail if block.block.number <= parent.number])


def is_linked(tail: Sequence[TailBlock]) -> bool:
    """Tell whether each block is the parent of the next."""
    return all(
        upper.parent_hash == lower.block.hash and upper.block.number == lower.block.number + 1
        for lower, upper in pairwise(tail)
    )


def final(tail: Sequence[TailBlock], through: BlockRef, finalized: BlockRef) -> tuple[TailBlock, ...] | None:
    """Return the blocks above `through` up to the finalized one, lowest first; None if the tail does not have them all.

    Where the hash of `through` is not known it is empty.
    """
    found = tuple([block for block in tail if through.number < block.block.number <= finalized.number])
    if not found or found[-1].block != finalized or len(found) != finalized.number - through.number:
        return None
    return found if is_linked(found) and through.hash in ("", found[0].parent_hash) else None


def total(blocks: Sequence[TailBlock]) -> tuple[Tally, Grade]:
    """Return what blocks add together, and the worst grade among them; of no blocks, nothing proven."""
    return reduce(merged, (block.tally for block in blocks), Tally()), worst(block.grade for block in blocks)


def worst(grades: Iterable[Grade]) -> Grade:
    """Return the worst of the grades that blocks are kept with: nobody keeps what is split."""
    return max(grades, key=_ORDER.index, default=Grade.PROVEN)
