"""Watched contracts: what is read of each, what its words mean, and how it stands. What is read elsewhere is not here.

What a value is held against: `tocsin.engine.pinning`. What takes more than a slot or a call has a module of its
own: `watch_beacon`, `watch_roles` (with `watch_logs`), `watch_safe`, `watch_amounts`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tocsin.engine import pinning, watch_amounts, watch_beacon, watch_logs, watch_roles, watch_safe, words
from tocsin.engine.facts import Fact, is_known
from tocsin.engine.labels import contract_labels
from tocsin.engine.readback import NO_CODE, code_subject
from tocsin.engine.state import ChainState
from tocsin.engine.told import Page, Told, contradicted, plain
from tocsin.model.alert import Subject
from tocsin.model.block import BlockRef
from tocsin.model.contract import (
    ContractSettings,
    ContractView,
    Known,
    Layout,
    Watch,
    Watched,
    watch_of,
)
from tocsin.model.evolve import evolve
from tocsin.model.logquery import LogQuery
from tocsin.model.reading import CallOf, CodeOf, Item, LogsOf, ProofOf, SlotOf
from tocsin.model.settings import ChainSettings, Settings

_STALE_PACES: Final = 5
_LOST_PACES: Final = 25
"""A contract that was not read for so many block times (or polls, where those are longer) is not known any more."""

_APART: Final = (Watch.BEACON_IMPLEMENTATION, Watch.ROLES, Watch.SAFE, Watch.SUPPLY, Watch.BALANCE, Watch.ALLOWANCE)
"""What is read, and told, in a way of its own."""
_LONGEST_PROBLEM: Final = 300
_ADDRESS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What of older blocks says what is wanted at this one: hints by contract, and which logs are to be looked at."""

    hints: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    logs: tuple[LogQuery, ...] = ()


NOTHING: Final = Recall()
_NO_HINTS: Final[Mapping[str, tuple[str, ...]]] = {}


# -- what is read


def items(chain: ChainSettings, facts: Mapping[str, str], recall: Recall = NOTHING) -> Iterable[Item]:
    """Yield what is read of the watched contracts of a chain."""
    yield from (LogsOf(query=query) for query in recall.logs)
    for one in chain.contracts:
        yield from items_of(one, facts, recall.hints.get(one.name, _NO_HINTS))


def items_of(
    one: ContractSettings,
    facts: Mapping[str, str] = MappingProxyType({}),
    hints: Mapping[str, tuple[str, ...]] = _NO_HINTS,
) -> tuple[Item, ...]:
    """Return what is read of a contract; each thing without proof as well, since that is what others are given."""
    address = bytes.fromhex(one.address[2:])
    plain = [watch for watch in one.watches if watch not in _APART]
    keys = tuple(dict.fromkeys(bytes.fromhex(at.slot[2:]) for watch in plain if (at := one.layout(watch)) is not None))
    calls = [bytes.fromhex(name[2:]) for watch in plain if (name := one.function(watch)) is not None]
    return (
        *((ProofOf(address=address, keys=keys),) if one.is_contract else ()),
        *((CodeOf(address=address),) if Watch.CODE in one.watches else ()),
        *(SlotOf(address=address, key=key) for key in keys),
        *(CallOf(to=address, data=data) for data in calls),
        *(watch_beacon.items(one, facts) if Watch.BEACON_IMPLEMENTATION in one.watches else ()),
        *(watch_roles.items(one, facts, hints) if Watch.ROLES in one.watches else ()),
        *(watch_safe.items(one, facts) if Watch.SAFE in one.watches else ()),
        *watch_amounts.items(one, hints),
    )


# -- what it means


def read(
    state: ChainState, chain: ChainSettings, facts: Mapping[str, Fact], block: BlockRef, now_ns: int
) -> ChainState:
    """Return the chain after its contracts were read at a block."""
    watched, page = dict(state.contracts.watched), Page(facts=facts, groups=state.head.groups)
    state = evolve(state, contracts=watch_logs.noted(state, chain, page, block))
    for one in chain.contracts:
        before = watched.get(one.name) or Watched(identity=one.identity)
        watched[one.name] = _read(before, one, page, block, state, now_ns)
    return evolve(state, contracts=evolve(state.contracts, watched=watched))


