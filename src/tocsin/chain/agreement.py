"""What the groups agree on, and how well that is known.

The agreed head is the deepest block that more than half of the groups, and at least two, have at or below their heads.
Above it nothing is known. So one wrong node far ahead evicts nobody, one node far behind drags nobody back unless it is
needed for the quorum, and a node that says nothing counts for nothing. Where groups contradict each other and no branch
can win, the last agreed block is frozen and graded `split`: a watchdog that guesses there is wrong exactly when it
matters.

The hash of a head stands for its state root as well. A block that one client family alone has may be that client's bug:
where two are configured, it makes a `majority` and no quorum.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.chain.count import QUORUM_GROUPS, Poll, count, deepest, distinct, place, quorum, ref
from tocsin.chain.dispute import Ruling, is_split, useful, words
from tocsin.chain.groups import Groups, without
from tocsin.chain.tree import HeaderTree, Point, apart, is_bridgeable, relation, reorg
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.evolve import evolve
from tocsin.model.view import Agreement, Ahead, Behind, Conflict, Forked, Level, Relation, Unlinked

FAMILY_LAG = 3
"""A client family that is on the same chain and at most so many blocks behind has not contradicted: it is on its way.
Own nodes lag by three blocks about never (see `node.lag`)."""

_FAMILIES = 2

ONE_GROUP = "one group is configured"
TOO_FEW = "too few groups vote"
UNLINKED = "heads are not linked yet"
CONTRADICTION = "groups contradict each other and no side has a quorum"
RAISED = "around a fork the quorum is one group more"


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
    fresh: BlockRef | None = None
    """The deepest descendant of the agreed head that at least two groups have; None where the agreed head is that."""
    ruling: Ruling | None = None
    """The tie-breaker that decided a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalizedDecision:
    """The agreed finalized block, which never goes down, and every contradiction to it or among the nodes."""

    agreement: Agreement
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What besides heads and groups bears on a count."""

    overdue: Collection[str] = ()
    """Nodes for whose heads the back-fill had its chance: unlinked ones now contradict."""
    late: Collection[str] = ()
    """Nodes that still catch up: their unlinked heads contradict nothing that is above them."""
    raised: bool = False
    """Around a scheduled fork the quorum takes one group more."""
    family_lag: int = FAMILY_LAG
    out_of_reach: int | None = None
    """How many blocks below the held head a quorum has to be, without a link to it, to show that nobody is on the way
    there; None where nothing shows it."""
    has_left: bool = False
    """Whether witnesses of two groups show other blocks where the held head's own chain is known."""
    claims: Mapping[str, Point] = field(default_factory=dict)
    """What nodes say of their own heads, where the tree has heard different things of the hash."""


_ORDINARY = Circumstances()


def agree(
    tree: HeaderTree,
    votes: Mapping[str, str],
    groups: Groups,
    previous: Agreement,
    t_ns: int,
    circumstances: Circumstances = _ORDINARY,
) -> Decision:
    """Count the votes: node name to hash of its head, for every node whose head is fresh and sound.

    A head that is not in the tree is no vote. Nodes that are silent count in the size of their group and nowhere else;
    nodes outside `groups` must be left out. Heads that are unlinked, but may be linked by headers yet to be fetched,
    make no split. The block never moves down its own chain; it does move to another branch that has a quorum.
    """
    known = {node: tree.headers[name] for node, name in votes.items() if name in tree.headers}
    heads: dict[str, Point] = {node: circumstances.claims.get(node, header) for node, header in known.items()}
    same = _unanimous(heads, groups)
    if same is not None and previous.block is not None and place(previous.block) == place(same):
        return Decision(agreement=_unmoved(previous, groups), branches=(previous.block,))
    poll = count(
        tree,
        heads,
        groups,
        raised=circumstances.raised,
        overdue=circumstances.overdue,
        late=circumstances.late,
    )
    return _decide(poll, previous, t_ns, circumstances)


