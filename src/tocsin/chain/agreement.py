"""What the groups agree on, and how well that is known.

The agreed head is the deepest block that more than half of the groups' weight, and at least two groups, have at or
below their heads. Above it nothing is known. So one wrong node far ahead evicts nobody, one node far behind drags
nobody back unless it is needed for the quorum, and a node that says nothing counts for nothing. Where groups contradict
each other and no branch can win, the last agreed block is frozen and graded `split`: a watchdog that guesses there is
wrong exactly when it matters.

Any two sets of more than half the weight share a group, and what one group has at or below its head is one chain. Hence
the blocks with a quorum are one chain too, and its deepest block is unique.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from tocsin.chain.groups import Group, Groups
from tocsin.chain.tree import HeaderTree, Point, is_bridgeable, parent, relation, reorg
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.view import Agreement, Ahead, Behind, Forked, Level, Relation, Unlinked

QUORUM_GROUPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The agreement, and what a caller needs to act on it and to explain it."""

    agreement: Agreement
    branches: tuple[BlockRef, ...] = ()
    """The blocks that voting groups vote for, highest first."""
    unlinked: tuple[str, ...] = ()
    """Nodes whose head cannot be placed yet, but could be with headers that are still to be fetched."""
    reorg: Forked | None = None
    """Set when the agreed head left its branch, which had `depth` blocks since `ancestor`."""
    unjoined: BlockRef | None = None
    """The head agreed before, when the new one is not linked to it: `tree.reorg` tells once the headers are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A node whose finalized block is not on the same chain as `against`. One of the two can never be true."""

    node: str
    block: BlockRef
    against: BlockRef


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalizedDecision:
    """The agreed finalized block, which never goes down, and every contradiction to it or among the nodes."""

    agreement: Agreement
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class _Tip:
    """The deepest block that enough voters have, and those who have it (positions in the list of votes)."""

    block: Point
    voters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Poll:
    """One count: each voting group with the block it votes for, in the order of the groups."""

    tree: HeaderTree
    groups: Groups
    votes: tuple[tuple[Group, Point], ...]
    overdue: Collection[str]


def agree(
    tree: HeaderTree,
    votes: Mapping[str, str],
    groups: Groups,
    previous: Agreement,
    t_ns: int,
    *,
    overdue: Collection[str] = (),
) -> Decision:
    """Count the votes: node name to hash of its head, for every node whose head is fresh and sound.

    A head that is not in the tree is no vote. Nodes that are silent count in the size of their group and nowhere else;
    nodes outside `groups` must be left out. Heads that are unlinked, but may be linked by headers yet to be fetched,
    make no split; `overdue` has the heads for which the back-fill had its chance, so that they contradict.
    The block never moves down its own chain; it does move to another branch that has a quorum.
    """
    heads = {node: tree.headers[name] for node, name in votes.items() if name in tree.headers}
    same = _unanimous(heads, groups)
    if same is not None and previous.block is not None and previous.block.hash == same.hash:
        return Decision(agreement=_unmoved(previous, groups), branches=(previous.block,))
    return _decide(_count(tree, heads, groups, overdue), heads, previous, t_ns)


def agree_finalized(
    tree: HeaderTree, votes: Mapping[str, Point], groups: Groups, previous: Agreement, t_ns: int
) -> FinalizedDecision:
    """Count finalized blocks: node name to block. They need not be in the tree; linked ones count for their ancestors.

    A quorum that contradicts the agreed finalized block is reported and not followed: finality that was revoked is for
    people to judge.
    """
    poll = _count(tree, votes, groups)
    tip = _quorum(poll)
    held = previous.block
    revoked = tip is not None and held is not None and _contradicts(tree, tip.block, held)
    rises = tip is not None and not revoked and (held is None or tip.block.number > held.number)
    block = _ref(tip.block) if tip is not None and rises else held
    conflicts = _conflicts(tree, votes, block)
    grade = Grade.SPLIT if revoked or (conflicts and tip is None) else _grade(poll, tip)
    return FinalizedDecision(agreement=_agreement(poll, grade, block, previous, t_ns), conflicts=conflicts)


def _unanimous(heads: Mapping[str, Point], groups: Groups) -> Point | None:
    """Return the head that every configured node shows: the common case, and the cheap one."""
    if not heads or len(heads) != groups.nodes:
        return None
    points = iter(heads.values())
    first = next(points)
    name = first.hash
    return first if all(point.hash == name for point in points) else None


def _unmoved(previous: Agreement, groups: Groups) -> Agreement:
    count = len(groups.groups)
    grade = Grade.QUORUM if count >= QUORUM_GROUPS else Grade.UNCORROBORATED
    if previous.grade is grade and previous.votes == previous.voting_groups == previous.groups == count:
        return previous
    return replace(previous, grade=grade, votes=count, voting_groups=count, groups=count)


