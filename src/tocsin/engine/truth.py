"""What the nodes of a chain agree on at this tick: votes taken, ties broken, reorgs and contradictions remembered."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial

from tocsin.chain.agreement import Circumstances, Decision, agree, break_tie
from tocsin.chain.count import distinct
from tocsin.chain.dispute import TIE_BREAKERS, Ruling
from tocsin.chain.tree import BACKFILL, HeaderTree, Point, apart, is_bridgeable, is_disputed, parent, relation
from tocsin.chain.validity import breaches
from tocsin.engine import beacons, common, finality
from tocsin.engine.pool import groups_of
from tocsin.engine.state import ChainState
from tocsin.engine.voting import voters
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef, Breach, Header, Verification
from tocsin.model.event import Ticked
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings, Settings
from tocsin.model.view import Forked, NodeRecord, Reorg, Unlinked

LINK_POLLS = 5
"""How many polls the back-fill gets before a head that does not link counts as a contradiction."""

_EPOCH_SLOTS = 32
"""Of Ethereum; for chains without epochs of their own."""

_FORK_EPOCHS = 2
"""How long before and after a scheduled fork the quorum is raised: when most wrong majorities came to be."""

_OUT_OF_REACH_NS = 3600 * 10**9
_OUT_OF_REACH = 1024
"""A quorum that is an hour of blocks below the agreed head, more than the tree reaches and without a link to it, is not
on the way back there: that head was made up by those who showed it, and would be held until the chain is as far."""

_MOST_BREACHES = 256
"""A node that makes up headers by the thousand is not worth more memory, and pushes out none that others rest on."""


def unplaced(state: ChainState, chain: ChainSettings, now_ns: int) -> set[str]:
    """Return the nodes whose head waits for the back-fill: how it stands to the agreed one is not known yet.

    On a chain faster than the polls that is so after every poll. Taken for rest, it would end every fork each time.
    """
    return {name for name, since in state.unlinked.items() if now_ns - since <= LINK_POLLS * chain.poll_ns}


def agreed(state: ChainState, settings: Settings, chain: ChainSettings, event: Ticked) -> ChainState:
    """Return the chain after a count of heads and finalized blocks."""
    now_ns = event.t_ns
    sound = voters(state, chain)
    state = common.concluded(state, chain, now_ns)
    votes = common.votes(state, chain, sound)
    waiting = unplaced(state, chain, now_ns)
    overdue = {name for name in state.unlinked if name in votes and name not in waiting}
    raised = near_fork(chain, event.wall_ns) is not None or now_ns < state.raised_until_ns
    circumstances = Circumstances(
        overdue=overdue,
        raised=raised,
        out_of_reach=max(_OUT_OF_REACH, _OUT_OF_REACH_NS // chain.block_time_ns),
        has_left=_has_left(state, chain),
        claims=_claims(state, chain, sound, votes),
    )
    decision = _heads(state, settings, chain, sound, votes, circumstances, event)
    is_split = decision.agreement.grade is Grade.SPLIT
    counted = evolve(
        state,
        head=decision.agreement,
        branches=decision.branches,
        fresh=decision.fresh,
        ruled_out={} if decision.ruling is None else dict.fromkeys(decision.ruling.out, decision.ruling.why),
        unlinked={name: state.unlinked.get(name, now_ns) for name in decision.unlinked},
        split_since_ns=(state.split_since_ns or now_ns) if is_split else None,
        raised_until_ns=now_ns + fork_span_ns(chain) if is_split and raised else state.raised_until_ns,
    )
    if common.is_fast(chain) and decision.reorg is None:
        noted = common.followed(counted, chain, decision.unjoined, now_ns)
    else:
        noted = _note_reorg(counted, state.head.block, decision, now_ns)
        noted = evolve(noted, trail=()) if noted.trail else noted  # of the branch that was left
    return finality.counted(noted, chain, sound, circumstances, now_ns)


def _has_left(state: ChainState, chain: ChainSettings) -> bool:
    """Whether on a fast chain witnesses have another block where the held head's chain was agreed on before."""
    if state.unjoined is not None:
        return False  # what witnesses are asked for is a branch that was left before
    told = common.witnessed(state, chain) if common.is_fast(chain) else None
    return told is not None and not told[1]


def _claims(
    state: ChainState, chain: ChainSettings, sound: Mapping[str, NodeRecord], votes: Mapping[str, str]
) -> dict[str, Point]:
    """Return each node's own word about its vote, where somebody shows the same hash with another content."""
    tree, current = state.tree, state.settled if common.is_fast(chain) else None
    claims: dict[str, Point] = {}
    for name, shown in votes.items():
        head = sound[name].head
        if current is not None:
            # On a fast chain a vote is for a hash at the common height, and nobody is asked for more of it.
            known = tree.headers.get(shown)
            if shown in tree.contested or (known is not None and known.number != current.number):
                claims[name] = BlockRef(number=current.number, hash=shown)
        elif head is not None and head.verification is not Verification.MATCH and is_disputed(tree, head):
            claims[name] = head
    return claims


