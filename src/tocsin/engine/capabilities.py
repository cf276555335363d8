"""Learning what each node can answer: one question at a time, asked when the node is well, answered into its record.

What is promised nowhere has to be tried: pinning by hash, proofs, how far back state, headers and receipts go. A search
ends in a handful of questions; after that one or two every ten minutes tell whether its result still holds. A result is
kept as a whole when its search ends, so that nobody ever sees half of one.
"""

from collections.abc import Mapping
from typing import Any, Final

from tocsin.chain.nodelife import NodeLife, NodeState
from tocsin.clock import NS
from tocsin.engine.quantity import amount_of, json_of, quantity_of
from tocsin.engine.reach import (
    FIRST_BLOCK,
    Verdict,
    depth_at,
    ended,
    is_news,
    narrowed,
    next_depth,
)
from tocsin.engine.state import ChainState, Survey
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.observation import Part, RpcErrorKind
from tocsin.model.question import OFFERED, PINS, Ability, asked, question
from tocsin.model.settings import ChainSettings
from tocsin.model.traits import Capabilities, Reach
from tocsin.model.view import NodeRecord

PER_TICK: Final = 4
"""Questions that one tick asks at most, of different nodes."""

_START_NS: Final = 30 * NS
_APART_NS: Final = 3 * NS
"""A node is tried first this long after it was seen first, each a little after the one before it."""
_PATIENCE_NS: Final = 60 * NS
"""A question that brought nothing for so long is lost: the daemon was restarted meanwhile."""
_AGAIN_NS: Final = 10 * NS
"""How soon a node that cannot be asked now is looked at again."""

_STATE_NS: Final = 600 * NS
_HISTORY_NS: Final = 3600 * NS
_RARELY_NS: Final = 6 * 3600 * NS
"""For what the node does not know, and for what it says of itself."""
_CONFIRM_NS: Final = 60 * NS
"""A loss is looked at again so soon."""
_WIDEN_NS: Final = 3600 * NS
"""How often it is tried whether the node now reaches further: pruned nodes gather history."""

_PERIODS: Final[Mapping[str, int]] = {
    OFFERED: _RARELY_NS,
    Ability.STATE.value: _STATE_NS,
    Ability.PROOFS.value: _STATE_NS,
    Ability.PIN_OBJECT.value: _HISTORY_NS,
    Ability.PIN_HASH.value: _HISTORY_NS,
    Ability.HEADERS.value: _HISTORY_NS,
    Ability.RECEIPTS.value: _HISTORY_NS,
}
"""In the order in which they are tried."""

_MOST: Final = {Ability.PROOFS.value: 127}
"""Blocks below the head beyond which something is not tried. A proof of old state can take the whole memory of a node
that has it (reth #15142), and nobody needs one below the finalized block."""

_LATEST: Final = "latest"
NO_BLOCK: Final = "0x" + "70c5" * 16
"""A hash of no block. Who answers for it resolves hashes to something else (early erigon: erigon #2226)."""

_OFFERS: Final = {
    "state": Ability.STATE,
    "stateproofs": Ability.PROOFS,
    "blocks": Ability.HEADERS,
    "receipts": Ability.RECEIPTS,
}
"""Names in `eth_capabilities` (execution-apis src/eth/capabilities.yaml)."""

_UNSURE: Final = frozenset(
    {
        RpcErrorKind.RATE_LIMITED,
        RpcErrorKind.TIMEOUT,
        RpcErrorKind.SYNCING,
        RpcErrorKind.AUTH,
        RpcErrorKind.BATCH_LIMIT,
    }
)


def plan(
    state: ChainState, chain: ChainSettings, now_ns: int, request: int
) -> tuple[Mapping[str, Survey], int, tuple[Fetch, ...]]:
    """Return where each node's survey stands, when it is worth to plan again, and what is asked now."""
    if now_ns < state.survey_due_ns:
        return state.surveys, state.survey_due_ns, ()
    surveys: dict[str, Survey] = {}
    fetches: list[Fetch] = []
    due_ns = now_ns + _STATE_NS
    for at, node in enumerate(chain.nodes):
        survey = state.surveys.get(node.name) or Survey(next_ns=now_ns + _START_NS + at * _APART_NS)
        survey, call, next_ns = _next(survey, state.nodes[node.name], state.lives.get(node.name), now_ns)
        if call is not None and len(fetches) < PER_TICK:
            request += 1
            survey = evolve(survey, call=call, request=request, asked_ns=now_ns)
            fetches.append(Fetch(request=request, chain=chain.name, node=node.name, call=call))
            next_ns = now_ns + _PATIENCE_NS
        surveys[node.name] = survey
        due_ns = min(due_ns, next_ns)
    return surveys, due_ns, tuple(fetches)


