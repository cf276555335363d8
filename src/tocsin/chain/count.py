"""Counting votes in the tree: what each group votes for, and the deepest block that enough of them have.

Any two sets of more than half of the groups share one, and what one group has at or below its head is one chain. Hence
the blocks with a quorum are one chain too, and its deepest block is unique.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tocsin.chain.groups import Group, Groups
from tocsin.chain.tree import HeaderTree, Point, is_bridgeable, is_disputed, is_doubted, parent, relation, said_parent
from tocsin.model.block import BlockRef, Header
from tocsin.model.view import Forked, Unlinked

QUORUM_GROUPS = 2


@dataclass(frozen=True, slots=True)
class Poll:
    """One count: what each node shows, and each voting group with its vote, in the order of the groups."""

    tree: HeaderTree
    groups: Groups
    heads: Mapping[str, Point]
    votes: tuple[tuple[Group, Point], ...]
    needed: int
    overdue: Collection[str]
    late: Collection[str]


def needed(groups: Groups, *, raised: bool = False) -> int:
    """Return how many groups make a quorum: more than half and at least two; around a fork one more, if there is one.

    With one group configured it is that one: nobody could contradict it.
    """
    count = len(groups.groups)
    if count < QUORUM_GROUPS:
        return 1
    return min(count, count // 2 + 1 + raised)


def count(
    tree: HeaderTree,
    heads: Mapping[str, Point],
    groups: Groups,
    *,
    raised: bool,
    overdue: Collection[str] = (),
    late: Collection[str] = (),
) -> Poll:
    """Return what the groups vote for. `overdue` and `late` are nodes, see `agreement.Circumstances`."""
    ballots = ((group, _ballot(tree, heads, group)) for group in groups.groups)
    votes = tuple((group, block) for group, block in ballots if block is not None)
    return Poll(tree, groups, heads, votes, needed(groups, raised=raised), overdue, late)


def _ballot(tree: HeaderTree, heads: Mapping[str, Point], group: Group) -> Point | None:
    """Return what a group votes for: the deepest block that more than half of its nodes have."""
    if len(group.nodes) == 1:
        return heads.get(group.nodes[0])
    return deepest(tree, [heads[node] for node in group.nodes if node in heads], len(group.nodes) // 2 + 1)


def quorum(poll: Poll) -> Point | None:
    """Return the deepest block with a quorum."""
    return deepest(poll.tree, [block for _, block in poll.votes], poll.needed)


def deepest(tree: HeaderTree, votes: Sequence[Point], least: int) -> Point | None:
    """Return the deepest block that at least `least` votes have at or below their heads.

    Always steps down from the highest block, so that all who come by a block are there when it is looked at. A walk
    ends where the tree ends: a head without known ancestors supports itself alone. Who puts a known hash at another
    height does not speak of that block: a height is voted for like a hash.
    """
    if len(votes) < least:
        return None
    frontier: _Frontier = {}
    for point in votes:
        said = point.parent_hash if isinstance(point, Header) and is_disputed(tree, point) else ""
        _join(frontier, point, 1, said)
    while frontier:
        key = max(frontier)
        block, holders = frontier.pop(key)
        if holders >= least:
            return block
        below = said_parent(tree, block) if key[2] else parent(tree, block)
        if below is not None and below.number < block.number:
            _join(frontier, below, holders)
    return None


_Frontier = dict[tuple[int, str, str], tuple[Point, int]]
"""Blocks by height, hash and, for a head that others show otherwise, the parent that its node says it has."""


def _join(frontier: _Frontier, block: Point, holders: int, said: str = "") -> None:
    key = (block.number, block.hash, said)
    _, others = frontier.get(key, (block, 0))
    frontier[key] = (block, others + holders)


def opposes(poll: Poll, one: Point, other: Point) -> bool:
    """Whether two heads contradict each other: on different branches, or unlinked for good.

    Two at one height never are on one chain, linked or not; nor is one hash at two heights. Heads that are unlinked
    only because somebody shows a block between them otherwise contradict nothing. Nor does one that by its own word or
    its own timestamp is far behind: it claims nothing about what came after it.
    """
    if one.number == other.number or one.hash == other.hash:
        return place(one) != place(other)
    match relation(poll.tree, one, other):
        case Forked():
            return True
        case Unlinked():
            if is_doubted(poll.tree, one, other) or _is_shown_only_by(poll, poll.late, min(one, other, key=place)):
                return False
            in_vain = any(_is_shown_only_by(poll, poll.overdue, point) for point in (one, other))
            return in_vain or not is_bridgeable(poll.tree, one, other)
        case _:
            return False


def _is_shown_only_by(poll: Poll, nodes: Collection[str], block: Point) -> bool:
    """Whether nobody else shows a head: what is known of a node says nothing of another one that shows the same."""
    at = place(block)
    return bool(nodes) and all(node in nodes for node, head in poll.heads.items() if place(head) == at)


def distinct(points: Collection[Point]) -> list[Point]:
    """Return each block once, highest first."""
    return sorted({place(point): point for point in points}.values(), key=lambda point: (-point.number, point.hash))


def place(point: Point) -> tuple[int, str]:
    """Return what makes two heads the same: a known hash at another height is another claim."""
    return (point.number, point.hash)


def ref(point: Point) -> BlockRef:
    """Return height and hash alone."""
    return BlockRef(number=point.number, hash=point.hash)
