"""What proves that a node told wrong receipts of a block: they do not hash to the root in the block's header."""

from dataclasses import dataclass

from tocsin.chain.header import Malformed
from tocsin.chain.loganswer import Refused
from tocsin.chain.logproof import Difference, LogHeader, Wrong, log_header
from tocsin.chain.receipts import Unproven, logs_of
from tocsin.model.block import BlockRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptEvidence:
    """Receipts that a node told of a block, and the header that they do not belong to, as they came."""

    block: BlockRef
    told: bytes
    header: bytes


def recheck_receipts(evidence: ReceiptEvidence) -> Difference | Refused | None:
    """Check receipts again, from the bytes alone: how they are wrong, why that proves nothing, or None: they are right.

    No receipts at all are no answer: who has not got them yet says so too.
    """
    header = log_header(evidence.header)
    if not isinstance(header, LogHeader) or not header.verified or header.block != evidence.block:
        return Refused(reason=f"the header is not that of block {evidence.block.number} ({evidence.block.hash})")
    if is_nothing(evidence.told):
        return Refused(reason="there are no receipts in the answer, so that it says nothing")
    found = logs_of(header.receipts_root, evidence.told)
    if isinstance(found, Malformed):
        return Refused(reason=f"the receipts cannot be read: {found.reason}")
    if not isinstance(found, Unproven):
        return None
    return Difference(wrong=Wrong.CHANGED, detail=found.reason) if found.accuses else Refused(reason=found.reason)


def is_nothing(receipts: bytes) -> bool:
    """Tell whether an answer has no receipts in it."""
    return receipts.strip() in (b"", b"[]", b"null")