def break_tie(
    split: Decision,
    rulings: Sequence[Ruling],
    tree: HeaderTree,
    votes: Mapping[str, str],
    groups: Groups,
    previous: Agreement,
    t_ns: int,
    circumstances: Circumstances = _ORDINARY,
) -> Decision:
    """Return a split as the first ruling decides it that can; the same split where none does.

    At least two groups have to be left for the head to move, and then the grade is `majority`. With one left the head
    stays where it was, `uncorroborated`. Either way the explanation names the tie-breaker and whom it ruled out.
    """
    for ruling in useful(rulings, votes):
        left = without(groups, ruling.out)
        rest = {node: name for node, name in votes.items() if node not in ruling.out}
        again = agree(tree, rest, left, previous, t_ns, circumstances)
        grade, voting = again.agreement.grade, again.agreement.voting_groups
        if len(left.groups) < QUORUM_GROUPS:
            again, grade = split, Grade.UNCORROBORATED
        if grade is Grade.SPLIT:
            continue
        agreement = evolve(
            again.agreement,
            grade=Grade.MAJORITY if grade is Grade.QUORUM else grade,
            voting_groups=voting,
            groups=len(groups.groups),
            explanation=words(ruling),
        )
        return evolve(again, agreement=agreement, branches=split.branches, ruling=ruling)
    return split


def agree_finalized(
    tree: HeaderTree,
    votes: Mapping[str, Point],
    groups: Groups,
    previous: Agreement,
    t_ns: int,
    circumstances: Circumstances = _ORDINARY,
) -> FinalizedDecision:
    """Count finalized blocks: node name to block. They need not be in the tree; linked ones count for their ancestors.

    A quorum that contradicts the agreed finalized block is reported and not followed: finality that was revoked is for
    people to judge.
    """
    poll = count(tree, votes, groups, raised=circumstances.raised)
    tip = quorum(poll)
    held = previous.block
    revoked = tip is not None and held is not None and contradicts(tree, tip, held)
    rises = tip is not None and not revoked and (held is None or tip.number > held.number)
    block = ref(tip) if tip is not None and rises else held
    conflicts = _conflicts(tree, votes, block)
    is_disputed = revoked or (bool(conflicts) and tip is None)
    grade, why = (Grade.SPLIT, CONTRADICTION) if is_disputed else _grade(poll, tip, circumstances)
    return FinalizedDecision(agreement=_agreement(poll, grade, why, block, previous, t_ns), conflicts=conflicts)


def _unanimous(heads: Mapping[str, Point], groups: Groups) -> Point | None:
    """Return the head that every configured node shows: the common case, and the cheap one."""
    if not heads or len(heads) != groups.nodes:
        return None
    points = iter(heads.values())
    first = next(points)
    name, number = first.hash, first.number
    return first if all(point.hash == name and point.number == number for point in points) else None


def _unmoved(previous: Agreement, groups: Groups) -> Agreement:
    total = len(groups.groups)
    grade, why = (Grade.QUORUM, "") if total >= QUORUM_GROUPS else (Grade.UNCORROBORATED, ONE_GROUP)
    if (
        previous.grade is grade
        and previous.votes == previous.voting_groups == previous.groups == total
        and previous.explanation == why
    ):
        return previous
    return evolve(previous, grade=grade, votes=total, voting_groups=total, groups=total, explanation=why)


def _decide(poll: Poll, previous: Agreement, t_ns: int, circumstances: Circumstances) -> Decision:
    tip = quorum(poll)
    held = previous.block
    joined = None if tip is None or held is None else relation(poll.tree, tip, held)
    block = _moved(poll.tree, tip, held, joined, circumstances)
    grade, why = _graded(poll, tip, held, block, circumstances)
    return Decision(
        agreement=_agreement(poll, grade, why, block, previous, t_ns),
        branches=tuple(ref(point) for point in distinct([block for _, block in poll.votes])),
        unlinked=_pending(poll, block),
        reorg=None if held is None or block is None else reorg(poll.tree, held, block),
        unjoined=held if block is tip and isinstance(joined, Unlinked) else None,
        fresh=_fresh(poll, block),
    )


def _moved(
    tree: HeaderTree, tip: Point | None, held: BlockRef | None, joined: Relation | None, circumstances: Circumstances
) -> Point | None:
    """Return the block to publish, given how the tip stands to the one that is held.

    Down the same chain it never moves, so a lower block must be known to be on another one, or so far down that what is
    held was no block of the chain. It is on another one as soon as the held chain is known to have another block at the
    height of the tip, wherever the two part: a pool that left a branch for a shorter one is on it, and not behind.
    A block at the same height or above that has a quorum is taken at once: on a chain faster than the polls most heads
    come without their parents.
    """
    if tip is None or held is None:
        return held if tip is None else tip
    match joined:
        case Level() | Behind():
            return held
        case Unlinked(ahead=ahead) if ahead < 0:
            reach = circumstances.out_of_reach
            is_out = reach is not None and -ahead >= reach
            return tip if is_out or circumstances.has_left or apart(tree, tip, held) else held
        case _:
            return tip