def audited(state: ChainState, chain: ChainSettings, block: BlockRef) -> ChainState:
    """Return the chain after what nodes say of its contracts was held against each other at a finalized block."""
    watched = dict(state.contracts.watched)
    for one in chain.contracts:
        watched[one.name] = evolve(watched.get(one.name) or Watched(identity=one.identity), audited=block)
    return evolve(state, contracts=evolve(state.contracts, watched=watched))


def _read(
    before: Watched, one: ContractSettings, page: Page, block: BlockRef, state: ChainState, now_ns: int
) -> Watched:
    """Return what is known of a contract after one more reading of it."""
    latest, problems, wrong = dict(before.latest), [], {}
    code = page.facts.get(code_subject(one.address))
    is_there = code is None or code.value != NO_CODE or not one.is_contract
    if not is_there and code is not None:
        said = f"there is no code at {one.address} on this chain: check the address"
        problems.append(said)
        wrong = {Watch.CODE.value: known} if (known := _known(code.told(said), page, block)) is not None else {}
    is_looked = block in state.contracts.looked
    for told in _told(one, page, before, is_looked=is_looked):
        if told.why and is_there:
            problems.append(told.why)
        if (known := _known(told.fact, page, block)) is not None:
            latest[told.name] = known
        if is_there and (known := _known(told.wrong, page, block)) is not None:
            wrong[told.name] = known
    if Watch.ROLES in one.watches and (behind := watch_logs.behind(state)):
        problems.append(behind)
    known_now = _without_replaced(evolve(before, latest=latest), state)
    if known_now.gone:
        problems.append(f"known last of a block that was replaced: {', '.join(known_now.gone)}")
    after = evolve(
        known_now,
        samples=before.samples + 1,
        block=block,
        read_ns=now_ns,
        problem="; ".join(dict.fromkeys(problems))[:_LONGEST_PROBLEM],
        parts=before.parts if before.parts == one.parts else one.parts,
        hints=_hints(one, page, before.hints),
        wrong=wrong,
    )
    return pinning.pinned(after, state) if is_there or before.baseline else after


def _without_replaced(seen: Watched, state: ChainState) -> Watched:
    """Return a contract without what was read of it at blocks in whose place others are: nobody knows it any more."""
    head, final = state.head.block, state.finalized.block
    if head is None:
        return seen
    blocks = {known.block for known in seen.latest.values()}
    young = {block for block in blocks if final is None or block.number > final.number}
    replaced = {block for block in young if pinning.is_replaced(state, head, block)}
    latest = {name: known for name, known in seen.latest.items() if known.block not in replaced}
    gone = tuple(sorted({*seen.gone, *(seen.latest.keys() - latest.keys())} - latest.keys()))
    return seen if gone == seen.gone else evolve(seen, latest=latest, gone=gone)


def unread(state: ChainState, chain: ChainSettings, now_ns: int) -> ChainState:
    """Return the chain where contracts that were not read for a while are not what they were on another branch."""
    found = {
        name: after
        for name, seen in state.contracts.watched.items()
        if _age(seen, now_ns) > _STALE_PACES * chain.pace_ns and (after := _without_replaced(seen, state)) is not seen
    }
    if not found:
        return state
    return evolve(state, contracts=evolve(state.contracts, watched={**state.contracts.watched, **found}))


def _known(fact: Fact | None, page: Page, block: BlockRef) -> Known | None:
    if fact is None or fact.value is None or not is_known(fact.grade, page.groups):
        return None
    return Known(value=fact.value, grade=fact.grade, block=block, votes=fact.votes, groups=fact.groups)