def near_fork(chain: ChainSettings, wall_ns: int) -> str | None:
    """Return the name of a scheduled fork within two epochs of now."""
    span_ns = fork_span_ns(chain)
    return next((name for name, at_s in chain.forks if abs(wall_ns - at_s * 10**9) <= span_ns), None)


def fork_span_ns(chain: ChainSettings) -> int:
    """Return for how long before and after a fork, and after the last split that began there, the quorum is raised.

    A wrong majority does not become right by outlasting the fork: on Holesky it did for two weeks.
    """
    return _FORK_EPOCHS * (chain.epoch_slots or _EPOCH_SLOTS) * chain.block_time_ns


def _heads(
    state: ChainState,
    settings: Settings,
    chain: ChainSettings,
    sound: Mapping[str, NodeRecord],
    votes: Mapping[str, str],
    circumstances: Circumstances,
    event: Ticked,
) -> Decision:
    """Count the heads; where they contradict each other, look closer: who catches up, and who cannot be right."""
    groups = groups_of(chain)
    count = partial(agree, state.tree, votes, groups, state.head, event.t_ns)
    decision = count(circumstances)
    if decision.agreement.grade is not Grade.SPLIT:
        return decision
    late = _late(chain, sound, event.wall_ns)
    if late:
        circumstances = evolve(circumstances, late=late)
        decision = count(circumstances)
    if decision.agreement.grade is not Grade.SPLIT:
        return decision
    rulings = list(_rulings(state, settings, chain, sound))
    return break_tie(decision, rulings, state.tree, votes, groups, state.head, event.t_ns, circumstances)


def _late(chain: ChainSettings, sound: Mapping[str, NodeRecord], wall_ns: int) -> set[str]:
    """Return the nodes that catch up: by their own word, or by a timestamp that no back-fill spans."""
    heads = {name: record.head for name, record in sound.items() if record.head is not None}
    limit_ns = BACKFILL * chain.pace_ns
    late = set()
    for name, head in heads.items():
        newest = max((other.timestamp for label, other in heads.items() if label != name), default=0)
        # Our clock may be hours ahead: now is what another node's head bears out.
        age_ns = min(wall_ns, newest * 10**9) - head.timestamp * 10**9
        if sound[name].syncing or head.number == 0 or age_ns > limit_ns:
            late.add(name)
    return late


def _rulings(
    state: ChainState, settings: Settings, chain: ChainSettings, sound: Mapping[str, NodeRecord]
) -> Iterator[Ruling]:
    """Yield what each configured tie-breaker says, in their order."""
    for by in TIE_BREAKERS:
        if by not in chain.tie_break:
            continue
        match by:
            case "validity":
                yield _invalid(state, sound)
            case "checkpoint":
                final = beacons.checkpoint(beacons.views(state, settings, chain), chain)
                yield _without(state.tree, sound, final, by, "the beacon nodes' finalized block")
            case "trusted":
                yield _without(state.tree, sound, chain.trusted, by, "the trusted block")
            case "own":
                yield _foreign(state.tree, chain, sound)


def _invalid(state: ChainState, sound: Mapping[str, NodeRecord]) -> Ruling:
    broken = broken_heads(state, [record.head for record in sound.values() if record.head is not None])
    out = tuple(name for name, record in sound.items() if record.head and record.head.hash in broken)
    return Ruling(by="validity", out=out, why="headers that break the rules of the chain")


def broken_heads(state: ChainState, heads: Iterable[Header]) -> dict[str, tuple[Breach, ...]]:
    """Return by hash the heads that break rules of the chain, or rest on a block that is known to; and the rules.

    One walk down from each head: hundreds of broken blocks, as one liar can make, cost no more than one.
    """
    known = [state.tree.headers[name].number for name in state.breaches if name in state.tree.headers]
    found: dict[str, tuple[Breach, ...]] = {}
    if not known:
        return found
    lowest = min(known)
    for name in dict.fromkeys(head.hash for head in heads):
        at = state.tree.headers.get(name)
        while at is not None and at.number >= lowest and at.hash not in state.breaches:
            at = parent(state.tree, at)
        if at is not None and at.hash in state.breaches:
            found[name] = state.breaches[at.hash]
    return found


def _without(tree: HeaderTree, sound: Mapping[str, NodeRecord], block: BlockRef | None, by: str, what: str) -> Ruling:
    """Rule out who is on a branch that does not have a block which is known to be final."""
    if block is None:
        return Ruling(by=by, out=(), why=what)
    out = tuple(name for name, record in sound.items() if any(_denies(tree, own, block) for own in _shown(record)))
    return Ruling(by=by, out=out, why=f"{what} {block.number}")


