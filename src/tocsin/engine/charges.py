"""What nodes give wrong of contracts: asked for once more, and held against them if they give it again.

Fresh, and the same question. Where a node is not known to answer at the block that is named by its hash, the second
time it is named by its number, between two looks at that block. An honest node cannot fail twice: it has the block that
the tree has, or it says that it has not, and then nothing follows. A block that has left the chain accuses nobody.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from tocsin.chain.header import fields_of
from tocsin.chain.proof import Proven, Refuted
from tocsin.chain.tree import relation
from tocsin.engine import readback, readplan
from tocsin.engine.pool import in_turn
from tocsin.engine.sitting import Contracts, Heard, Sitting, Suspicion, key
from tocsin.engine.state import ChainState
from tocsin.ids import digest
from tocsin.model.alert import Json
from tocsin.model.contract import Accusation, Charge
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.observation import Part, by_hash, number_of
from tocsin.model.reading import Item, Pin, ProofOf, parse, reading
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Ahead, Level

TRIES: Final = 3
"""How often a node is asked again that answers nothing; then nothing follows."""

PATIENCE_POLLS: Final = 3
_INLINE: Final = 12_000
"""Characters of an answer that are evidence as they stand; a longer one by digest, as the journal has it."""


def stands(state: ChainState, charge: Charge, node: str) -> bool:
    """Tell whether a node was caught, and that is not forgiven."""
    return key(charge, node) in state.contracts.accused


# -- suspecting


def weighed(
    state: ChainState,
    chain: ChainSettings,
    sitting: Sitting,
    said: Mapping[str, Heard],
    sure: Mapping[str, tuple[str, str]],
    now_ns: int,
) -> ChainState:
    """Return the chain with suspicions of who gave something wrong, and what is sound counted for who is accused."""
    known = state.contracts
    suspicions, accused = dict(known.suspicions), dict(known.accused)
    for name, one in said.items():
        wrong = sorted(name for name, value in one.facts.items() if sure.get(name, ("", ""))[0] not in ("", value))
        if known.proves and one.refuted:
            found = _suspicion(state, chain, Charge.PROOF, name, sitting, min(one.refuted), ("", ""), now_ns)
            _suspect(suspicions, found)
        if wrong:
            found = _suspicion(state, chain, Charge.VALUE, name, sitting, wrong[0], sure[wrong[0]], now_ns)
            _suspect(suspicions, found)
        equal = sum(sure.get(subject, ("", ""))[0] == value for subject, value in one.facts.items())
        for charge, clean in ((Charge.PROOF, 0 if one.refuted else one.proofs), (Charge.VALUE, 0 if wrong else equal)):
            at = key(charge, name)
            if at in accused and clean:
                accused[at] = evolve(accused[at], clean=accused[at].clean + clean)
    return evolve(state, contracts=evolve(known, suspicions=suspicions, accused=accused))


def _suspect(suspicions: dict[str, Suspicion], found: Suspicion | None) -> None:
    if found is not None:
        suspicions.setdefault(key(found.charge, found.node), found)


def _suspicion(
    state: ChainState,
    chain: ChainSettings,
    charge: Charge,
    node: str,
    sitting: Sitting,
    subject: str,
    sure: tuple[str, str],
    now_ns: int,
) -> Suspicion | None:
    """Return what a node is asked once more; `subject` begins with the address of the contract."""
    address = readback.address_of(subject)
    contract = next((one for one in chain.contracts if one.address == address), None)
    items = readplan.items_of(contract, proofs=True) if contract is not None else ()
    item = next((one for one in items if _is_about(one, charge, subject)), None)
    if contract is None or item is None:
        return None
    known = state.nodes[node].capabilities
    pin = readplan.pin_of(known, state.contracts.ways.get(node, readplan.NOTHING_REFUSED), now_ns)
    pin = pin if readplan.is_sure(known, pin) else Pin.NUMBER
    return Suspicion(
        charge=charge,
        node=node,
        contract=contract.name,
        block=sitting.block,
        root=sitting.root,
        question=reading(sitting.block, pin, (item,)),
        subject=subject,
        expected=sure[0],
        by=sure[1],
    )


def _is_about(item: Item, charge: Charge, subject: str) -> bool:
    return isinstance(item, ProofOf) if charge is Charge.PROOF else readback.subject_of(item) == subject


# -- asking again


def plan(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return what suspected nodes are asked once more, and the state that waits for it."""
    if not state.contracts.suspicions:
        return state, ()
    suspicions = dict(state.contracts.suspicions)
    fetches: list[Fetch] = []
    for at, one in sorted(suspicions.items()):
        is_waited_for = bool(one.request) and now_ns - one.asked_ns < PATIENCE_POLLS * chain.poll_ns
        if one.reason or is_waited_for or one.node not in state.nodes:
            continue
        if one.tries == TRIES:
            del suspicions[at]
            continue
        request += 1
        again = evolve(one, request=request, asked_ns=now_ns, tries=one.tries + 1)
        fetches.append(Fetch(request=request, chain=chain.name, node=one.node, call=one.question))
        if not one.header:
            request += 1
            again = evolve(again, witness=_witness(state, chain, one), witnessed=request)
            fetches.append(Fetch(request=request, chain=chain.name, node=again.witness, call=by_hash(one.block.hash)))
        suspicions[at] = again
    return evolve(state, contracts=evolve(state.contracts, suspicions=suspicions)), tuple(fetches)