def _next(survey: Survey, record: NodeRecord, life: NodeLife | None, now_ns: int) -> tuple[Survey, str | None, int]:
    """Return the survey, the question to ask now, if any, and otherwise when to look again."""
    if survey.call and now_ns - survey.asked_ns < _PATIENCE_NS:
        return survey, None, survey.asked_ns + _PATIENCE_NS
    if now_ns < survey.next_ns:
        return survey, None, survey.next_ns
    if record.head is None or record.head.number <= FIRST_BLOCK or not _is_well(record, life):
        return survey, None, now_ns + _AGAIN_NS
    subject = survey.subject
    if not subject:
        subject = next((name for name in _PERIODS if survey.due.get(name, 0) <= now_ns), "")
        if not subject:
            return survey, None, now_ns + _AGAIN_NS
        survey = evolve(survey, subject=subject, stage=0, working=record.capabilities.reach.get(subject, Reach()))
    survey = evolve(survey, head=record.head.number)
    return survey, _question(survey, record.head.hash, record.capabilities), now_ns


def _is_well(record: NodeRecord, life: NodeLife | None) -> bool:
    """Tell whether a node may be bothered: it answers, and nothing worse is known than what this may be about."""
    state = life.state if life is not None else NodeState.INIT
    return record.missed == 0 and record.corrupt is None and state in (NodeState.HEALTHY, NodeState.DEGRADED)


def _question(survey: Survey, head_hash: str, known: Capabilities) -> str:
    if survey.subject == OFFERED:
        return OFFERED
    ability = Ability(survey.subject)
    if ability in PINS:
        return question(ability, NO_BLOCK if survey.stage else head_hash)
    depth = _depth(survey, known)
    if depth == 0 and ability in (Ability.STATE, Ability.PROOFS):
        # Not by number: with a window of no blocks the head may be too old when the question arrives (reth).
        return question(ability, _LATEST)
    return question(ability, max(FIRST_BLOCK, survey.head - depth))


def _depth(survey: Survey, known: Capabilities) -> int:
    """Return the depth to try: at first that which was answered last time, then what the search wants."""
    reach = survey.working
    if survey.stage == 0 and reach.depth is not None:
        return survey.head - FIRST_BLOCK if reach.whole else reach.depth
    return _onward(survey, known) or 0


def _onward(survey: Survey, known: Capabilities) -> int | None:
    """Return the depth that the search wants next, None when it is over."""
    return next_depth(survey.working, survey.head, _claimed(survey, known), _MOST.get(survey.subject))


def _claimed(survey: Survey, known: Capabilities) -> int | None:
    oldest = known.offered.get(survey.subject)
    return None if oldest is None else depth_at(survey.head, max(FIRST_BLOCK, oldest))


def take(surveys: Mapping[str, Survey], record: NodeRecord, event: Fetched) -> tuple[Mapping[str, Survey], NodeRecord]:
    """Return the surveys and the node's record after an answer; one that nobody waits for changes nothing."""
    survey = surveys.get(event.node)
    if survey is None or not survey.call or (survey.call, survey.request) != (event.call, event.request):
        return surveys, record
    survey = evolve(survey, call="")
    if survey.subject == OFFERED:
        survey, record = _offered(survey, record, event)
    elif Ability(survey.subject) in PINS:
        survey, record = _pinned(survey, record, event)
    else:
        survey, record = _reached(survey, record, event)
    return {**surveys, event.node: survey}, record


def _offered(survey: Survey, record: NodeRecord, event: Fetched) -> tuple[Survey, NodeRecord]:
    said = json_of(event.part.result) if event.part is not None else None
    offered = _claims(said) if isinstance(said, dict) else {}
    survey = _rest(survey, event.t_ns, _PERIODS[OFFERED])
    if offered == record.capabilities.offered:
        return survey, record
    return survey, evolve(record, capabilities=evolve(record.capabilities, offered=offered))


def _claims(said: dict[str, Any]) -> dict[str, int]:
    claims = {}
    for name, ability in _OFFERS.items():
        entry = said.get(name)
        oldest = quantity_of(entry.get("oldestBlock")) if isinstance(entry, dict) else None
        if oldest is not None and isinstance(entry, dict) and entry.get("disabled") is not True:
            claims[ability.value] = oldest
    return claims


def _pinned(survey: Survey, record: NodeRecord, event: Fetched) -> tuple[Survey, NodeRecord]:
    """Believe in a pin that answers for the head, and does not for a block that nobody has."""
    verdict = judge(event.part, event.call, record)
    if verdict is Verdict.GOOD and survey.stage == 0:
        return evolve(survey, stage=1), record
    rest = _rest(survey, event.t_ns, _PERIODS[survey.subject])
    is_unsure = verdict is Verdict.UNSURE or (survey.stage == 0 and _is_elsewhere(event.part))
    if is_unsure:
        return rest, record
    can = survey.stage == 1 and verdict is not Verdict.GOOD
    known = record.capabilities
    if known.pins.get(survey.subject) is can:
        return rest, record
    pins = {**known.pins, survey.subject: can}
    return rest, evolve(record, capabilities=evolve(known, pins=pins, number=known.number + 1))


