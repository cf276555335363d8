"""Contracts that are watched: what was read of them at a block, judged, and told.

A proof that leads from the header's state root to what it says settles a value, whoever gives it; what nobody proves
takes a quorum on equal bytes. A node that cannot answer says nothing, and is never reproached for it. Who gives a proof
of something else, or a result that is not what is proven (or what a quorum says), is asked once more before it is said:
`tocsin.engine.charges`. What was read at a block that has left the chain counts for nothing.

How it is asked: `tocsin.engine.readplan`. What a value is held against: `tocsin.engine.pinning`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.chain.count import QUORUM_GROUPS
from tocsin.chain.facts import counted
from tocsin.chain.groups import Groups
from tocsin.chain.tree import relation
from tocsin.engine import charges, pinning, readplan
from tocsin.engine.labels import contract_labels
from tocsin.engine.pool import groups_of
from tocsin.engine.readback import NO_CODE, address_of, code_subject, heard, is_void
from tocsin.engine.sitting import NO_CONTRACTS, Contracts, Heard, Sitting, key
from tocsin.engine.state import ChainState
from tocsin.engine.voting import may_vote
from tocsin.model.alert import Grade, Subject
from tocsin.model.block import BlockRef
from tocsin.model.contract import FUNCTIONS, Charge, ContractSettings, ContractView, Known, Layout, Watch, Watched
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings, Settings
from tocsin.model.view import Ahead, Level

PATIENCE_POLLS: Final = 3
"""For so long an answer is waited for; what comes later says nothing any more."""

_STALE_PACES: Final = 5
_LOST_PACES: Final = 25
"""A contract that was not read for so many block times (or polls, where those are longer) is not known any more."""

_WORD_TEXT: Final = re.compile(r"0x[0-9a-f]{64}")
_ADDRESS: Final = 20
_WORD: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing of one contract at one block, as it is known."""

    value: str | None
    grade: Grade
    votes: int = 0
    groups: int = 0
    why: str = ""


