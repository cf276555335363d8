"""What is final: the finalized blocks of the nodes counted, and what contradicts the one that was agreed.

Most contradictions show in the tree. A chain that revokes its finality while nobody looks, or over more blocks than
are kept, shows none: its finalized block is just linked to nothing. Then the nodes are asked for their block at the
height that was final before, once for each such move. Two groups that have the same block there bear the move out, two
that have another one are the violation. Without two that agree the question stays open, and the grade says so.

A contradiction that two groups bear out (in a pool of one group, that one) freezes what was final, until a person has
acknowledged it; then finalized blocks are counted anew. What one group alone says is told, and changes nothing.
"""

from collections.abc import Mapping

from tocsin.chain.agreement import Circumstances, FinalizedDecision, agree_finalized, contradicts
from tocsin.chain.count import QUORUM_GROUPS, count, distinct
from tocsin.chain.groups import Groups
from tocsin.chain.tree import BACKFILL, HeaderTree, Point, relation
from tocsin.engine.fold import header_of
from tocsin.engine.pool import groups_of, in_turn
from tocsin.engine.state import NOTHING_AGREED, ChainState, Finality, Question
from tocsin.engine.voting import voters
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.observation import by_number, number_of
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Agreement, Ahead, Conflict, Forked, Level, NodeRecord

TRIES = 3
"""How often all who may know are asked about one move; after that the next move asks again."""

AGAIN_POLLS = 30
"""A question is put at most once in so many polls: on a fast chain every poll brings a move that links to nothing."""

_PATIENCE_POLLS = 3
_MOST_ASKED = 8
"""Nodes that are asked at one try."""

REVOKED = "finality was revoked: what was final is frozen until chain.finality_violation is acknowledged"


def counted(
    state: ChainState,
    chain: ChainSettings,
    sound: Mapping[str, NodeRecord],
    circumstances: Circumstances,
    now_ns: int,
) -> ChainState:
    """Count the finalized blocks when something changed that bears on them, and note contradictions."""
    finals = {name: final for name, record in sound.items() if (final := _final(record)) is not None}
    known = state.finality
    has_reorg = state.reorg is not None and state.reorg.at_ns == now_ns
    is_same = finals == state.finals and circumstances.raised == known.raised
    if is_same and not has_reorg and not known.is_stale:
        return state
    groups, held = groups_of(chain), state.finalized
    found = agree_finalized(state.tree, finals, groups, held, now_ns, circumstances)
    now = evolve(state, finals=finals, finality=evolve(known, raised=circumstances.raised, is_stale=False))
    if known.revoked:
        return _frozen(now, found, held, held.block)
    finality, revoked = _rooted(now, groups, found.agreement.block)
    told = (*_left(state, found.agreement.block), *found.conflicts, *_dissent(finality.question))
    revoked = revoked or _borne_out(state, groups, finals, told, found.agreement.block)
    if revoked:
        block = None if found.agreement.block is None else revoked[0].against
        return _frozen(evolve(now, finality=evolve(finality, revoked=revoked, question=None)), found, held, block)
    return evolve(now, finalized=_graded(found.agreement, finality.question), conflicts=told, finality=finality)


def _frozen(state: ChainState, found: FinalizedDecision, held: Agreement, block: BlockRef | None) -> ChainState:
    """Return the chain that stays at what was final, unless groups go on on top of that block."""
    counted = found.agreement
    if not _stands(state, counted, block):
        since_ns, votes = (counted.since_ns, counted.votes) if counted.block == block else (held.since_ns, 0)
        counted = evolve(counted, block=block, since_ns=since_ns, votes=votes, grade=Grade.SPLIT, explanation=REVOKED)
    finality = evolve(state.finality, rooted=counted.block)
    return evolve(state, finalized=counted, conflicts=found.conflicts, finality=finality)


def _stands(state: ChainState, counted: Agreement, block: BlockRef | None) -> bool:
    if counted.block is None or block is None or counted.votes < min(QUORUM_GROUPS, counted.groups):
        return False
    return _is_on(state.tree, counted.block, block)


def released(state: ChainState) -> ChainState:
    """Return the chain after a person has judged a violation: finalized blocks are counted as if for the first time."""
    if not state.finality.revoked:
        return state
    return evolve(state, finalized=NOTHING_AGREED, conflicts=(), finality=Finality(is_stale=True))


