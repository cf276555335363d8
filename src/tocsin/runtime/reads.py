"""What a person reads of a contract: asked of every node that is well, at the agreed block, and counted by groups."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tocsin.engine import blockstate, readplan
from tocsin.engine.facts import Fact, facts_of, is_known
from tocsin.engine.pool import groups_of
from tocsin.engine.readback import NO_CODE, REVERTS, code_subject, heard, is_of, parts_of, subject_of
from tocsin.engine.sitting import Heard
from tocsin.engine.state import ChainState, EngineState
from tocsin.errors import ControlError, UsageError
from tocsin.model.block import BlockRef
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.observation import Part
from tocsin.model.reading import CallOf, CodeOf, Item, ProofOf, SlotOf, parse, reading
from tocsin.model.settings import ChainSettings
from tocsin.rpc.session import Session
from tocsin.runtime.ground import holds
from tocsin.state.asking import hex_data, is_revert
from tocsin.state.ground import Place

_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
_DATA: Final = re.compile(r"0x(?:[0-9a-f]{2}){0,16384}")
_SLOT: Final = re.compile(r"0x[0-9a-f]{64}")
_MOST_SLOTS: Final = 32
_LOOKS: Final = 25
_PAUSE_S: Final = 0.2
_LANES: Final = {"head": readplan.HEAD, "finalized": readplan.FINAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is read: a call with its input, or None for none, and slots; `block` is `head` or `finalized`."""

    chain: str
    address: bytes
    data: bytes | None
    slots: tuple[bytes, ...]
    block: str

    def items(self, *, proofs: bool) -> tuple[Item, ...]:
        """Return what a node is asked for."""
        items: list[Item] = [ProofOf(address=self.address, keys=self.slots)] if proofs else []
        if not proofs:
            items += [CodeOf(address=self.address), *(SlotOf(address=self.address, key=key) for key in self.slots)]
        if self.data is not None:
            items.append(CallOf(to=self.address, data=self.data))
        return tuple(items)


def question_of(request: Mapping[str, Any]) -> Question:
    """Return what a request asks for. Raises UsageError."""
    chain, address, data = (request.get(name, "") for name in ("chain", "address", "data"))
    slots, block = request.get("slots", []), request.get("block", "head")
    is_hex = isinstance(address, str) and _ADDRESS.fullmatch(address) and isinstance(data, str)
    if not isinstance(chain, str) or not is_hex or not (data == "" or _DATA.fullmatch(str(data))):
        raise UsageError("read takes a chain, an address and the data of a call, both hex in lower case")
    is_listed = isinstance(slots, list) and len(slots) <= _MOST_SLOTS
    if not is_listed or not all(isinstance(slot, str) and _SLOT.fullmatch(slot) for slot in slots):
        raise UsageError(f"read takes at most {_MOST_SLOTS} slots, each 0x and 64 hex digits")
    if not isinstance(block, str) or block not in _LANES:
        raise UsageError("read takes block head or finalized")
    if not data and not slots:
        raise UsageError("read takes the data of a call, or slots")
    return Question(
        chain=chain,
        address=bytes.fromhex(address[2:]),
        data=bytes.fromhex(data[2:]) if data else None,
        slots=tuple(dict.fromkeys(bytes.fromhex(slot[2:]) for slot in slots)),
        block=block,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What one node answered: facts, the bytes that the call returned, and why it is silent if it is."""

    heard: Heard
    revert: str = ""
    why: str = ""


class Reads:
    """Answers people's questions about state, over the sessions of the watch."""

    def __init__(
        self,
        *,
        state: Callable[[], EngineState],
        sessions: Callable[[str], Mapping[str, Session]],
        now_ns: Callable[[], int],
    ) -> None:
        self._state = state
        self._sessions = sessions
        self._now_ns = now_ns

    async def read(self, question: Question) -> dict[str, object]:
        """Return what nodes say, counted. Raises ControlError where that cannot be told now."""
        chain = self._chain(question.chain)
        place = await self._place(question, chain)
        state = self._state().chains[chain.name]
        asked = dict(self._asked(question, chain, state, place))
        if not asked:
            raise ControlError(f"no node of {chain.name} is well and has block {place.block.number}; see tocsin status")
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._ask(chain.name, name, call, place)) for name, call in asked.items()}
        said = {name: task.result() for name, task in tasks.items()}
        state = self._state().chains.get(chain.name, state)
        if not holds(state, place.block):
            raise ControlError(f"block {place.block.number} left the chain while it was read; ask again")
        return _told(question, chain, state, place.block, said)

    def _chain(self, name: str) -> ChainSettings:
        settings = self._state().settings
        chains = settings.chains if settings is not None else ()
        names = ", ".join(chain.name for chain in chains)
        found = [chain for chain in chains if name in ("", chain.name)]
        if not found:
            raise ControlError(f"no chain is called {name[:64]!r}; there are {names}")
        if len(found) > 1:
            raise ControlError(f"there are the chains {names}; say which with --chain")
        return found[0]

    async def _place(self, question: Question, chain: ChainSettings) -> Place:
        """Return the block to read at. Where blocks are fast, groups may be a moment apart: that is waited for."""
        for _ in range(_LOOKS):
            state = self._state().chains[chain.name]
            found = readplan.place(state, chain, _LANES[question.block])
            if found is not None:
                return Place(block=found[0], root=found[1])
            await asyncio.sleep(_PAUSE_S)
        raise ControlError(f"no {question.block} block of {chain.name} is agreed on now; tocsin status says why")

    def _asked(
        self, question: Question, chain: ChainSettings, state: ChainState, place: Place
    ) -> Iterator[tuple[str, str]]:
        """Yield each node that is worth asking, and the call."""
        for node in chain.nodes:
            means = readplan.means(state, chain, node.name, place.block, place.root, self._now_ns())
            if means is not None:
                pin, proofs = means
                yield node.name, reading(place.block, pin, question.items(proofs=proofs))

    async def _ask(self, chain: str, node: str, call: str, place: Place) -> _Said:
        session = self._sessions(chain).get(node)
        if session is None:
            return _Said(Heard(), why="it is configured no longer")
        return _said(await session.fetch(Fetch(request=0, chain=chain, node=node, call=call)), place)