def _witness(state: ChainState, chain: ChainSettings, one: Suspicion) -> str:
    """Return who is asked for the header: another node that has it, if there is one. Its hash tells whether it is."""
    able = [name for name in in_turn(chain) if name != one.node and not state.nodes[name].missed]
    heads = {name: state.nodes[name].head for name in able}
    reaching = [name for name in able if (head := heads[name]) is not None and head.number >= one.block.number]
    return next(iter(reaching), one.node)


def take_header(known: Contracts, event: Fetched) -> Contracts:
    """Return what is known after the header has come by which a suspected node's answer is judged."""
    fields = fields_of(event.part.result) if event.part is not None and event.part.result is not None else None
    if fields is None:
        return known
    suspicions = {
        at: evolve(one, header=fields)
        if (one.witnessed, one.witness, by_hash(one.block.hash)) == (event.request, event.node, event.call)
        and fields["hash"] == one.block.hash
        else one
        for at, one in known.suspicions.items()
    }
    return evolve(known, suspicions=suspicions)


def take(known: Contracts, event: Fetched) -> Contracts:
    """Return what is known after a suspected node has answered again."""
    for at, one in known.suspicions.items():
        if one.request != event.request or one.node != event.node or one.question != event.call or one.reason:
            continue
        is_sound, reason, evidence = _looked_at(one, event)
        left = {other: suspicion for other, suspicion in known.suspicions.items() if other != at}
        if not is_sound:
            # Without a reason it said nothing: then it is asked again at the next look.
            again = evolve(one, reason=reason, evidence=evidence) if reason else evolve(one, asked_ns=0, request=0)
            left = {**known.suspicions, at: again}
        return evolve(known, suspicions=left)
    return known


def _looked_at(one: Suspicion, event: Fetched) -> tuple[bool, str, Json]:
    """Return whether an answer is sound, else what is wrong with it, if anything, and the evidence."""
    parts = readback.parts_of(event)
    part = next((part for part in parts if number_of(part.call) is None), None)
    found = parse(one.question)
    if part is None or found is None or not readback.is_of(event, one.block):
        return False, "", {}
    item = found.items[0]
    if isinstance(item, ProofOf):
        match readback.proof_of(item, part, one.root, found.pin):
            case Proven():
                return True, "", {}
            case Refuted(reason=reason):
                return False, reason, _evidence(one, item, parts, part)
        return False, "", {}
    value = readback.value_of(item, part)
    if value is None or value == one.expected:
        return value is not None, "", {}
    right = f"{one.expected} is proven" if one.by == "proven" else f"a quorum says {one.expected}"
    reason = f"it says {value}, and {right}"[:300]
    return False, reason, {**_evidence(one, item, parts, part), "said": value}


def _evidence(one: Suspicion, item: Item, parts: tuple[Part, ...], part: Part) -> Json:
    evidence: dict[str, object] = {
        "contract": one.contract,
        "block": {"number": one.block.number, "hash": one.block.hash},
        "state_root": one.root or None,
        "question": one.question,
        "answer": _answer(part),
        "headers": [_answer(header) for header in parts if number_of(header.call) is not None],
    }
    if isinstance(item, ProofOf):
        keys = [f"0x{slot.hex()}" for slot in item.keys]
        return {**evidence, "claim": {"address": f"0x{item.address.hex()}", "slots": keys}}
    return {**evidence, "subject": one.subject, "expected": one.expected, "expected_by": one.by}


def _answer(part: Part) -> object:
    """Return an answer as evidence: whole, or by its digest where it is long."""
    if part.result is None:
        return None if part.error is None else {"error": part.error.message, "code": part.error.code}
    if len(part.result) > _INLINE:
        return {"digest": digest(part.result), "size": len(part.result)}
    return orjson.loads(part.result)


# -- holding it against them


def concluded(state: ChainState, now_ns: int) -> ChainState:
    """Return the chain with those accused who gave wrong again what they gave wrong, of a block that is still there."""
    known = state.contracts
    done = {at: one for at, one in known.suspicions.items() if one.reason}
    if not done:
        return state
    accused = dict(known.accused)
    for at, one in sorted(done.items()):
        if not _is_on_chain(state, one):
            continue
        accused[at] = Accusation(
            contract=one.contract, block=one.block, reason=one.reason, evidence=_told(state, one), at_ns=now_ns
        )
    left = {at: one for at, one in known.suspicions.items() if at not in done}
    return evolve(state, contracts=evolve(known, suspicions=left, accused=accused))


def _is_on_chain(state: ChainState, one: Suspicion) -> bool:
    head = state.head.block
    return head is not None and isinstance(relation(state.tree, head, one.block), Level | Ahead)


def _told(state: ChainState, one: Suspicion) -> Json:
    """Return the evidence, with the header that the claim is held against: so that anybody can recompute its hash.

    Where nobody gave it in time, with what is kept of it.
    """
    if one.header:
        return {**one.evidence, "header": one.header}
    header = state.tree.headers.get(one.block.hash)
    if header is None:
        return one.evidence
    shown = {
        "number": header.number,
        "hash": header.hash,
        "parent_hash": header.parent_hash,
        "timestamp": header.timestamp,
        "state_root": header.state_root,
        "verification": header.verification.value,
    }
    return {**one.evidence, "header": shown}


def forgiven(state: ChainState, charge: Charge, node: str) -> ChainState:
    """Return the chain after a person has seen what a node was accused of."""
    at = key(charge, node)
    left = {other: one for other, one in state.contracts.accused.items() if other != at}
    return evolve(state, contracts=evolve(state.contracts, accused=left))