def _count(tree: HeaderTree, heads: Mapping[str, Point], groups: Groups, overdue: Collection[str] = ()) -> _Poll:
    ballots = ((group, _ballot(tree, heads, group)) for group in groups.groups)
    votes = tuple((group, block) for group, block in ballots if block is not None)
    return _Poll(tree=tree, groups=groups, votes=votes, overdue=overdue)


def _ballot(tree: HeaderTree, heads: Mapping[str, Point], group: Group) -> Point | None:
    """Return what a group votes for: the deepest block that more than half of its nodes have."""
    if len(group.nodes) == 1:
        return heads.get(group.nodes[0])
    tip = _deepest(tree, [(heads[node], 1) for node in group.nodes if node in heads], len(group.nodes), 1)
    return None if tip is None else tip.block


def _deepest(tree: HeaderTree, votes: list[tuple[Point, int]], total: int, voters: int) -> _Tip | None:
    """Return the deepest block that more than half of `total` and at least `voters` votes have at or below their heads.

    Always steps down from the highest block, so that all who come by a block are there when it is looked at. A walk
    ends where the tree ends: a head without known ancestors supports itself alone.
    """
    if 2 * sum(weight for _, weight in votes) <= total:
        return None
    frontier: dict[str, tuple[Point, tuple[int, ...]]] = {}
    for index, (point, _) in enumerate(votes):
        frontier[point.hash] = (point, (*frontier.get(point.hash, (point, ()))[1], index))
    while frontier:
        block, holders = max(frontier.values(), key=_height)
        if len(holders) >= voters and 2 * sum(votes[index][1] for index in holders) > total:
            return _Tip(block, tuple(sorted(holders)))
        del frontier[block.hash]
        below = parent(tree, block)
        if below is not None:
            frontier[below.hash] = (below, (*frontier.get(below.hash, (below, ()))[1], *holders))
    return None


def _height(entry: tuple[Point, tuple[int, ...]]) -> tuple[int, str]:
    return (entry[0].number, entry[0].hash)


def _quorum(poll: _Poll) -> _Tip | None:
    """Return the deepest block with a quorum. With one group configured, its own vote: nobody could contradict it."""
    votes = [(block, group.weight) for group, block in poll.votes]
    if len(poll.groups.groups) < QUORUM_GROUPS:
        return _deepest(poll.tree, votes, poll.groups.weight, 1)
    quorum = _deepest(poll.tree, votes, poll.groups.weight, QUORUM_GROUPS)
    return quorum or _deepest(poll.tree, votes, poll.groups.weight, 1)


def _grade(poll: _Poll, tip: _Tip | None) -> Grade:
    """Grade what is counted, contradictions aside."""
    if not poll.votes:
        return Grade.BLIND
    if len(poll.groups.groups) < QUORUM_GROUPS or tip is None:
        return Grade.UNCORROBORATED
    return Grade.QUORUM if len(tip.voters) >= QUORUM_GROUPS else Grade.MAJORITY


def _decide(poll: _Poll, heads: Mapping[str, Point], previous: Agreement, t_ns: int) -> Decision:
    tip = _quorum(poll)
    held = previous.block
    joined = None if tip is None or held is None else relation(poll.tree, tip.block, held)
    block = _moved(tip, held, joined)
    agreement = _agreement(poll, _graded(poll, tip, held, block), block, previous, t_ns)
    left = block is not None and held is not None and block.hash != held.hash
    return Decision(
        agreement=agreement,
        branches=_branches(poll),
        unlinked=_pending(poll, heads, block),
        reorg=reorg(poll.tree, held, block) if left and held is not None and block is not None else None,
        unjoined=held if left and isinstance(joined, Unlinked) else None,
    )


def _moved(tip: _Tip | None, held: BlockRef | None, joined: Relation | None) -> Point | None:
    """Return the block to publish, given how the tip stands to the one that is held.

    Down the same chain it never moves, so a lower block must be known to be on another one. A block at the same height
    or above that has a quorum is taken at once: on a chain faster than the polls most heads come without their parents.
    """
    if tip is None or held is None:
        return held if tip is None else tip.block
    match joined:
        case Level() | Behind():
            return held
        case Unlinked(ahead=ahead) if ahead < 0:
            return held
        case _:
            return tip.block


def _graded(poll: _Poll, tip: _Tip | None, held: BlockRef | None, block: Point | None) -> Grade:
    if _is_split(poll, tip, held):
        return Grade.SPLIT
    if tip is not None and block is not None and isinstance(relation(poll.tree, tip.block, block), Unlinked):
        return Grade.UNCORROBORATED  # frozen, and what has a quorum now is not known to be on the same chain
    return _grade(poll, tip)