def _shown(record: NodeRecord) -> Iterator[Point]:
    yield from (block for block in (record.head, record.finalized) if block is not None)


def _denies(tree: HeaderTree, own: Point, block: BlockRef) -> bool:
    if own.number == block.number:
        return own.hash != block.hash
    return isinstance(relation(tree, own, block), Forked)


def _foreign(tree: HeaderTree, chain: ChainSettings, sound: Mapping[str, NodeRecord]) -> Ruling:
    """Rule out who contradicts the own nodes, as long as those are of one mind."""
    own = {node.name for node in chain.nodes if node.own}
    ours = distinct([record.head for name, record in sound.items() if name in own and record.head is not None])
    why = "an own node"
    if any(isinstance(relation(tree, one, other), Forked) for one in ours for other in ours):
        return Ruling(by="own", out=(), why=why)
    out = tuple(
        name
        for name, record in sound.items()
        if name not in own
        and record.head is not None
        and any(isinstance(relation(tree, record.head, head), Forked) for head in ours)
    )
    return Ruling(by="own", out=out, why=why)


def _note_reorg(state: ChainState, old: BlockRef | None, decision: Decision, now_ns: int) -> ChainState:
    """Remember a reorg with its depth, at once or when the back-fill has joined the branches."""
    new = state.head.block
    if decision.reorg is not None and old is not None and new is not None:
        return _reorged(state, decision.reorg.depth, decision.reorg.ancestor, old, new, now_ns)
    unjoined = decision.unjoined or state.unjoined
    if unjoined is None or new is None:
        return state
    is_lower = decision.unjoined is not None and new.number < unjoined.number
    if is_lower and not apart(state.tree, unjoined, new):
        # Out of reach: no header will ever join the two, and what was held is not on the chain any more.
        return _reorged(state, BACKFILL, None, unjoined, new, now_ns)
    match relation(state.tree, unjoined, new):
        case Forked(depth=depth, ancestor=ancestor):
            return _reorged(state, depth, ancestor, unjoined, new, now_ns)
        case Unlinked() if is_bridgeable(state.tree, unjoined, new):
            return evolve(state, unjoined=unjoined)
        case Unlinked() if (depth := apart(state.tree, unjoined, new)) >= BACKFILL:
            # As far as anybody looks back the branches do not meet: it is a reorg, and no gap that hides one chain.
            above = max(0, unjoined.number - new.number)  # replaced as well, by nothing yet
            return _reorged(state, depth + above, None, unjoined, new, now_ns)
        case _:
            return evolve(state, unjoined=None)


def _reorged(
    state: ChainState, depth: int, ancestor: BlockRef | None, old: BlockRef, new: BlockRef, now_ns: int
) -> ChainState:
    number = state.reorg.number + 1 if state.reorg is not None else 1
    reorg = Reorg(depth=depth, ancestor=ancestor, old=old, new=new, at_ns=now_ns, number=number)
    return evolve(state, reorg=reorg, unjoined=None)


def judge_headers(state: ChainState, came: Iterable[Header], chain: ChainSettings) -> ChainState:
    """Note which of the headers that just came to the tree, or of their children, break a rule of the chain."""
    names = {header.hash for header in came}
    if not names:
        return state
    judged = [one for one in state.tree.headers.values() if one.hash in names or one.parent_hash in names]
    broken = {one.hash: breaches(one, parent(state.tree, one), chain) for one in judged}
    found = {name: rules for name, rules in broken.items() if rules}
    if not found:
        return state
    known = {name: broken for name, broken in state.breaches.items() if name in state.tree.headers} | found
    if len(known) <= _MOST_BREACHES:
        return evolve(state, breaches=known)
    first = _rested_on(state, known)
    rest = sorted(known.keys() - first, key=lambda name: (-state.tree.headers[name].number, name))
    kept = [*first, *rest[: max(0, _MOST_BREACHES - len(first))]]
    return evolve(state, breaches={name: known[name] for name in kept})


def _rested_on(state: ChainState, broken: Collection[str]) -> dict[str, None]:
    """Return the broken blocks that nodes' heads rest on, the nearest ones, as many of each node as of any other."""
    share = _MOST_BREACHES // max(1, len(state.nodes)) or 1
    lowest = min(state.tree.headers[name].number for name in broken)
    found: dict[str, None] = {}
    for _, record in sorted(state.nodes.items()):
        at = state.tree.headers.get(record.head.hash) if record.head is not None else None
        left = share
        while at is not None and at.number >= lowest and left:
            if at.hash in broken:
                found[at.hash] = None
                left -= 1
            at = parent(state.tree, at)
    return found
