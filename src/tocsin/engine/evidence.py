"""What proves that a node gave something wrong, as it stands in alerts, files and bundles.

Whoever has it needs nothing else to check it, neither a node nor Tocsin: a header whose hash can be recomputed, what
the node answered, and what shows that this is wrong. Of an answer only that is kept which is needed, so that a liar
cannot make it long. The shape: docs/reference/evidence.md. `tocsin.engine.recheck` checks it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

import orjson

from tocsin.chain.header import fields_of, wrong_fields_of
from tocsin.chain.logproof import Difference, LogEvidence
from tocsin.chain.proof import Claim, Refuted, SlotClaim, claim_of, verify
from tocsin.ids import digest
from tocsin.model.alert import Json
from tocsin.model.block import BlockRef, Header
from tocsin.model.observation import Part
from tocsin.model.reading import ProofOf
from tocsin.wire.envelope import EVIDENCE_LIMIT, travelling, written

SCHEMA: Final = 1

LONGEST: Final = 200_000
"""Characters of an answer that are kept as they stand. No code has more than 49,154 (EIP-170), no proof of an account
and one slot more than 141,000 (65 nodes of 532 bytes each)."""

_LONGEST_HEADER: Final = 8_000
"""Characters. One of Ethereum has 2,000, half of which are its bloom; proof of authority adds signatures."""

_CLAIMED: Final = ("address", "nonce", "balance", "storageHash", "codeHash", "accountProof")


class Kind(StrEnum):
    """What is proven. Closed: stands in evidence."""

    PROOF = "proof"
    """A proof of an account, or of a slot, that does not lead from the state root to what it says."""
    VALUE = "value"
    """A slot, code or result that is not what is proven, or what a quorum says."""
    LOGS = "logs"
    """Logs of a block that are not those of its receipts, or that its bloom excludes."""
    RECEIPTS = "receipts"
    """Receipts of a block that do not hash to the root in its header."""
    HEADER = "header"
    """A header whose fields do not hash to its hash."""


def kept(found: Json) -> tuple[Json, bytes]:
    """Return what a state keeps of evidence: all of it, or what travels in an alert and the whole as one piece."""
    whole = written(found)
    return (found, b"") if len(whole) <= EVIDENCE_LIMIT else (travelling(whole), whole)


def about(kind: Kind, block: BlockRef) -> dict[str, object]:
    """Return what all evidence begins with."""
    return {"schema": SCHEMA, "kind": kind.value, "block": {"number": block.number, "hash": block.hash}}


def answer_of(part: Part | None) -> object:
    """Return an answer as evidence: as it stands, by its digest where it is too long, or the error."""
    if part is None or (part.result is None and part.error is None):
        return None
    if part.error is not None:
        return {"error": part.error.message, "code": part.error.code, "kind": part.error.kind.value}
    return _bounded(part.result or b"null")


def _bounded(result: bytes) -> object:
    if len(result) > LONGEST:
        return {"digest": digest(result), "size": len(result)}
    return orjson.loads(result)


def claim_asked(item: ProofOf) -> dict[str, object]:
    """Return of what a proof is one: the address and the slots."""
    return {"address": f"0x{item.address.hex()}", "slots": [f"0x{slot.hex()}" for slot in item.keys]}


def wrong_proof(root: bytes, item: ProofOf, part: Part) -> dict[str, object]:
    """Return the claim and the answer of a node whose proof is refuted: the account, and the first slot that is wrong.

    The rest of a long answer proves nothing.
    """
    claim = claim_of(part.result or b"", item.address, item.keys)
    if not isinstance(claim, Claim):
        return {"claim": claim_asked(item), "answer": answer_of(part)}
    return proof_of(item, part, _wrong_slot(root, claim))


def _wrong_slot(root: bytes, claim: Claim) -> list[int]:
    """Return the place of the first slot whose proof is refuted; of none where that of the account is."""
    if isinstance(verify(root, replace(claim, slots=())), Refuted):
        return []
    wrong = (at for at, slot in enumerate(claim.slots) if isinstance(verify(root, _only(claim, slot)), Refuted))
    return [at for at in (next(wrong, None),) if at is not None]


def _only(claim: Claim, slot: SlotClaim) -> Claim:
    return replace(claim, slots=(slot,))


def proof_of(item: ProofOf, part: Part, slots: Sequence[int]) -> dict[str, object]:
    """Return the claim and the answer that remain of one to `eth_getProof`: the account, and the slots in these places.

    The answer must be one (`tocsin.chain.proof.claim_of`).
    """
    answer: dict[str, Any] = orjson.loads(part.result or b"null")
    proofs = [_slot(answer["storageProof"][at]) for at in slots]
    kept = {**{name: answer[name] for name in _CLAIMED}, "storageProof": proofs}
    asked = ProofOf(address=item.address, keys=tuple([item.keys[at] for at in slots]))
    return {"claim": claim_asked(asked), "answer": _bounded(orjson.dumps(kept))}


def _slot(proof: Mapping[str, Any]) -> dict[str, Any]:
    return {name: proof[name] for name in ("key", "value", "proof")}


def header_of(part: Part) -> object:
    """Return a header as evidence: what its hash is made of; where no rule gives its hash, its number and hash."""
    fields = fields_of(part.result or b"null")
    if fields is not None:
        return fields
    shown = orjson.loads(part.result or b"null")
    return {name: _short(shown.get(name)) for name in ("number", "hash")} if isinstance(shown, dict) else None


def _short(value: object) -> object:
    return value if isinstance(value, str) and len(value) <= len("0x") + 64 else None


def of_header(header: Header, shown: bytes, recomputed: str | None) -> Json:
    """Return the evidence that a node showed a header that does not hash to its hash: all that is hashed, and what to.

    Of one that is longer than any chain's only a summary is kept, which proves nothing: states keep this.
    """
    fields = wrong_fields_of(shown)
    if fields is None or len(orjson.dumps(fields)) > _LONGEST_HEADER:
        fields = {"number": header.number, "hash": header.hash, "state_root": header.state_root}
    return {**about(Kind.HEADER, header.ref), "header": fields, "recomputed_hash": recomputed}


# -- of logs


def of_logs(found: LogEvidence, how: Difference) -> Json:
    """Return the evidence that a node told wrong logs of a block. All of it is needed, so none of it is cut."""
    wanted = {
        "addresses": [f"0x{address.hex()}" for address in found.wanted.addresses],
        "topics": [f"0x{topic.hex()}" for topic in found.wanted.topics],
    }
    if found.wanted.first_arguments:
        wanted["first_arguments"] = [f"0x{word.hex()}" for word in found.wanted.first_arguments]
    shown = fields_of(found.header)
    evidence: dict[str, object] = {
        **about(Kind.LOGS, found.block),
        "wrong": how.wrong.value,
        "detail": how.detail,
        "asked": wanted,
        "answer": orjson.loads(found.told),
        "header": shown if shown is not None else orjson.loads(found.header),
    }
    return {**evidence, "receipts": orjson.loads(found.receipts)} if found.receipts else evidence


def of_receipts(block: BlockRef, header: bytes, receipts: bytes, reason: str) -> Json:
    """Return the evidence that a node gave receipts that do not hash to the root in the header of their block."""
    shown = fields_of(header)
    return {
        **about(Kind.RECEIPTS, block),
        "detail": reason,
        "answer": orjson.loads(receipts),
        "header": shown if shown is not None else orjson.loads(header),
    }
