"""Feeds: what is read of each at a block, what that says of its price, and how it stands beside the others.

A price counts as a contract's value does: on a quorum of nodes, at one block, and only while that block is on the
chain. Its age is measured in the chain's own time, from the answer's time to the block's: a feed on a chain that stands
still is no older for it, and our clock is no witness.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tocsin.chain import consensus, rounds
from tocsin.clock import NS
from tocsin.engine import feedcalls, gateways, pinning
from tocsin.engine.facts import Fact, is_known
from tocsin.engine.feedcalls import Told, subject
from tocsin.engine.labels import feed_labels
from tocsin.engine.readback import NO_CODE, code_subject
from tocsin.engine.state import ChainState
from tocsin.model.alert import Subject
from tocsin.model.block import BlockRef, Header
from tocsin.model.contract import Known
from tocsin.model.evolve import evolve
from tocsin.model.feed import (
    RATES,
    ROUNDS,
    FeedKind,
    FeedRecord,
    FeedSettings,
    FeedView,
    GatewayRecord,
    Quote,
    Reading,
    Role,
    Round,
)
from tocsin.model.price import fraction
from tocsin.model.reading import Item
from tocsin.model.settings import ChainSettings, Settings
from tocsin.units import span_text

_STALE_PACES: Final = 5
_LOST_PACES: Final = 25
"""A feed that was not read for so many block times (or polls, where those are longer) is not known any more."""

_TOO_OLD: Final = 2
"""Heartbeats after which an answer is no voice among the sources of a price."""


# -- what is read


def items(chain: ChainSettings, known: Mapping[str, FeedRecord], facts: Mapping[str, str]) -> Iterable[Item]:
    """Yield what is read of the feeds of a chain."""
    for one in chain.feeds:
        yield from feedcalls.items(one, record_of(known, one), facts)


def record_of(known: Mapping[str, FeedRecord], one: FeedSettings) -> FeedRecord:
    """Return what is known of a feed as it is configured now."""
    found = known.get(one.name)
    return found if found is not None and found.identity == one.identity else FeedRecord(identity=one.identity)


# -- what it says


def read(
    state: ChainState, chain: ChainSettings, facts: Mapping[str, Fact], block: BlockRef, now_ns: int
) -> ChainState:
    """Return the chain after its feeds were read at a block."""
    header = state.tree.headers.get(block.hash)
    if header is None or not chain.feeds:
        return state
    sure = {name: fact for name, fact in facts.items() if is_known(fact.grade, state.head.groups)}
    said = {name: fact.value for name, fact in sure.items() if fact.value is not None}
    at_s = header.timestamp
    feeds = {
        one.name: _read(_standing(record_of(state.feeds, one), state), one, facts, said, block, at_s, now_ns)
        for one in chain.feeds
    }
    return evolve(state, feeds=feeds)


def _standing(record: FeedRecord, state: ChainState) -> FeedRecord:
    """Return what is known of a feed without what rests on a block that was replaced."""
    head, final = state.head.block, state.finalized.block
    if head is None:
        return record
    floor = final.number if final is not None else -1

    def is_gone(block: BlockRef) -> bool:
        return block.number > floor and pinning.is_replaced(state, head, block)

    kept = tuple([one for one in record.rounds if not is_gone(one.block)])
    regress = record.regress
    if regress is not None and (is_gone(regress.after.block) or is_gone(regress.before.block)):
        regress = None
    if len(kept) == len(record.rounds) and regress is record.regress:
        return record
    return evolve(record, rounds=kept, regress=regress)


def _read(
    record: FeedRecord,
    one: FeedSettings,
    facts: Mapping[str, Fact],
    said: feedcalls.Said,
    block: BlockRef,
    at_s: int,
    now_ns: int,
) -> FeedRecord:
    was_due, decimals = feedcalls.is_due(one, record), record.fixed.get("decimals")
    fixed = {**record.fixed, **feedcalls.fixed_of(one, said)}
    record = evolve(record, fixed=fixed, samples=record.samples + 1, block=block, read_ns=now_ns)
    call = feedcalls.main(one, fixed)
    fact = facts.get(subject(one.address, call)) if call else None
    is_there = said.get(code_subject(one.address)) != NO_CODE
    if fact is None or fact.value is None or subject(one.address, call) not in said or not is_there:
        return _unknown(record, one, facts, said, block, fact)
    if feedcalls.is_moved(one, record, said):
        if subject(one.address, feedcalls.DECIMALS) not in said:
            return evolve(record, problem="it has another aggregator, whose decimals are not known yet")
        if not was_due:  # the bounds that are known are those of the one before
            record = evolve(record, fixed={**fixed, "low": "", "high": ""})
    elif not was_due and fixed.get("decimals") != decimals:
        fixed = feedcalls.without_bounds(fixed)
        record = evolve(record, fixed=fixed)
    told = feedcalls.told(one, fixed, fact.value, said)
    if not told.value:
        is_wrong = told.is_wrong or bool(feedcalls.silent(one, fixed, said))
        wrong = _contradiction(fact, told.problem, block) if is_wrong else None
        return evolve(record, problem=told.problem[:300], wrong=wrong)
    if told.round is not None and subject(one.address, feedcalls.DECIMALS) in said:
        record = evolve(record, fixed_round=str(told.round))
    record = _followed(record, one, told, feedcalls.between(one, fixed, record, told.round or 0, said), block, at_s)
    if told.round is not None and was_due:
        record = evolve(record, fixed_phase=str(rounds.phase_of(told.round)))
    latest = Reading(
        value=told.value,
        block=block,
        at_s=at_s,
        grade=fact.grade,
        votes=fact.votes,
        groups=fact.groups,
        round="" if told.round is None else str(told.round),
        updated_s=told.updated_s if one.kind in ROUNDS else None,
        started_s=told.started_s if one.kind in ROUNDS else None,
        liquidity="" if told.liquidity is None else str(told.liquidity),
    )
    return evolve(record, latest=latest, problem=(told.problem or _odd(one, told, at_s))[:300], wrong=None)


def contradiction(one: FeedSettings, facts: Mapping[str, Fact], header: Header) -> str:
    """Return what of these facts, of one group, contradicts what is configured of a feed; empty for nothing."""
    said = {name: fact.value for name, fact in facts.items() if fact.value is not None}
    record = _read(FeedRecord(identity=one.identity), one, facts, said, header.ref, header.timestamp, 0)
    return record.wrong.value if record.wrong is not None else ""


def _unknown(
    record: FeedRecord,
    one: FeedSettings,
    facts: Mapping[str, Fact],
    said: feedcalls.Said,
    block: BlockRef,
    fact: Fact | None,
) -> FeedRecord:
    """Return what is known of a feed of which nobody tells the price."""
    code, wrong = code_subject(one.address), None
    lacks, silent = feedcalls.lacking(one, record.fixed), feedcalls.silent(one, record.fixed, said)
    problem = f"no node tells its {', its '.join(lacks) or 'price'}: check the address"
    if said.get(code) == NO_CODE:
        problem = f"there is no code at {one.address} on this chain: check the address"
        wrong = _contradiction(facts[code], problem, block)
    elif fact is not None:
        problem = (fact.why or fact.grade.value)[:300]
    elif silent:
        problem = feedcalls.unreadable(lacks)
        wrong = _contradiction(facts[silent[0]], problem, block)
    return evolve(record, problem=problem, wrong=wrong)


def _contradiction(fact: Fact, said: str, block: BlockRef) -> Known:
    return Known(value=said[:300], grade=fact.grade, block=block, votes=fact.votes, groups=fact.groups)


def _odd(one: FeedSettings, told: Told, at_s: int) -> str:
    """Return what is odd about an answer that is one."""
    if told.updated_s > at_s and one.kind in ROUNDS:
        return f"its answer is of {span_text((told.updated_s - at_s) * NS)} after the block"
    if one.kind is not FeedKind.SEQUENCER and fraction(told.value) <= 0:
        return f"it answers {told.value}, which is no price"
    return ""


def _followed(
    record: FeedRecord, one: FeedSettings, told: Told, between: Iterable[Told], block: BlockRef, at_s: int
) -> FeedRecord:
    """Return what is known of the rounds of a feed, or of the readings of a rate."""
    if one.kind in RATES:
        sample = Round(number=str(block.number), answer=told.value, updated_s=at_s, started_s=at_s, block=block)
        return rounds.sampled(record, sample)
    if told.round is None:
        return record
    return rounds.followed(record, *(_round(each, block) for each in (*between, told)))


def _round(told: Told, block: BlockRef) -> Round:
    return Round(
        number=str(told.round),
        answer=told.value,
        updated_s=told.updated_s,
        started_s=told.started_s,
        block=block,
    )


# -- what is seen of it


def views(state: ChainState, settings: Settings, chain: ChainSettings, now_ns: int) -> tuple[FeedView, ...]:
    """Return the feeds as detectors look at them."""
    return tuple(
        _view(one, seen, settings, chain, now_ns)
        for one in chain.feeds
        if (seen := state.feeds.get(one.name)) is not None
    )


def _view(one: FeedSettings, seen: FeedRecord, settings: Settings, chain: ChainSettings, now_ns: int) -> FeedView:
    low, high = feedcalls.bounds(one, seen.fixed)
    labels = feed_labels(settings, chain, one.name)
    return FeedView(
        settings=one, labels=labels, seen=seen, is_current=is_current(seen, chain, now_ns), low=low, high=high
    )


def is_current(seen: FeedRecord, chain: ChainSettings, now_ns: int) -> bool:
    """Tell whether a feed was read lately."""
    return _unread_ns(seen, now_ns) <= _STALE_PACES * chain.pace_ns


def observed(view: FeedView, chain: ChainSettings, now_ns: int) -> Subject:
    """Return how well a feed is observed."""
    is_lost = _unread_ns(view.seen, now_ns) > _LOST_PACES * chain.pace_ns
    return Subject(sample=view.seen.samples if view.is_current else None, lost=is_lost)


def _unread_ns(seen: FeedRecord, now_ns: int) -> int:
    return now_ns - seen.read_ns if seen.read_ns is not None else 1 << 62


def age_s(seen: FeedRecord) -> int | None:
    """Return how old the answer of an aggregator was at the block at which it was read, in the chain's own time."""
    latest = seen.latest
    return None if latest is None or latest.updated_s is None else max(0, latest.at_s - latest.updated_s)


