"""Heads of a chain that is faster than its polls, compared at the lowest height that they have in common.

Two honest nodes that are asked within one poll are some blocks apart, and none of the headers between was ever shown.
To fetch them all would cost a call for each block of the chain. Instead each node is asked once in a poll for its block
at one height that it must have. Equal hashes there are an agreement, and nothing more is asked; different ones are a
mismatch, and only then the back-fill looks for the place where the branches part.

What a node says it has at a height is its vote and nobody else's, as its head is.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from tocsin.chain.count import needed
from tocsin.chain.groups import Group
from tocsin.chain.tree import Point, relation
from tocsin.engine.fold import header_of
from tocsin.engine.pool import groups_of
from tocsin.engine.state import ChainState, Round
from tocsin.engine.voting import voters
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.observation import by_number, number_of
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Ahead, Behind, Forked, Level, NodeRecord, Relation, Reorg

WITNESSES = 3
"""So many nodes of different groups are asked for a block that was agreed before."""

_CONCUR = 2
"""So many of them must say the same: one alone may lie."""

TRAIL = 32
"""How many agreed blocks are remembered, one a poll: as far back as a reorg can be measured."""


def is_fast(chain: ChainSettings) -> bool:
    """Tell whether blocks come faster than polls, so that heads are compared at a common height."""
    return chain.block_time_ns < chain.poll_ns


def take(state: Round | None, event: Fetched, chain: ChainSettings) -> tuple[Round | None, list[Header]]:
    """Return the round with one more answer, and the header that came. Another block than asked for is none."""
    number = number_of(event.call)
    if state is None or state.asked.get(str(event.request)) != event.node or number not in (state.number, state.before):
        return state, []
    left = {request: node for request, node in state.asked.items() if request != str(event.request)}
    result = event.part.result if event.part is not None else None
    header = header_of(result, chain.hashes_as_ethereum) if result is not None else None
    if not isinstance(header, Header) or header.number != number or header.verification is Verification.MISMATCH:
        return evolve(state, asked=left), []
    if number == state.number:
        return evolve(state, asked=left, shown={**state.shown, event.node: header.hash}), [header]
    return evolve(state, asked=left, kept={**state.kept, event.node: header.hash}), [header]


def concluded(state: ChainState, chain: ChainSettings, now_ns: int) -> ChainState:
    """Return the chain with the round counted that is complete, or that has waited for a poll."""
    current = state.round
    if current is None or (current.asked and now_ns - current.began_ns < chain.poll_ns):
        return state
    return evolve(state, round=None, settled=evolve(current, asked={}))


def votes(state: ChainState, chain: ChainSettings, sound: Mapping[str, NodeRecord]) -> dict[str, str]:
    """Return what each sound node votes for: its head, or on a fast chain its block at the common height."""
    if is_fast(chain) and state.settled is not None:
        return {name: shown for name, shown in state.settled.shown.items() if name in sound}
    return {name: record.head.hash for name, record in sound.items() if record.head is not None}


def witnessed(state: ChainState, chain: ChainSettings) -> tuple[BlockRef, bool] | None:
    """Return the block agreed before that the witnesses were asked for, and whether it is still on their chain.

    None where too few of them say the same.
    """
    current = state.settled
    known = None if current is None else next((one for one in state.trail if one.number == current.before), None)
    if current is None or known is None:
        return None
    least = min(_CONCUR, len(groups_of(chain).groups))
    said = Counter(current.kept.values()).most_common(1)
    if not said or said[0][1] < least:
        return None
    return known, said[0][0] == known.hash


def followed(state: ChainState, chain: ChainSettings, left: BlockRef | None, now_ns: int) -> ChainState:
    """Return the fast chain after its agreed head moved without a link, and may be on another branch.

    `left` is the head agreed before. Where witnesses say that it is not on their chain any more, it is a reorg, and one
    round after the other asks for an older block until one is found that is: the chain was cut there at the latest.
    """
    block = state.head.block
    if block is not None and (not state.trail or state.trail[-1].hash != block.hash):
        state = evolve(state, trail=(*state.trail[1 - TRAIL :], block))
    lost, told = state.unjoined or left, witnessed(state, chain)
    if lost is None or block is None or told is None:
        return state if lost is state.unjoined else evolve(state, unjoined=lost)
    known, still = told
    if still and known.number >= lost.number:
        return evolve(state, unjoined=None)
    older = [one for one in state.trail if one.number < known.number]
    if not still and older:
        return evolve(state, unjoined=lost)
    depth = lost.number - (known.number if still else known.number - 1)
    number = state.reorg.number + 1 if state.reorg is not None else 1
    reorg = Reorg(depth=depth, ancestor=known if still else None, old=lost, new=block, at_ns=now_ns, number=number)
    kept = tuple(one for one in state.trail if one.number <= known.number and still)
    return evolve(state, reorg=reorg, unjoined=None, trail=(*kept, block))


def _before(state: ChainState, chain: ChainSettings, number: int) -> int | None:
    """Return at which height witnesses are asked: of the agreed block, or in search of the end of a reorg."""
    known = [one.number for one in state.trail if one.number < number]
    if state.unjoined is None or not known:
        return known[-1] if known else None
    told = witnessed(state, chain)
    last = state.settled.before if state.settled is not None else None
    if told is not None and not told[1]:
        return next((height for height in reversed(known) if height < told[0].number), None)
    if last in known:
        return last
    return next((height for height in reversed(known) if height <= state.unjoined.number), None)


def point(state: ChainState, chain: ChainSettings, name: str) -> Point | None:
    """Return the block by which a node is placed: its head, or on a fast chain its block at the common height."""
    if is_fast(chain) and state.settled is not None:
        shown = state.settled.shown.get(name)
        return state.tree.headers.get(shown) if shown is not None else state.nodes[name].head
    return state.nodes[name].head


def points(state: ChainState, chain: ChainSettings) -> dict[str, Point]:
    """Return the blocks that are to be linked, by node in rising order.

    On a fast chain these are the blocks at the common height: heads above it are linked to nothing until the next poll.
    """
    if not is_fast(chain):
        return {name: record.head for name, record in sorted(state.nodes.items()) if record.head is not None}
    shown = state.settled.shown if state.settled is not None else {}
    found = {name: state.tree.headers.get(shown[name]) for name in sorted(shown) if name in state.nodes}
    return {name: block for name, block in found.items() if block is not None}


def relation_to(state: ChainState, chain: ChainSettings, name: str, head: Header, agreed: BlockRef) -> Relation:
    """Say how a node's head stands to the agreed block; on a fast chain by what it has at the common height."""
    at = point(state, chain, name)
    if at is None or at.hash == head.hash:
        return relation(state.tree, head, agreed)
    return _raised(relation(state.tree, at, agreed), head.number - at.number)


