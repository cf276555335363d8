"""What nodes give wrong of contracts: asked for once more, and held against them if they give it again.

Fresh, and the same question. Where a node is not known to answer at the block that is named by its hash, the second
time it is named by its number, between two looks at that block. An honest node cannot fail twice: it has the block that
the tree has, or it says that it has not, and then nothing follows. A block that has left the chain accuses nobody;
one that was final does, however little of the chain around it is kept. Who does not
repeat what it does again and again: `tocsin.engine.relapses`.
"""

from collections.abc import Mapping
from typing import Final

from tocsin.chain import lenience
from tocsin.chain.header import fields_of
from tocsin.clock import NS
from tocsin.engine import judged, readback, readplan, relapses, wanted
from tocsin.engine.evidence import kept as kept_evidence
from tocsin.engine.facts import holds
from tocsin.engine.pool import in_turn
from tocsin.engine.sitting import Contracts, Heard, Sitting, Suspicion, key
from tocsin.engine.state import ChainState
from tocsin.model.alert import Json
from tocsin.model.contract import Accusation, Charge
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched, ReadDoubted
from tocsin.model.evolve import evolve
from tocsin.model.observation import by_hash
from tocsin.model.reading import BalanceOf, CodeOf, Item, Pin, ProofOf, SlotOf, merged, parse, reading
from tocsin.model.settings import ChainSettings

PATIENCE_POLLS: Final = 3
_LEAST_PATIENCE_NS: Final = 10 * NS
"""Where polls are fast, a question to a busy node takes no less. Who fails says so sooner, and is asked again at once.
"""
_EVIDENCE_POLLS: Final = 1
_LEAST_EVIDENCE_NS: Final = 5 * NS
"""For so long the header, and the proof of what is right, are waited for once a node is caught."""
_MOST_NAMED: Final = 20


def stands(state: ChainState, charge: Charge, node: str) -> bool:
    """Tell whether a node was caught, and that is not forgiven."""
    return key(charge, node) in state.contracts.accused


def standing(state: ChainState, node: str, *charges: Charge) -> Accusation | None:
    """Return what a node was caught with, of some charges: what it has made up for least, and the newest of that."""
    found = [state.contracts.accused.get(key(charge, node)) for charge in charges]
    return max((one for one in found if one is not None), key=lambda one: (-one.clean, one.at_ns), default=None)


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
    again = relapses.recent(known.relapses, now_ns)
    for name, one in said.items():
        wrong = sorted(name for name, value in one.facts.items() if sure.get(name, ("", ""))[0] not in ("", value))
        if known.proves and one.refuted:
            found = _suspicion(state, chain, Charge.PROOF, name, sitting, min(one.refuted), ("", ""), now_ns)
            _suspect(suspicions, found)
            again = relapses.noted(again, found, now_ns)
        if wrong:
            found = _suspicion(state, chain, Charge.VALUE, name, sitting, wrong[0], sure[wrong[0]], now_ns)
            if found is not None and one.facts[wrong[0]] == readback.NO_LOGS:
                found = evolve(found, since_ns=now_ns)
            _suspect(suspicions, _with_witnesses(state, found, said, now_ns))
            if any(one.facts[subject] != readback.NO_LOGS for subject in wrong):
                again = relapses.noted(again, found, now_ns)
        for caught in relapses.caught(state, chain, name, one, sitting, again, sure, now_ns):
            _suspect(suspicions, _with_witnesses(state, caught, said, now_ns))
        equal = sum(sure.get(subject, ("", ""))[0] == value for subject, value in one.facts.items())
        for charge, clean in ((Charge.PROOF, 0 if one.refuted else one.proofs), (Charge.VALUE, 0 if wrong else equal)):
            at = key(charge, name)
            if at in accused and clean:
                accused[at] = evolve(accused[at], clean=accused[at].clean + clean)
    return evolve(state, contracts=evolve(known, suspicions=suspicions, accused=accused, relapses=again))