def _graded(
    poll: Poll, tip: Point | None, held: BlockRef | None, block: Point | None, circumstances: Circumstances
) -> tuple[Grade, str]:
    if is_split(poll, tip, held):
        return Grade.SPLIT, CONTRADICTION
    if tip is not None and block is not None and isinstance(relation(poll.tree, tip, block), Unlinked):
        return Grade.UNCORROBORATED, UNLINKED  # frozen, and what has a quorum now is not known to be on the same chain
    return _grade(poll, tip, circumstances)


def _grade(poll: Poll, tip: Point | None, circumstances: Circumstances) -> tuple[Grade, str]:
    """Grade what is counted, contradictions aside, and say why it is no quorum."""
    if not poll.votes:
        return Grade.BLIND, ""
    if len(poll.groups.groups) < QUORUM_GROUPS:
        return Grade.UNCORROBORATED, ONE_GROUP
    if tip is None:
        enough = len(poll.votes) >= poll.needed
        fewer = circumstances.raised and len(poll.votes) > len(poll.groups.groups) // 2
        return Grade.UNCORROBORATED, UNLINKED if enough else RAISED if fewer else TOO_FEW
    families = _concurring(poll, tip, circumstances.family_lag)
    if len(families) >= min(_FAMILIES, poll.groups.families):
        return Grade.QUORUM, ""
    return Grade.MAJORITY, f"of the client families only {next(iter(families), 'unnamed ones')} agree"


def _concurring(poll: Poll, block: Point, lag: int) -> set[str]:
    """Return the client families of nodes that have the block, or are a little behind it on the same chain."""
    if poll.groups.families < _FAMILIES:
        return set(poll.groups.clients.values())
    families: set[str] = set()
    for node, head in poll.heads.items():
        family = poll.groups.clients.get(node)
        if family is None or family in families:
            continue
        match relation(poll.tree, head, block):
            case Level() | Ahead():
                families.add(family)
            case Behind(blocks=behind) if behind <= lag:
                families.add(family)
    return families


def _fresh(poll: Poll, block: Point | None) -> BlockRef | None:
    if block is None or poll.needed <= QUORUM_GROUPS:
        return None
    tip = deepest(poll.tree, [vote for _, vote in poll.votes], QUORUM_GROUPS)
    if tip is None or not isinstance(relation(poll.tree, tip, block), Ahead):
        return None
    return ref(tip)


def _pending(poll: Poll, block: Point | None) -> tuple[str, ...]:
    """Return the nodes whose head may still be linked: to the agreed block, or without one to the others' heads."""
    shown = distinct(poll.heads.values())
    others = shown if block is None else [block]
    waiting = {
        place(head)
        for head in shown
        if any(is_bridgeable(poll.tree, head, other) for other in others if place(other) != place(head))
    }
    return tuple(sorted(node for node, head in poll.heads.items() if place(head) in waiting))


def _agreement(poll: Poll, grade: Grade, why: str, block: Point | None, previous: Agreement, t_ns: int) -> Agreement:
    held = previous.block
    same = block is None or (held is not None and held.hash == block.hash)  # a block stays at its height
    shown = held if same or block is None else ref(block)
    return Agreement(
        grade=grade,
        block=shown,
        since_ns=previous.since_ns if same else t_ns,
        votes=0 if shown is None else sum(_supports(poll, vote, shown) for _, vote in poll.votes),
        voting_groups=len(poll.votes),
        groups=len(poll.groups.groups),
        explanation=why,
    )


def _supports(poll: Poll, vote: Point, block: BlockRef) -> bool:
    return isinstance(relation(poll.tree, vote, block), Level | Ahead)


def contradicts(tree: HeaderTree, one: Point, other: Point) -> bool:
    """Tell whether two blocks cannot be of one chain; two that are not linked may be, unless at one height."""
    if one.number == other.number:
        return one.hash != other.hash
    return isinstance(relation(tree, one, other), Forked)


def _conflicts(tree: HeaderTree, votes: Mapping[str, Point], agreed: BlockRef | None) -> tuple[Conflict, ...]:
    """Return contradictions to the agreed block; as long as there is none, those between the nodes."""
    shown = sorted({ref(point) for point in votes.values()}, key=lambda block: (block.number, block.hash))
    against = shown if agreed is None else [agreed]
    found = []
    for node in sorted(votes):
        point = votes[node]
        contrary = next((block for block in against if contradicts(tree, point, block)), None)
        if contrary is not None:
            found.append(Conflict(node=node, block=ref(point), against=contrary))
    return tuple(found)
