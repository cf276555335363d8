"""What a person reads of a contract: asked of every node that is well, at the agreed block, and counted by groups."""

import asyncio
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tocsin.engine import blockstate, readplan
from tocsin.engine.facts import Fact, facts_of, holds, is_known
from tocsin.engine.pool import groups_of
from tocsin.engine.readback import NO_CODE, REVERTS, code_subject, subject_of
from tocsin.engine.state import ChainState, EngineState
from tocsin.errors import ControlError, UsageError
from tocsin.model.block import BlockRef
from tocsin.model.effect import Fetch
from tocsin.model.reading import CallOf, CodeOf, Item, ProofOf, SlotOf, reading
from tocsin.model.settings import ChainSettings
from tocsin.rpc.session import Session
from tocsin.runtime.readsaid import Said, said_by, uncounted
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

    async def _ask(self, chain: str, node: str, call: str, place: Place) -> Said:
        session = self._sessions(chain).get(node)
        if session is None:
            return Said(why="it is configured no longer")
        return said_by(await session.fetch(Fetch(request=0, chain=chain, node=node, call=call)), place)


# -- told


def _told(
    question: Question, chain: ChainSettings, state: ChainState, block: BlockRef, said: Mapping[str, Said]
) -> dict[str, object]:
    heard = {
        name: blockstate.known_to(state, name, one.heard, block) for name, one in said.items() if name in state.nodes
    }
    out = uncounted(state, said, heard)
    facts = facts_of({name: one for name, one in heard.items() if name not in out}, chain, state)
    address = f"0x{question.address.hex()}"
    code = facts.get(code_subject(address))
    return {
        "chain": chain.name,
        "address": address,
        "block": {"number": block.number, "hash": block.hash, "lane": question.block},
        "has_code": None if code is None or code.value is None else code.value != NO_CODE,
        "call": None if question.data is None else _call(question, chain, facts, said, out),
        "slots": [_slot(chain, key, f"{address}:0x{key.hex()}", facts, said, out) for key in question.slots],
        "uncounted": [{"node": name, "group": _groups(chain).get(name, ""), "why": why} for name, why in out.items()],
        "silent": list(_silent(chain, said, out)),
    }


def _silent(chain: ChainSettings, said: Mapping[str, Said], out: Collection[str]) -> Iterator[dict[str, object]]:
    """Yield who says nothing of all or a part, and why."""
    for node in chain.nodes:
        one = said.get(node.name)
        why = "not asked: it is not well" if one is None else one.why or (one.malformed if node.name not in out else "")
        if why:
            yield {"node": node.name, "why": why}


def _call(
    question: Question,
    chain: ChainSettings,
    facts: Mapping[str, Fact],
    said: Mapping[str, Said],
    out: Collection[str],
) -> dict[str, object]:
    subject = subject_of(CallOf(to=question.address, data=question.data or b""))
    row = _row(chain, subject, facts.get(subject), said, out)
    reverts = [one.revert for name, one in said.items() if name not in out and one.heard.facts.get(subject) == REVERTS]
    is_reverted = row["value"] == REVERTS
    return {
        **row,
        "value": None if is_reverted else row["value"],
        "reverted": is_reverted,
        "reason": next(iter(sorted(reverts)), "") if is_reverted else "",
    }


def _slot(
    chain: ChainSettings,
    key: bytes,
    subject: str,
    facts: Mapping[str, Fact],
    said: Mapping[str, Said],
    out: Collection[str],
) -> dict[str, object]:
    return {
        "slot": f"0x{key.hex()}",
        **_row(chain, subject, facts.get(subject), said, out),
        "proven_by": sorted(name for name, one in said.items() if subject in one.heard.proven and name not in out),
    }


def _row(
    chain: ChainSettings, subject: str, fact: Fact | None, said: Mapping[str, Said], out: Collection[str]
) -> dict[str, object]:
    """Return what is known of one thing, and who says what of it."""
    groups = _groups(chain)
    told = {name: value for name, one in said.items() if (value := _word_of(one, subject)) is not None}
    total = len(set(groups.values()))
    known = fact is not None and fact.value is not None and is_known(fact.grade, total)
    return {
        "value": fact.value if fact is not None and known else None,
        "grade": "blind" if fact is None else fact.grade.value,
        "votes": 0 if fact is None else fact.votes,
        "groups": total,
        "why": "no node tells it" if fact is None else fact.why,
        "said": [
            {"node": name, "group": groups.get(name, ""), "value": value, "counted": name not in out}
            for name, value in sorted(told.items())
        ],
    }


def _word_of(one: Said, subject: str) -> str | None:
    """Return what a node says of one thing: in a proof, even in a wrong one, before what it says without."""
    return one.heard.proven.get(subject, one.claimed.get(subject, one.heard.facts.get(subject)))


def _groups(chain: ChainSettings) -> dict[str, str]:
    return {node: group.id for group in groups_of(chain).groups for node in group.nodes}