def _suspect(suspicions: dict[str, Suspicion], found: Suspicion | None) -> None:
    """Note a suspicion, unless there is one already; one that needs no other answer takes its place."""
    if found is None:
        return
    at = key(found.charge, found.node)
    before = suspicions.get(at)
    if before is None or (found.reason and not before.reason):
        suspicions[at] = found


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
    # What was asked about an account in two phases is asked again at once: either may have been wrong.
    item = next(iter(merged([one for one in sitting.items if _is_about(one, charge, subject)])), None)
    if item is None:
        return None
    known = state.nodes[node].capabilities
    pin = readplan.pin_of(known, state.contracts.ways.get(node, readplan.NOTHING_REFUSED), now_ns)
    pin = pin if readplan.is_sure(known, pin) else Pin.NUMBER
    return Suspicion(
        charge=charge,
        node=node,
        contract=wanted.name_of(chain, address),
        block=sitting.block,
        root=sitting.root,
        question=reading(sitting.block, pin, (item,)),
        subject=subject,
        expected=sure[0],
        by=sure[1],
    )


def doubted(state: ChainState, chain: ChainSettings, event: ReadDoubted) -> ChainState:
    """Return the chain with a suspicion of a node by what was read beside the polls; what is none changes nothing."""
    found = parse(event.question)
    item = found.items[0] if found is not None and len(found.items) == 1 else None
    is_proof = isinstance(item, ProofOf)
    if item is None or is_proof is not (event.charge is Charge.PROOF) or bool(event.expected) is is_proof:
        return state
    if is_proof and not state.contracts.proves:
        return state
    subject = f"0x{item.address.hex()}" if isinstance(item, ProofOf) else readback.subject_of(item)
    known = state.nodes[event.node].capabilities
    pin = readplan.pin_of(known, state.contracts.ways.get(event.node, readplan.NOTHING_REFUSED), event.t_ns)
    pin = pin if readplan.is_sure(known, pin) else Pin.NUMBER
    suspicions = dict(state.contracts.suspicions)
    one = Suspicion(
        charge=event.charge,
        node=event.node,
        contract=wanted.name_of(chain, event.contract or readback.address_of(subject)),
        block=event.block,
        root=event.root,
        question=reading(event.block, pin, (item,)),
        subject=subject,
        expected=event.expected,
        by="quorum" if event.expected else "",
        agreed=tuple(sorted(event.agreed)[:_MOST_NAMED]),
    )
    _suspect(suspicions, one)
    return evolve(state, contracts=evolve(state.contracts, suspicions=suspicions))


def _with_witnesses(
    state: ChainState, one: Suspicion | None, said: Mapping[str, Heard], now_ns: int
) -> Suspicion | None:
    """Return a suspicion with who says what is right: who can show it by a proof, or all who say it."""
    found = parse(one.question) if one is not None else None
    if one is None or found is None:
        return one
    if one.by != "proven":
        agreed = [name for name, each in said.items() if each.facts.get(one.subject) == one.expected]
        return evolve(one, agreed=tuple(sorted(agreed)[:_MOST_NAMED]))
    able = sorted(name for name, each in said.items() if each.proven.get(one.subject) == one.expected)
    prover = next((name for name in able if name != one.node), next(iter(able), ""))
    item = _proving(found.items[0])
    if not prover or item is None:
        return one
    way = state.contracts.ways.get(prover, readplan.NOTHING_REFUSED)
    pin = readplan.pin_of(state.nodes[prover].capabilities, way, now_ns)
    return evolve(one, prover=prover, proving=reading(one.block, pin, (item,)))


def _proving(item: Item) -> ProofOf | None:
    """Return the proof that shows what a thing that is read really is."""
    match item:
        case CodeOf(address=address) | BalanceOf(address=address):
            return ProofOf(address=address)
        case SlotOf(address=address, key=slot):
            return ProofOf(address=address, keys=(slot,))
    return None


def _is_about(item: Item, charge: Charge, subject: str) -> bool:
    if charge is Charge.PROOF:
        return isinstance(item, ProofOf) and f"0x{item.address.hex()}" == subject
    return readback.subject_of(item) == subject


# -- asking again


