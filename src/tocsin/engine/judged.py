"""Whether what a node answers about contracts is wrong, and what proves that."""

from tocsin.chain.proof import Proven, Refuted
from tocsin.engine import evidence, readback
from tocsin.engine.evidence import Kind
from tocsin.engine.sitting import Suspicion
from tocsin.model.alert import Json
from tocsin.model.event import Fetched
from tocsin.model.observation import Part, number_of
from tocsin.model.reading import Item, ProofOf, parse


def looked_at(one: Suspicion, event: Fetched) -> tuple[bool, str, Json]:
    """Return whether an answer to what is suspected of a node is sound, else what is wrong with it, and evidence."""
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


def shown(one: Suspicion, event: Fetched) -> Json:
    """Return the proof of what is right, where an answer is one."""
    parts, found = readback.parts_of(event), parse(one.proving)
    part = next((part for part in parts if number_of(part.call) is None), None)
    item = found.items[0] if found is not None else None
    if part is None or found is None or not isinstance(item, ProofOf):
        return {}
    proven = readback.proof_of(item, part, one.root, found.pin)
    if not isinstance(proven, Proven) or readback.facts_of(item, proven).get(one.subject) != one.expected:
        return {}
    return evidence.proof_of(item, part, range(len(item.keys)))


def _evidence(one: Suspicion, item: Item, parts: tuple[Part, ...], part: Part) -> Json:
    kind = Kind.PROOF if isinstance(item, ProofOf) else Kind.VALUE
    told = {
        **evidence.about(kind, one.block),
        "contract": one.contract,
        "state_root": one.root or None,
        "question": one.question,
        "headers": [evidence.header_of(header) for header in parts if number_of(header.call) is not None],
    }
    if isinstance(item, ProofOf):
        return told | evidence.wrong_proof(bytes.fromhex(one.root[2:]), item, part)
    right = {"subject": one.subject, "expected": one.expected, "expected_by": one.by, "agreed": list(one.agreed)}
    return {**told, **right, "answer": evidence.answer_of(part)}