def anew(finality: Finality) -> Finality:
    """Return what is known of finality where watching begins anew: whoever was asked will not answer any more."""
    return evolve(finality, question=None, next_ns=0, is_stale=True)


def _final(record: NodeRecord) -> BlockRef | None:
    """Return what a node calls final; nothing where it is above its own head by more than comes while it is asked.

    The agreed block never goes down: one that is not there yet would stand until the chain has passed it.
    """
    final, head = record.finalized, record.head
    return None if final is None or head is None or final.number > head.number + BACKFILL else final


def _graded(counted: Agreement, question: Question | None) -> Agreement:
    """Return the agreement with less than a quorum where nobody bears out what it stands on."""
    if question is None or not question.is_open or counted.grade is Grade.SPLIT:
        return counted
    why = f"not known to stand on block {question.held.number}, which was final before: no two groups told alike"
    grade = Grade.UNCORROBORATED if counted.grade in (Grade.QUORUM, Grade.MAJORITY) else counted.grade
    return evolve(counted, grade=grade, explanation=why)


def _left(state: ChainState, final: BlockRef | None) -> tuple[Conflict, ...]:
    """Return the contradiction of an agreed head that is not on the chain of the finalized block."""
    head = state.head.block
    if head is None or final is None or not isinstance(relation(state.tree, head, final), Forked):
        return ()
    return (Conflict(node="", block=head, against=final),)


# -- whether what is final stands on what was


def _rooted(state: ChainState, groups: Groups, tip: BlockRef | None) -> tuple[Finality, tuple[Conflict, ...]]:
    """Return how far down it is known what the finalized block stands on, and what contradicts that for certain."""
    known = state.finality
    base, question = known.rooted, known.question
    if tip is None or base is None:
        return evolve(known, rooted=tip, question=None), ()
    if question is not None and (answer := _answer(question, groups)) is not None:
        if answer != question.held.hash:
            return known, _deniers(question, answer)
        base, question = question.claim, None
    if _is_on(state.tree, tip, base):
        return evolve(known, rooted=tip, question=None), ()
    if contradicts(state.tree, tip, base):
        who = sorted(name for name, final in state.finals.items() if contradicts(state.tree, final, base))
        return known, tuple(Conflict(node=name, block=state.finals[name], against=base) for name in who)
    if question is None or (question.claim != tip and question.tries == TRIES and not question.asked):
        said = {} if question is None else question.shown
        question = Question(held=base, claim=tip, shown=said, is_open=question is not None)
    elif not question.tries and question.claim != tip:
        question = evolve(question, claim=tip)  # nobody was asked yet
    return evolve(known, rooted=base, question=question), ()


def _answer(question: Question, groups: Groups) -> str | None:
    """Return the hash that two groups (or the only one) name; another one goes before the one that was final."""
    named = _named(question, groups)
    sure = [name for name, count in sorted(named.items()) if count >= _least(groups)]
    return min(sure, key=lambda name: (name == question.held.hash, name), default=None)


def _named(question: Question, groups: Groups) -> dict[str, int]:
    """Return how many groups name each hash."""
    named: dict[str, int] = {}
    for group in groups.groups:
        for shown in {question.shown[name] for name in group.nodes if name in question.shown}:
            named[shown] = named.get(shown, 0) + 1
    return named


def _is_on(tree: HeaderTree, block: Point, base: Point) -> bool:
    return isinstance(relation(tree, block, base), Level | Ahead)


def _least(groups: Groups) -> int:
    return min(QUORUM_GROUPS, len(groups.groups))


def _deniers(question: Question, answer: str) -> tuple[Conflict, ...]:
    block = BlockRef(number=question.held.number, hash=answer)
    who = sorted(name for name, shown in question.shown.items() if shown == answer)
    return tuple(Conflict(node=name, block=block, against=question.held) for name in who)


def _dissent(question: Question | None) -> tuple[Conflict, ...]:
    """Return what nodes have said against the block that was final, where not two groups told alike."""
    if question is None or not question.is_open:
        return ()
    others = sorted({shown for shown in question.shown.values() if shown != question.held.hash})
    return tuple(conflict for shown in others for conflict in _deniers(question, shown))