def _raised(found: Relation, by: int) -> Relation:
    """Return a relation of a block as that of a head so many blocks above it."""
    match found:
        case Level():
            return Ahead(by) if by > 0 else Level() if by == 0 else Behind(-by)
        case Ahead(blocks=count):
            return Ahead(count + by) if count + by > 0 else Level()
        case Behind(blocks=count):
            return Behind(count - by) if count > by else Level() if count == by else Ahead(by - count)
        case Forked(depth=depth, ancestor=ancestor):
            return Forked(max(1, depth + by), ancestor)
        case _:
            return found  # another block at one height is another branch, however far above it the head is


def plan(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return the chain with a new round, when all have been polled since the last one, and what is asked in it."""
    if not is_fast(chain) or state.round is not None:
        return state, ()
    # What a node that missed a poll showed before would hold the height down.
    sound = {name: record for name, record in voters(state, chain).items() if not record.missed}
    if not _is_due(state, chain, sound, now_ns):
        return state, ()
    heads = {name: record.head for name, record in sound.items() if record.head is not None}
    number = _height(state, chain, heads)
    if number is None:
        return state, ()
    shown = {name: head.hash for name, head in heads.items() if head.number == number}
    asked = [(name, number) for name, head in heads.items() if head.number > number]
    before = _before(state, chain, number)
    if before is not None:
        asked += [(name, before) for name in _witnesses(chain, heads, number)]
    fetches = tuple(
        Fetch(request=request + at, chain=chain.name, node=name, call=by_number(height))
        for at, (name, height) in enumerate(asked, 1)
    )
    fresh = Round(
        number=number,
        before=before,
        began_ns=now_ns,
        asked={str(fetch.request): fetch.node for fetch in fetches},
        shown=shown,
    )
    return evolve(state, round=fresh), fetches


def _is_due(state: ChainState, chain: ChainSettings, sound: Mapping[str, NodeRecord], now_ns: int) -> bool:
    """Tell whether every node was polled since the last round, or there was time enough for it."""
    last = state.settled
    if last is None or now_ns - last.began_ns >= chain.poll_ns + chain.poll_ns // 2:
        return True
    return all((record.last_answer_ns or 0) > last.began_ns for record in sound.values())


def _height(state: ChainState, chain: ChainSettings, heads: Mapping[str, Header]) -> int | None:
    """Return the lowest height of those who are about as far as a quorum is.

    One that claims to be far ahead cannot raise it alone, one that is far behind does not lower it.
    """
    groups = groups_of(chain)
    tops = sorted(_tops(groups.groups, heads), reverse=True)
    least = needed(groups)
    if len(tops) < least:
        return None
    reached = tops[least - 1]
    span = 2 * -(-chain.poll_ns // chain.block_time_ns) + 2
    number = min(head.number for head in heads.values() if head.number >= reached - span)
    held = state.head.block
    return held.number if held is not None and number < held.number <= reached else number


def _tops(groups: Iterable[Group], heads: Mapping[str, Header]) -> list[int]:
    """Return for each group that votes how high more than half of its nodes are."""
    found = []
    for group in groups:
        numbers = sorted((heads[name].number for name in group.nodes if name in heads), reverse=True)
        half = len(group.nodes) // 2
        if len(numbers) > half:
            found.append(numbers[half])
    return found


def asked_per_round(chain: ChainSettings, node: str) -> int:
    """Return how many blocks a node is asked for in a round, besides its poll, when nothing is wrong."""
    if not is_fast(chain):
        return 0
    firsts = [group.nodes[0] for group in groups_of(chain).groups]
    return 1 + (node in firsts[:WITNESSES])


def _witnesses(chain: ChainSettings, heads: Mapping[str, Header], number: int) -> list[str]:
    """Return the nodes that are asked for the block agreed before: the first one of each of the first groups."""
    firsts = (
        next((name for name in group.nodes if name in heads and heads[name].number >= number), None)
        for group in groups_of(chain).groups
    )
    return [name for name in firsts if name is not None][:WITNESSES]