def _hints(one: ContractSettings, page: Page, hints: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    if Watch.ROLES in one.watches:
        found[watch_roles.GRANTS] = watch_roles.kept(one, page, hints)
    if one.balances or one.allowances:
        found[watch_amounts.DECIMALS] = watch_amounts.kept(one, page, hints)
    return {name: texts for name, texts in found.items() if texts}


def _told(one: ContractSettings, page: Page, before: Watched, *, is_looked: bool) -> Iterator[Told]:
    """Yield each watched value as it is known."""
    for watch in one.watches:
        match watch:
            case Watch.BEACON_IMPLEMENTATION:
                yield watch_beacon.told(one, page)
            case Watch.ROLES:
                yield from watch_roles.told(one, page, before.hints, is_looked=is_looked)
            case Watch.SAFE:
                was_one = any(watch_of(name) is Watch.SAFE for name in before.baseline)
                yield from watch_safe.told(one, page, was_one=was_one)
            case Watch.SUPPLY | Watch.BALANCE | Watch.ALLOWANCE:
                continue
            case _:
                yield _value(one, watch, page)
    yield from watch_amounts.told(one, page)


def contradictions(one: ContractSettings, facts: Mapping[str, Fact]) -> tuple[str, ...]:
    """Return what of these facts, of one group, contradicts what is configured of a contract."""
    told = _told(one, Page(facts=facts, groups=1), Watched(identity=one.identity), is_looked=True)
    return tuple(each.wrong.value for each in told if each.wrong is not None and each.wrong.value)


def _value(one: ContractSettings, watch: Watch, page: Page) -> Told:
    """Return a watched value as it is known, and what is odd about it."""
    if watch is Watch.CODE:
        fact = page.facts.get(code_subject(one.address))
        return Told(name=watch.value, fact=fact, why=plain(fact, watch.value))
    layout, function = one.layout(watch), one.function(watch)
    asked = f"{one.address}:{function}" if function is not None else ""
    called = page.facts.get(asked)
    if layout is None:
        return _returned(one, watch, called)
    place = f"{one.address}:{layout.slot}"
    fact, why = page.facts.get(place), plain(page.facts.get(place), watch.value)
    if fact is None or fact.value is None:
        return Told(name=watch.value, fact=fact, why=why)
    value = stored(watch, layout, fact.value)
    if value is None:
        return Told(name=watch.value, fact=None, why=f"{watch.value}: the slot is no word")
    other = returned(watch, called.value) if called is not None and called.value is not None else None
    if other in (None, value) or not page.is_sure(asked):
        return Told(name=watch.value, fact=fact.told(value), why=why)
    why = f"{_function(one, watch)} returns {other}, and the slot holds {value}: check the slot in the configuration"
    return contradicted(watch.value, fact.told(value), page.joined([place, asked], why), why)


def _returned(one: ContractSettings, watch: Watch, called: Fact | None) -> Told:
    """Return a value that a function tells, and no slot."""
    if called is None or called.value is None:
        return Told(name=watch.value, fact=None, why=plain(called, watch.value))
    value = returned(watch, called.value)
    if value is not None:
        return Told(name=watch.value, fact=called.told(value), why=plain(called, watch.value))
    why = f"{_function(one, watch)} returns no such value; tell its slot, or do not watch it"
    return contradicted(watch.value, None, called, why)


def _function(one: ContractSettings, watch: Watch) -> str:
    """Return what people call the function that tells a value; of a configured one only the selector is known."""
    selector = one.functions.get(watch.value)
    return f"{watch.value}()" if selector is None else f"{watch.value} (function {selector})"


def stored(watch: Watch, layout: Layout, word: str) -> str | None:
    """Return the value that lies in a slot, None where it is no word."""
    if words.number(word) is None:
        return None
    if watch is Watch.PAUSED:
        return _truth(bool(words.packed(word, layout.offset, 1)))
    return f"0x{words.packed(word, layout.offset, _ADDRESS):040x}"


def returned(watch: Watch, result: str) -> str | None:
    """Return the value that a function returned, None where that is none."""
    if watch is Watch.PAUSED:
        value = words.truth(result)
        return None if value is None else _truth(value)
    return words.address(result)


def _truth(value: bool) -> str:  # noqa: FBT001 - of a value
    return "true" if value else "false"


# -- what is seen of it


def views(state: ChainState, settings: Settings, chain: ChainSettings, now_ns: int) -> tuple[ContractView, ...]:
    """Return the contracts as detectors look at them."""
    return tuple(
        ContractView(
            settings=one,
            labels=contract_labels(settings, chain, one.name),
            seen=seen,
            is_current=_age(seen, now_ns) <= _STALE_PACES * chain.pace_ns,
        )
        for one in chain.contracts
        if (seen := state.contracts.watched.get(one.name)) is not None
    )


def subject(view: ContractView, chain: ChainSettings, now_ns: int) -> Subject:
    """Return how well a contract is observed."""
    is_lost = bool(view.seen.gone) or _age(view.seen, now_ns) > _LOST_PACES * chain.pace_ns
    is_known = view.is_current and not view.seen.gone
    return Subject(sample=view.seen.samples if is_known else None, lost=is_lost)


def _age(seen: Watched, now_ns: int) -> int:
    return now_ns - seen.read_ns if seen.read_ns is not None else 1 << 62