def _borne_out(
    state: ChainState,
    groups: Groups,
    finals: Mapping[str, BlockRef],
    conflicts: tuple[Conflict, ...],
    agreed: BlockRef | None,
) -> tuple[Conflict, ...]:
    """Return the conflicts if not one group alone stands for them.

    Two groups have to share a block that contradicts the one that was final; before anything was, two of them each of
    two such blocks. The agreed head counts for the groups that agreed on it.
    """
    if any(not conflict.node for conflict in conflicts):
        return conflicts
    who = {conflict.node for conflict in conflicts if conflict.node in finals}
    if not who:
        return ()
    votes = [vote for _, vote in count(state.tree, {name: finals[name] for name in who}, groups, raised=False).votes]
    shared = [
        block for block in distinct(votes) if sum(_is_on(state.tree, vote, block) for vote in votes) >= _least(groups)
    ]
    against = shared if agreed is None else [agreed]
    return conflicts if any(contradicts(state.tree, one, other) for one in shared for other in against) else ()


# -- asking


def plan(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return what nodes are asked for their block at the height that was final, and the state that waits for it."""
    known = state.finality
    question = known.question
    if question is None or (question.asked and now_ns - question.asked_ns < _PATIENCE_POLLS * chain.poll_ns):
        return state, ()
    if not question.turns and now_ns < known.next_ns:
        return state, ()
    names = _next(state, chain, question)
    if not names or (question.tries == TRIES and not question.turns):
        # Nobody is left to ask: from the next count on the grade says that the question is open.
        ended = evolve(question, turns=(), asked={}, is_open=True)
        return _with(state, question=ended, is_stale=not question.is_open), ()
    fetches = tuple(
        Fetch(request=request + at, chain=chain.name, node=name, call=by_number(question.held.number))
        for at, name in enumerate(names, 1)
    )
    begins = not question.turns
    asked = evolve(
        question,
        asked={str(fetch.request): fetch.node for fetch in fetches},
        asked_ns=now_ns,
        turns=(*question.turns, *names),
        tries=question.tries + begins,
    )
    next_ns = now_ns + AGAIN_POLLS * chain.poll_ns if begins else known.next_ns
    return _with(state, question=asked, next_ns=next_ns), fetches


def _with(state: ChainState, **changes: object) -> ChainState:
    return evolve(state, finality=evolve(state.finality, **changes))


def _next(state: ChainState, chain: ChainSettings, question: Question) -> list[str]:
    """Return who is asked next: nodes that call the new block final, of as many groups as lack for an answer.

    Groups that have said nothing yet go first.
    """
    groups = groups_of(chain)
    group_of = {name: group.id for group in groups.groups for name in group.nodes}
    heard = {group_of[name] for name in question.shown if name in group_of}
    sound = voters(state, chain)
    able = [name for name in in_turn(chain) if name not in question.turns and _may_know(sound.get(name), question)]
    lacking = _least(groups) - max(_named(question, groups).values(), default=0)
    chosen: dict[str, str] = {}
    for name in sorted(able, key=lambda name: group_of[name] in heard):
        chosen.setdefault(group_of[name], name)
    return list(chosen.values())[: min(lacking, _MOST_ASKED - len(question.turns))]


def _may_know(record: NodeRecord | None, question: Question) -> bool:
    """Tell whether a node answers, and calls a block at least as high as the new one final: what is below is so too."""
    if record is None or record.missed:
        return False
    final = _final(record)
    return final is not None and final.number >= question.claim.number


def take(finality: Finality, event: Fetched, chain: ChainSettings) -> Finality:
    """Return what is known of finality after one more answer. Another block than asked for is none."""
    question = finality.question
    if question is None or question.asked.get(str(event.request)) != event.node:
        return finality
    left = {request: node for request, node in question.asked.items() if request != str(event.request)}
    result = event.part.result if event.part is not None else None
    header = header_of(result, chain.hashes_as_ethereum) if result is not None else None
    shown = question.shown
    if isinstance(header, Header) and header.number == question.held.number == number_of(event.call):
        is_sound = header.verification is not Verification.MISMATCH
        shown = {**shown, event.node: header.hash} if is_sound else shown
    return evolve(finality, question=evolve(question, asked=left, shown=shown), is_stale=True)