def _is_split(poll: _Poll, tip: _Tip | None, held: BlockRef | None) -> bool:
    """Whether groups contradict each other and no branch can get a quorum from those who vote.

    Groups at the tip or behind it may still follow one of the branches: two that race for the next block before a third
    has seen it are no split.
    """
    if len(poll.groups.groups) < QUORUM_GROUPS:
        return False
    if tip is None:
        sides = [vote for vote in poll.votes if not _is_far_behind(poll, vote[1], held)]
        undecided = 0
    else:
        stands = [(vote, relation(poll.tree, vote[1], tip.block)) for vote in poll.votes]
        sides = [vote for vote, stand in stands if isinstance(stand, Ahead)]
        undecided = sum(vote[0].weight for vote, stand in stands if isinstance(stand, Level | Behind))
    return _is_disputed(poll, sides) and 2 * (_strongest(poll, sides) + undecided) <= poll.groups.weight


def _is_far_behind(poll: _Poll, block: Point, held: BlockRef | None) -> bool:
    """Whether a vote lies below what was agreed, too far to see the link: it claims nothing that is in question."""
    return held is not None and block.number < held.number and isinstance(relation(poll.tree, block, held), Unlinked)


def _is_disputed(poll: _Poll, votes: list[tuple[Group, Point]]) -> bool:
    return any(_opposes(poll, one, other) for at, (_, one) in enumerate(votes) for _, other in votes[at + 1 :])


def _opposes(poll: _Poll, one: Point, other: Point) -> bool:
    """Whether two votes contradict each other: on different branches, or unlinked for good."""
    match relation(poll.tree, one, other):
        case Forked():
            return True
        case Unlinked():
            in_vain = one.hash in poll.overdue or other.hash in poll.overdue
            return in_vain or not is_bridgeable(poll.tree, one, other)
        case _:
            return False


def _strongest(poll: _Poll, votes: list[tuple[Group, Point]]) -> int:
    """Return the most weight that stands on one chain, or may turn out to."""
    return max(sum(group.weight for group, block in votes if _may_be_below(poll, block, top)) for _, top in votes)


def _may_be_below(poll: _Poll, block: Point, top: Point) -> bool:
    match relation(poll.tree, block, top):
        case Level() | Behind():
            return True
        case Unlinked():
            return not _opposes(poll, block, top)
        case _:
            return False


def _branches(poll: _Poll) -> tuple[BlockRef, ...]:
    points = {block.hash: block for _, block in poll.votes}.values()
    return tuple(_ref(point) for point in sorted(points, key=lambda point: (-point.number, point.hash)))


def _pending(poll: _Poll, heads: Mapping[str, Point], block: Point | None) -> tuple[str, ...]:
    """Return the nodes whose head may still be linked: to the agreed block, or without one to the others' heads."""
    others = {point.hash: point for point in heads.values()} if block is None else {block.hash: block}
    waiting = {
        head.hash
        for head in {point.hash: point for point in heads.values()}.values()
        if any(is_bridgeable(poll.tree, head, other) for other in others.values() if other.hash != head.hash)
    }
    return tuple(sorted(node for node, head in heads.items() if head.hash in waiting))


def _agreement(poll: _Poll, grade: Grade, block: Point | None, previous: Agreement, t_ns: int) -> Agreement:
    held = previous.block
    same = block is None or (held is not None and held.hash == block.hash)
    ref = held if same or block is None else _ref(block)
    return Agreement(
        grade=grade,
        block=ref,
        since_ns=previous.since_ns if same else t_ns,
        votes=0 if ref is None else sum(_supports(poll, vote, ref) for _, vote in poll.votes),
        voting_groups=len(poll.votes),
        groups=len(poll.groups.groups),
    )


def _supports(poll: _Poll, vote: Point, block: BlockRef) -> bool:
    return isinstance(relation(poll.tree, vote, block), Level | Ahead)


def _contradicts(tree: HeaderTree, one: Point, other: Point) -> bool:
    if one.number == other.number:
        return one.hash != other.hash
    return isinstance(relation(tree, one, other), Forked)


def _conflicts(tree: HeaderTree, votes: Mapping[str, Point], agreed: BlockRef | None) -> tuple[Conflict, ...]:
    """Return contradictions to the agreed block; as long as there is none, those between the nodes."""
    shown = sorted({_ref(point) for point in votes.values()}, key=lambda ref: (ref.number, ref.hash))
    against = shown if agreed is None else [agreed]
    found = []
    for node in sorted(votes):
        point = votes[node]
        contrary = next((ref for ref in against if _contradicts(tree, point, ref)), None)
        if contrary is not None:
            found.append(Conflict(node=node, block=_ref(point), against=contrary))
    return tuple(found)


def _ref(point: Point) -> BlockRef:
    return BlockRef(number=point.number, hash=point.hash)