def _said(event: Fetched, place: Place) -> _Said:
    """Return what a node answered. Results of calls are taken whole: they are compared, and shown."""
    if event.fault is not None:
        return _Said(Heard(), why=f"{event.fault.kind.value}: {event.fault.detail}")
    if not is_of(event, place.block):
        return _Said(Heard(), why="it answers of another block")
    found, revert, why = heard(event, place.block, place.root), "", ""
    for part in parts_of(event):
        asked = parse(part.call)
        item = asked.items[0] if asked is not None else None
        if isinstance(item, CallOf):
            value, revert, why = _returned(part)
            facts = {name: fact for name, fact in found.facts.items() if name != subject_of(item)}
            found = evolve(found, facts=facts if value is None else {**facts, subject_of(item): value})
        elif part.error is not None:
            why = why or f"{part.error.kind.value}: {part.error.message}"
    return _Said(found, revert, why)


def _returned(part: Part) -> tuple[str | None, str, str]:
    """Return what a call returned, why it reverted, and why it is no answer."""
    if is_revert(part):
        return REVERTS, part.error.message if part.error is not None else "", ""
    if part.error is not None:
        return None, "", f"{part.error.kind.value}: {part.error.message}"
    data = hex_data(part.result or b"")
    return (None, "", "its result is no hex data") if data is None else (f"0x{data.hex()}", "", "")


# -- told


def _told(
    question: Question, chain: ChainSettings, state: ChainState, block: BlockRef, said: Mapping[str, _Said]
) -> dict[str, object]:
    trusted = {
        name: blockstate.known_to(state, name, one.heard, block)
        for name, one in said.items()
        if name in state.nodes and blockstate.counts(state, name)
    }
    facts = facts_of(trusted, chain, state)
    address = f"0x{question.address.hex()}"
    code = facts.get(code_subject(address))
    return {
        "chain": chain.name,
        "address": address,
        "block": {"number": block.number, "hash": block.hash, "lane": question.block},
        "has_code": None if code is None or code.value is None else code.value != NO_CODE,
        "call": None if question.data is None else _call(question, chain, facts, said),
        "slots": [_slot(chain, key, f"{address}:0x{key.hex()}", facts, said) for key in question.slots],
        "silent": [
            {"node": node.name, "why": said[node.name].why if node.name in said else "not asked: it is not well"}
            for node in chain.nodes
            if node.name not in said or said[node.name].why
        ],
    }


def _call(
    question: Question, chain: ChainSettings, facts: Mapping[str, Fact], said: Mapping[str, _Said]
) -> dict[str, object]:
    subject = subject_of(CallOf(to=question.address, data=question.data or b""))
    row = _row(chain, subject, facts.get(subject), said)
    reverts = [one.revert for one in said.values() if one.heard.facts.get(subject) == REVERTS]
    is_reverted = row["value"] == REVERTS
    return {
        **row,
        "value": None if is_reverted else row["value"],
        "reverted": is_reverted,
        "reason": next(iter(sorted(reverts)), "") if is_reverted else "",
    }


def _slot(
    chain: ChainSettings, key: bytes, subject: str, facts: Mapping[str, Fact], said: Mapping[str, _Said]
) -> dict[str, object]:
    return {
        "slot": f"0x{key.hex()}",
        **_row(chain, subject, facts.get(subject), said),
        "proven_by": sorted(name for name, one in said.items() if subject in one.heard.proven),
    }


def _row(chain: ChainSettings, subject: str, fact: Fact | None, said: Mapping[str, _Said]) -> dict[str, object]:
    """Return what is known of one thing, and who says what of it."""
    groups = {node: group.id for group in groups_of(chain).groups for node in group.nodes}
    told = {
        name: value
        for name, one in said.items()
        if (value := one.heard.proven.get(subject, one.heard.facts.get(subject))) is not None
    }
    total = len(set(groups.values()))
    known = fact is not None and fact.value is not None and is_known(fact.grade, total)
    return {
        "value": fact.value if fact is not None and known else None,
        "grade": "blind" if fact is None else fact.grade.value,
        "votes": 0 if fact is None else fact.votes,
        "groups": total,
        "why": "no node tells it" if fact is None else fact.why,
        "said": [{"node": name, "group": groups.get(name, ""), "value": value} for name, value in _ordered(told)],
    }


def _ordered(told: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return sorted(told.items())