# -- beside each other


def quotes(
    state: ChainState, chain: ChainSettings, known: Mapping[str, GatewayRecord], now_ns: int, wall_ns: int
) -> tuple[Quote, ...]:
    """Return what all sources say of the prices that feeds of a chain have, and whether that can be used."""
    own = [
        _quote(one, seen, chain, now_ns)
        for one in chain.feeds
        if one.prices and (seen := state.feeds.get(one.name)) is not None and seen.latest is not None
    ]
    return (*own, *gateways.quotes(chain, known, wall_ns))


def _quote(one: FeedSettings, seen: FeedRecord, chain: ChainSettings, now_ns: int) -> Quote:
    latest = seen.latest
    why = seen.problem
    if not is_current(seen, chain, now_ns):
        why = "it was not read lately"
    elif not why and one.heartbeat_ns and (age_s(seen) or 0) * NS >= _TOO_OLD * one.heartbeat_ns:
        why = "its answer is too old"
    value = latest.value if latest is not None else ""
    return Quote(
        source=one.name,
        prices=one.prices,
        provider=one.provider,
        role=one.role,
        value=value,
        is_usable=not why,
        why=why,
    )


def market(all_: Iterable[Quote], prices: str) -> consensus.Consensus:
    """Return what the market says of a price."""
    return consensus.agreed(all_, prices, Role.MARKET)


# -- what stays


def kept(known: Mapping[str, FeedRecord], chain: ChainSettings) -> Mapping[str, FeedRecord]:
    """Return what is known under a configuration: of feeds that stay what they are."""
    return {
        one.name: seen
        for one in chain.feeds
        if (seen := known.get(one.name)) is not None and seen.identity == one.identity
    }


def changed(before: ChainSettings | None, after: ChainSettings) -> frozenset[str]:
    """Return the names of feeds that are not the same ones any more: what was said of them is of others."""
    were = {one.name: one.identity for one in before.feeds} if before is not None else {}
    return frozenset(one.name for one in after.feeds if were.get(one.name, one.identity) != one.identity)
