"""What one node answered to a person's question about state, and whether it counts.

A person who reads a contract by hand looks for whom to believe. So what is proven wrong at this very block counts no
more here, without asking a second time, and is told with its reason: that accuses nobody, as an alert would.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tocsin.chain.header import Malformed
from tocsin.chain.proof import Claim, Proven, Refuted, claim_of
from tocsin.engine import blockstate
from tocsin.engine.readback import REVERTS, heard, is_of, parts_of, proof_of, subject_of
from tocsin.engine.sitting import Heard
from tocsin.engine.state import ChainState
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.observation import Part
from tocsin.model.reading import CallOf, Pin, ProofOf, parse
from tocsin.state.asking import hex_data, is_revert
from tocsin.state.ground import Place

_LONGEST_WHY: Final = 300
_NOTHING: Final = b"null"
_WORD: Final = 32
_TOO_LARGE: Final = 1 << 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one node answered: facts, why the call reverted, and why it is silent, of all or of a part, if it is."""

    heard: Heard = field(default_factory=Heard)
    revert: str = ""
    why: str = ""
    claimed: Mapping[str, str] = field(default_factory=dict)
    """By subject, what its answer to the question for proofs says of slots, whether it proves that or not."""
    malformed: str = ""
    """Why its answer to the question for proofs is none."""


def said_by(event: Fetched, place: Place) -> Said:
    """Return what a node answered. Results of calls are taken whole: they are compared, and shown."""
    if event.fault is not None:
        return Said(why=f"{event.fault.kind.value}: {event.fault.detail}")
    if not is_of(event, place.block):
        return Said(why="it answers of another block")
    found = Said(heard=heard(event, place.block, place.root))
    for part in parts_of(event):
        asked = parse(part.call)
        item = asked.items[0] if asked is not None else None
        if isinstance(item, CallOf):
            found = _with_call(found, item, part)
        elif part.error is not None:
            found = evolve(found, why=found.why or f"{part.error.kind.value}: {part.error.message}")
        elif isinstance(item, ProofOf) and asked is not None:
            found = _with_proof(found, item, part, place.root, asked.pin)
    return found


def _with_call(found: Said, item: CallOf, part: Part) -> Said:
    value, revert, why = _returned(part)
    facts = {name: fact for name, fact in found.heard.facts.items() if name != subject_of(item)}
    whole = facts if value is None else {**facts, subject_of(item): value}
    return evolve(found, heard=evolve(found.heard, facts=whole), revert=revert, why=why or found.why)


def _returned(part: Part) -> tuple[str | None, str, str]:
    """Return what a call returned, why it reverted, and why it is no answer."""
    if is_revert(part):
        return REVERTS, part.error.message if part.error is not None else "", ""
    if part.error is not None:
        return None, "", f"{part.error.kind.value}: {part.error.message}"
    data = hex_data(part.result or b"")
    return (None, "", "its result is no hex data") if data is None else (f"0x{data.hex()}", "", "")


def _with_proof(found: Said, item: ProofOf, part: Part, root: str, pin: Pin) -> Said:
    if part.result == _NOTHING:
        return evolve(found, why=found.why or "it gives no proof")
    claim = claim_of(part.result or b"", item.address, item.keys)
    if isinstance(claim, Malformed):
        malformed = f"its proof is malformed: {claim.reason}"
        return evolve(found, malformed=malformed)
    if not isinstance(proof_of(item, part, root, pin), Proven | Refuted):
        return evolve(found, why=found.why or "its proof begins at another state root: it may be of another block")
    return evolve(found, claimed=dict(_claimed(claim)))


def _claimed(claim: Claim) -> list[tuple[str, str]]:
    address = f"0x{claim.address.hex()}"
    return [(f"{address}:0x{slot.key.hex()}", _word(slot.value)) for slot in claim.slots]


def _word(value: int) -> str:
    return f"0x{value.to_bytes(_WORD).hex()}" if value < _TOO_LARGE else "more than a slot holds"


# -- what does not count


def uncounted(state: ChainState, said: Mapping[str, Said], trusted: Mapping[str, Heard]) -> dict[str, str]:
    """Return whose word does not count, and why. `trusted` is what each said of which it may have the state.

    Where no node ever gave a sound proof the chain may keep its state otherwise: then no proof speaks against anybody.
    """
    believed = [one for name, one in trusted.items() if name in state.nodes and blockstate.counts(state, name)]
    proven = {subject: value for one in believed for subject, value in one.proven.items()}
    proves = state.contracts.proves or bool(proven)
    found: dict[str, str] = {}
    for name, one in sorted(said.items()):
        if why := _why(state, name, one, trusted.get(name, one.heard), proven, proves=proves):
            found[name] = why[:_LONGEST_WHY]
    return found


def _why(state: ChainState, name: str, one: Said, trusted: Heard, proven: Mapping[str, str], *, proves: bool) -> str:
    """Return why a node's word does not count, empty where it does."""
    if proves and one.heard.refuted:
        return f"its proof is wrong: {one.heard.refuted[min(one.heard.refuted)]}"
    if proves and one.malformed:
        return one.malformed
    for subject, value in sorted(trusted.facts.items()):
        if proven.get(subject, value) != value:
            return f"it says {value} of {_named(subject)}, and {proven[subject]} is proven"
    if name not in state.nodes or not blockstate.counts(state, name):
        return "it has no vote: tocsin status says why"
    return ""


def _named(subject: str) -> str:
    """Return what people call the thing that a subject is of."""
    what = subject.partition(":")[2]
    return f"slot {what}" if what.startswith("0x") else f"the {what}"