def plan(state: ChainState, chain: ChainSettings, now_ns: int, request: int) -> tuple[ChainState, tuple[Fetch, ...]]:
    """Return what suspected nodes are asked once more, and the state that waits for it."""
    if not state.contracts.suspicions:
        return state, ()
    suspicions = dict(state.contracts.suspicions)
    fetches: list[Fetch] = []
    patience_ns = max(PATIENCE_POLLS * chain.poll_ns, _LEAST_PATIENCE_NS)
    for at, one in sorted(suspicions.items()):
        is_waited_for = bool(one.request) and now_ns - one.asked_ns < patience_ns
        if (one.reason and one.witnessed) or is_waited_for or one.node not in state.nodes:
            continue
        if one.since_ns and not one.tries and now_ns - one.since_ns < chain.poll_ns:
            continue  # a node may have a block before its logs
        if one.tries >= lenience.TRIES:
            del suspicions[at]
            continue
        again = one
        if not one.reason:
            request += 1
            again = evolve(one, request=request, asked_ns=now_ns, tries=one.tries + 1)
            fetches.append(Fetch(request=request, chain=chain.name, node=one.node, call=one.question))
        if not one.header:
            request += 1
            again = evolve(again, witness=_witness(state, chain, one), witnessed=request)
            fetches.append(Fetch(request=request, chain=chain.name, node=again.witness, call=by_hash(one.block.hash)))
        if one.prover in state.nodes and not one.proof:
            request += 1
            again = evolve(again, proved=request)
            fetches.append(Fetch(request=request, chain=chain.name, node=one.prover, call=one.proving))
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
        if (one.proved, one.prover, one.proving) == (event.request, event.node, event.call):
            return evolve(known, suspicions={**known.suspicions, at: evolve(one, proof=judged.shown(one, event))})
        if one.request != event.request or one.node != event.node or one.question != event.call or one.reason:
            continue
        is_sound, reason, found = judged.looked_at(one, event)
        left = {other: suspicion for other, suspicion in known.suspicions.items() if other != at}
        if not is_sound:
            # Without a reason it said nothing: then it is asked again at the next look.
            told = evolve(one, reason=reason, evidence=found, found_ns=event.t_ns)
            again = told if reason else evolve(one, asked_ns=0, request=0)
            left = {**known.suspicions, at: again}
        return evolve(known, suspicions=left)
    return known


# -- holding it against them


def concluded(state: ChainState, now_ns: int, poll_ns: int) -> ChainState:
    """Return the chain with those accused who gave wrong again what they gave wrong, of a block that is still there."""
    known = state.contracts
    done = {at: one for at, one in known.suspicions.items() if one.reason and _is_whole(one, now_ns, poll_ns)}
    if not done:
        return state
    accused = dict(known.accused)
    for at, one in sorted(done.items()):
        if not holds(state, one.block):
            continue
        shown, whole = kept_evidence(_told(state, one))
        accused[at] = Accusation(
            contract=one.contract, block=one.block, reason=one.reason, evidence=shown, at_ns=now_ns, whole=whole
        )
    left = {at: one for at, one in known.suspicions.items() if at not in done}
    again = relapses.without(known.relapses, {at for at, one in done.items() if one.request})
    return evolve(state, contracts=evolve(known, suspicions=left, accused=accused, relapses=again))


def _is_whole(one: Suspicion, now_ns: int, poll_ns: int) -> bool:
    """Tell whether the evidence lacks nothing, or what it lacks was waited for long enough."""
    is_lacking = not one.header or (one.prover and not one.proof)
    return not is_lacking or now_ns - one.found_ns >= max(_EVIDENCE_POLLS * poll_ns, _LEAST_EVIDENCE_NS)


def _told(state: ChainState, one: Suspicion) -> Json:
    """Return the evidence, with the header that the claim is held against: so that anybody can recompute its hash.

    Where nobody gave it in time, with what is kept of it.
    """
    told = {**one.evidence, "proof": one.proof} if one.proof else one.evidence
    if one.header:
        return {**told, "header": one.header}
    header = state.tree.headers.get(one.block.hash)
    if header is None:  # a finalized one from before the start: those who call it final have shown its root
        return {**told, "header": {"number": one.block.number, "hash": one.block.hash, "state_root": one.root}}
    shown = {
        "number": header.number,
        "hash": header.hash,
        "parent_hash": header.parent_hash,
        "timestamp": header.timestamp,
        "state_root": header.state_root,
        "verification": header.verification.value,
    }
    return {**told, "header": shown}


def forgiven(state: ChainState, charge: Charge, node: str) -> ChainState:
    """Return the chain after a person has seen what a node was accused of."""
    at = key(charge, node)
    left = {other: one for other, one in state.contracts.accused.items() if other != at}
    again = relapses.without(state.contracts.relapses, {at})
    return evolve(state, contracts=evolve(state.contracts, accused=left, relapses=again))
