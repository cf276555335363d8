"""Whether groups contradict each other past deciding, and what may decide it all the same.

A split is frozen, never guessed. But a side that is wrong by a measure of its own needs no majority against it: its
headers break the rules of the chain, or its branch leaves a block that is known to be final. Such nodes are ruled out,
and the rest is counted again. That rest never counts as a quorum: whoever reads the grade must see that a tie was
broken, and by what.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from tocsin.chain.count import QUORUM_GROUPS, Poll, distinct, opposes, place
from tocsin.chain.tree import Point, relation
from tocsin.model.block import BlockRef
from tocsin.model.view import Ahead, Behind, Level, Unlinked

TIE_BREAKERS = ("validity", "checkpoint", "trusted", "own")
"""In the order in which they are asked. A proof under a header that is linked to finality would go before all of them:
whoever can verify one returns a `Ruling` for it, and puts it first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one tie-breaker says: which nodes show what cannot be, by which measure, in words."""

    by: str
    out: tuple[str, ...]
    why: str


def is_split(poll: Poll, tip: Point | None, held: BlockRef | None) -> bool:
    """Whether heads contradict each other and no branch can get a quorum from those who vote.

    Nodes at the tip or behind it may still follow one of the branches: two that race for the next block before a third
    has seen it are no split. Counted by nodes, because a group whose nodes stand on both sides can vote for neither.
    """
    if len(poll.groups.groups) < QUORUM_GROUPS:
        return False
    sides: dict[str, Point] = {}
    undecided: set[str] = set()
    if tip is None:
        sides = {node: head for node, head in poll.heads.items() if not _is_far_behind(poll, head, held)}
    else:
        stands = {place(point): relation(poll.tree, point, tip) for point in distinct(poll.heads.values())}
        for node, head in poll.heads.items():
            match stands[place(head)]:
                case Ahead():
                    sides[node] = head
                case Level() | Behind():
                    undecided.add(node)
    tops = distinct(sides.values())
    return _is_disputed(poll, tops) and max(_support(poll, sides, undecided, top) for top in tops) < poll.needed


def _is_far_behind(poll: Poll, block: Point, held: BlockRef | None) -> bool:
    """Whether a head lies below what was agreed, too far to see the link: it claims nothing that is in question."""
    return held is not None and block.number < held.number and isinstance(relation(poll.tree, block, held), Unlinked)


def _is_disputed(poll: Poll, tops: Sequence[Point]) -> bool:
    return any(opposes(poll, one, other) for one, other in combinations(tops, 2))


def _support(poll: Poll, sides: dict[str, Point], undecided: set[str], top: Point) -> int:
    """Return how many groups stand on the chain of `top`, or may turn out to."""
    below = {place(point): _may_be_below(poll, point, top) for point in distinct(sides.values())}
    for_it = undecided | {node for node, head in sides.items() if below[place(head)]}
    return sum(2 * sum(node in for_it for node in group.nodes) > len(group.nodes) for group in poll.groups.groups)


def _may_be_below(poll: Poll, block: Point, top: Point) -> bool:
    match relation(poll.tree, block, top):
        case Level() | Behind():
            return True
        case Unlinked():
            return not opposes(poll, block, top)
        case _:
            return False


def words(ruling: Ruling) -> str:
    """Say how a tie was broken."""
    return f"the tie was broken by {ruling.why}; ruled out: {', '.join(ruling.out)}"


def useful(rulings: Iterable[Ruling], voters: Iterable[str]) -> list[Ruling]:
    """Return the rulings that part those who vote: one that condemns nobody, or everybody, decides nothing."""
    voting = set(voters)
    return [ruling for ruling in rulings if 0 < len(voting & set(ruling.out)) < len(voting)]