def _is_elsewhere(part: Part | None) -> bool:
    """Tell whether the head that was pinned is not the node's head any more: that says nothing of the ability."""
    return part is not None and part.error is not None and part.error.kind is RpcErrorKind.NOT_FOUND


def _reached(survey: Survey, record: NodeRecord, event: Fetched) -> tuple[Survey, NodeRecord]:
    verdict = judge(event.part, event.call, record)
    period = _PERIODS[survey.subject]
    if verdict is Verdict.UNSURE:
        return _rest(survey, event.t_ns, _RARELY_NS if _is_limited(event.part) else period), record
    _, where = asked(event.call) or (None, _LATEST)
    is_latest = where == _LATEST
    depth = 0 if is_latest else depth_at(survey.head, int(where))
    # A result that does not hold any more is no floor to search from.
    base = survey.working if survey.stage else evolve(survey.working, depth=None)
    working = narrowed(base, depth, verdict, whole=not is_latest and int(where) <= FIRST_BLOCK)
    survey = _stepped(survey, working, verdict, event.t_ns)
    if survey.stage and _onward(survey, record.capabilities) is not None:
        return survey, record
    known = record.capabilities
    before = known.reach.get(survey.subject, Reach())
    after = ended(survey.working, before, event.t_ns)
    period = _RARELY_NS if after.missing else period
    period = _CONFIRM_NS if after.lost_ns == event.t_ns else period
    number = known.number + 1 if is_news(after, before) else known.number
    reach = {**known.reach, survey.subject: after}
    is_short = any(each.lost_ns is not None for each in reach.values())
    known = evolve(known, reach=reach, number=number, is_short=is_short)
    return _rest(survey, event.t_ns, period), evolve(record, capabilities=known)


def _is_limited(part: Part | None) -> bool:
    """Tell whether this question alone hit a rate limit: then its answer is not worth a pause of the polls."""
    return part is not None and part.error is not None and part.error.kind is RpcErrorKind.RATE_LIMITED


def _stepped(survey: Survey, working: Reach, verdict: Verdict, t_ns: int) -> Survey:
    """Go on from what was tried: a reach that still holds is searched on only where more is to be found."""
    if survey.stage or verdict is not Verdict.GOOD:
        return evolve(survey, working=working, stage=1)
    short = working.best is not None and working.lost_ns is not None
    wide_ns = survey.widened.get(survey.subject, 0)
    if working.limit is not None and not short and t_ns - wide_ns < _WIDEN_NS:
        return evolve(survey, working=working)
    return evolve(
        survey,
        working=evolve(working, limit=None),
        stage=1,
        widened={**survey.widened, survey.subject: t_ns},
    )


def _rest(survey: Survey, t_ns: int, period_ns: int) -> Survey:
    """End the search of one subject until its next time."""
    due = {**survey.due, survey.subject: t_ns + period_ns}
    next_ns = min(due.get(name, 0) for name in _PERIODS)
    return evolve(survey, subject="", stage=0, working=Reach(), due=due, next_ns=next_ns)


def judge(part: Part | None, call: str, record: NodeRecord) -> Verdict:
    """Say what an answer tells about what was tried. Any bytes give a verdict."""
    trial = asked(call)
    if part is None or trial is None:
        return Verdict.UNSURE
    if part.error is not None:
        if part.error.kind is RpcErrorKind.METHOD_MISSING:
            return Verdict.MISSING
        return Verdict.UNSURE if part.error.kind in _UNSURE else Verdict.REFUSED
    ability, where = trial
    value = json_of(part.result)
    if value is None:
        return Verdict.REFUSED
    match ability:
        case Ability.PROOFS:
            proof = value.get("accountProof") if isinstance(value, dict) else None
            return Verdict.GOOD if isinstance(proof, list) and proof else Verdict.REFUSED
        case Ability.HEADERS:
            number = quantity_of(value.get("number")) if isinstance(value, dict) else None
            return Verdict.GOOD if number is not None and str(number) == where else Verdict.REFUSED
        case Ability.RECEIPTS:
            return _of_receipts(value, where)
        case _:
            return _of_balance(amount_of(value), where, record)


def _of_receipts(value: object, where: str) -> Verdict:
    if not isinstance(value, dict) or type(value.get("receipts")) is not int:
        return Verdict.REFUSED
    number = quantity_of(value.get("blockNumber"))
    return Verdict.GOOD if value["receipts"] == 0 or str(number) == where else Verdict.REFUSED


def _of_balance(amount: int | None, where: str, record: NodeRecord) -> Verdict:
    if amount is None:
        return Verdict.REFUSED
    # Besu may answer for state that it has not (any more) as for an empty account (besu #6926).
    is_besu = (record.vitals.client or "").lower().startswith("besu/")
    return Verdict.REFUSED if amount == 0 and is_besu and where.isdecimal() else Verdict.GOOD