def plan(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return all that nodes are asked about contracts now, and the state that waits for it."""
    if not chain.contracts:
        return state, ()
    state, again = charges.plan(state, chain, now_ns, request)
    state, fresh = readplan.plan(state, chain, now_ns, again[-1].request if again else request)
    return state, (*again, *fresh)


def take(known: Contracts, event: Fetched) -> Contracts:
    """Return what is known after one more answer; one that nobody waits for changes nothing."""
    request = str(event.request)
    for lane, sitting in known.sittings.items():
        if sitting.asked.get(request) != event.node:
            continue
        left = {asked: node for asked, node in sitting.asked.items() if asked != request}
        said = {**sitting.heard, event.node: heard(event, sitting.block, sitting.root)}
        sittings = {**known.sittings, lane: evolve(sitting, asked=left, heard=said)}
        return evolve(known, sittings=sittings, ways=readplan.noted(known.ways, event))
    return charges.take(known, event)


def settled(state: ChainState, chain: ChainSettings, now_ns: int) -> ChainState:
    """Return the chain after what was read to the end, or was waited for long enough, is judged."""
    known = state.contracts
    for lane, sitting in sorted(known.sittings.items()):
        if sitting.asked and now_ns - sitting.began_ns < PATIENCE_POLLS * chain.poll_ns:
            continue
        left = {name: other for name, other in state.contracts.sittings.items() if name != lane}
        state = evolve(state, contracts=evolve(state.contracts, sittings=left))
        if is_on_chain(state, sitting.block):
            state = _judged(state, chain, lane, sitting, now_ns)
    return charges.concluded(state, now_ns) if state.contracts.suspicions else state


def is_on_chain(state: ChainState, block: BlockRef) -> bool:
    """Tell whether a block is known to be the agreed head, or to lead to it."""
    head = state.head.block
    return head is not None and isinstance(relation(state.tree, head, block), Level | Ahead)


# -- what is known


def _judged(state: ChainState, chain: ChainSettings, lane: str, sitting: Sitting, now_ns: int) -> ChainState:
    said = {
        name: _heard(state, name, one, sitting.block)
        for name, one in sorted(sitting.heard.items())
        if name in state.nodes
    }
    trusted = {name: one for name, one in said.items() if _counts(state, name)}
    proven = {subject: value for one in trusted.values() for subject, value in one.proven.items()}
    facts = dict(_facts(trusted, proven, groups_of(chain), state))
    proves = state.contracts.proves or bool(proven)
    state = evolve(state, contracts=evolve(state.contracts, proves=proves))
    state = charges.weighed(state, chain, sitting, said, {name: _sure(fact) for name, fact in facts.items()}, now_ns)
    watched = dict(state.contracts.watched)
    for one in chain.contracts:
        before = watched.get(one.name) or Watched(identity=one.identity)
        if lane == readplan.FINAL:
            watched[one.name] = evolve(before, audited=sitting.block)
        else:
            watched[one.name] = _read(before, one, facts, sitting.block, state, now_ns)
    return evolve(state, contracts=evolve(state.contracts, watched=watched))


def _heard(state: ChainState, name: str, said: Heard, block: BlockRef) -> Heard:
    """Return what a node said, but for contracts of which it has no state, or may have none."""
    record = state.nodes[name]
    depth = record.head.number - block.number if record.head is not None else 0
    if readplan.knows_state(record.capabilities, depth):
        return said
    addresses = {address_of(subject) for subject in said.facts}
    proven = {address_of(subject) for subject in said.proven}
    void = {address for address in addresses - proven if is_void(said.facts, address)}
    if not void:
        return said
    return evolve(said, facts={name: value for name, value in said.facts.items() if address_of(name) not in void})


def _counts(state: ChainState, name: str) -> bool:
    """Tell whether what a node says of state counts: it has a vote, and was not caught with a wrong proof."""
    return may_vote(state, name) and name not in state.ruled_out and not charges.stands(state, Charge.PROOF, name)


def _facts(
    said: Mapping[str, Heard], proven: Mapping[str, str], groups: Groups, state: ChainState
) -> Iterator[tuple[str, Fact]]:
    subjects = sorted({*proven, *(subject for one in said.values() for subject in one.facts)})
    for subject in subjects:
        if subject in proven:
            yield subject, Fact(value=proven[subject], grade=_capped(Grade.PROVEN, state.head.grade))
            continue
        votes = {name: one.facts[subject].encode() for name, one in said.items() if subject in one.facts}
        found = counted(votes, groups, raised=state.finality.raised)
        yield (
            subject,
            Fact(
                value=None if found.value is None else found.value.decode(),
                grade=_capped(found.grade, state.head.grade),
                votes=found.votes,
                groups=found.groups,
                why=found.why,
            ),
        )


def _capped(grade: Grade, head: Grade) -> Grade:
    """Return how a fact of a block is known: no better than that the block is of the chain."""
    return grade if head is Grade.QUORUM or grade not in (Grade.PROVEN, Grade.QUORUM) else head


def _sure(fact: Fact) -> tuple[str, str]:
    """Return what a node's word is held against, and how that is known; two empty texts where nothing is known."""
    if fact.value is None or fact.grade not in (Grade.PROVEN, Grade.QUORUM):
        return "", ""
    return fact.value, fact.grade.value


# -- what it means


def _read(
    before: Watched, one: ContractSettings, facts: Mapping[str, Fact], block: BlockRef, state: ChainState, now_ns: int
) -> Watched:
    """Return what is known of a contract after one more reading of it."""
    latest, problems = dict(before.latest), []
    code = facts.get(code_subject(one.address))
    is_there = code is None or code.value != NO_CODE
    if not is_there:
        problems.append(f"there is no code at {one.address} on this chain: check the address")
    for watch in one.watches:
        found, why = _value(one, watch, facts)
        if why and is_there:
            problems.append(why)
        if found is not None and found.value is not None and is_known(found.grade, state.head.groups):
            latest[watch.value] = Known(
                value=found.value, grade=found.grade, block=block, votes=found.votes, groups=found.groups
            )
    after = evolve(
        before,
        latest=latest,
        samples=before.samples + 1,
        block=block,
        read_ns=now_ns,
        problem="; ".join(problems)[:300],
    )
    return pinning.pinned(after, state) if is_there or before.baseline else after


def is_known(grade: Grade, groups: int) -> bool:
    """Tell whether a value is published: not where one of several groups alone says so."""
    return grade in (Grade.PROVEN, Grade.QUORUM, Grade.MAJORITY) or (
        grade is Grade.UNCORROBORATED and groups < QUORUM_GROUPS
    )


def _value(one: ContractSettings, watch: Watch, facts: Mapping[str, Fact]) -> tuple[Fact | None, str]:
    """Return a watched value as it is known, and what is odd about it."""
    if watch is Watch.CODE:
        return _plain(facts.get(code_subject(one.address)), watch)
    layout, function = one.layout(watch), FUNCTIONS.get(watch)
    called = facts.get(f"{one.address}:{function}") if function is not None else None
    if layout is None:
        fact, why = _plain(called, watch)
        value = None if fact is None or fact.value is None else returned(watch, fact.value)
        if fact is not None and fact.value is not None and value is None:
            return None, f"{watch.value}() returns no such value; tell its slot, or do not watch it"
        return (None if fact is None else _with(fact, value)), why
    fact, why = _plain(facts.get(f"{one.address}:{layout.slot}"), watch)
    if fact is None or fact.value is None:
        return fact, why
    value = stored(watch, layout, fact.value)
    if value is None:
        return None, f"{watch.value}: the slot is no word"
    other = returned(watch, called.value) if called is not None and called.value is not None else None
    if other is not None and called is not None and _sure(called)[0] and other != value:
        why = f"{watch.value}() returns {other}, and the slot holds {value}: check the slot in the configuration"
    return _with(fact, value), why


def _plain(fact: Fact | None, watch: Watch) -> tuple[Fact | None, str]:
    if fact is None:
        return None, f"no node tells {watch.value}"
    if fact.value is None:
        return fact, f"{watch.value}: {fact.why or fact.grade.value}"
    is_alone = fact.grade is Grade.UNCORROBORATED and fact.groups < QUORUM_GROUPS  # as all of that pool
    return fact, f"{watch.value}: {fact.why}" if fact.why and not is_alone else ""


def _with(fact: Fact, value: str | None) -> Fact:
    return Fact(value=value, grade=fact.grade, votes=fact.votes, groups=fact.groups, why=fact.why)


def stored(watch: Watch, layout: Layout, word: str) -> str | None:
    """Return the value that lies in a slot, None where it is no word."""
    if not _WORD_TEXT.fullmatch(word):
        return None
    data, end = bytes.fromhex(word[2:]), _WORD - layout.offset
    if watch is Watch.PAUSED:
        return _truth(bool(data[end - 1]))
    return f"0x{data[end - _ADDRESS : end].hex()}"


def returned(watch: Watch, result: str) -> str | None:
    """Return the value that a function returned, None where that is none."""
    if not _WORD_TEXT.fullmatch(result):
        return None
    number = int(result, 16)
    if watch is Watch.PAUSED:
        return _truth(bool(number)) if number in (0, 1) else None
    return f"0x{number:040x}" if number >> (8 * _ADDRESS) == 0 else None


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
    is_lost = _age(view.seen, now_ns) > _LOST_PACES * chain.pace_ns
    return Subject(sample=view.seen.samples if view.is_current else None, lost=is_lost)


def _age(seen: Watched, now_ns: int) -> int:
    return now_ns - seen.read_ns if seen.read_ns is not None else 1 << 62


# -- what stays


def anew(known: Contracts) -> Contracts:
    """Return what is known where watching begins anew: whoever was asked will not answer any more."""
    if known is NO_CONTRACTS:
        return known
    return evolve(known, sittings={}, begun={}, suspicions={})


def kept(known: Contracts, chain: ChainSettings, moved: Collection[str]) -> Contracts:
    """Return what is known under a configuration: of contracts that stay what they are, and nodes that stay."""
    if known == NO_CONTRACTS:
        return known
    settings = {one.name: one for one in chain.contracts}
    watched = {
        name: _of(seen, settings[name])
        for name, seen in known.watched.items()
        if name in settings and settings[name].identity == seen.identity
    }
    nodes = {node.name for node in chain.nodes} - set(moved)
    charged = {key(charge, name) for charge in Charge for name in nodes}
    return evolve(
        anew(known),
        watched=watched,
        accused={at: one for at, one in known.accused.items() if at in charged},
        ways={name: way for name, way in known.ways.items() if name in nodes},
    )


def _of(seen: Watched, one: ContractSettings) -> Watched:
    """Return what is known of what is still watched."""
    names = {watch.value for watch in one.watches}
    if names >= {*seen.latest, *seen.baseline, *seen.told}:
        return seen
    return evolve(
        seen,
        latest={name: value for name, value in seen.latest.items() if name in names},
        baseline={name: value for name, value in seen.baseline.items() if name in names},
        told={name: value for name, value in seen.told.items() if name in names},
    )


def changed(before: ChainSettings | None, after: ChainSettings) -> frozenset[str]:
    """Return the names of contracts that are not the same ones any more: what was said of them is of others."""
    were = {one.name: one.identity for one in before.contracts} if before is not None else {}
    return frozenset(one.name for one in after.contracts if were.get(one.name, one.identity) != one.identity)
