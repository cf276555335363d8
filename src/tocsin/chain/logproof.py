"""Whether the logs that a node tells of a block are all of them: held against the header's bloom, and its receipts.

The bloom of a header that hashes to the agreed hash says of most quiet blocks that they hold none of the events that
are looked for: then no node can invent one. Where it says that they may, only the receipts tell for sure. Whoever tells
otherwise than receipts that hash to the root is wrong, and everybody can check that with header, receipts and answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

import orjson

from tocsin.chain import fields
from tocsin.chain.fields import FieldError
from tocsin.chain.header import Absent, Malformed, decode_header
from tocsin.chain.loganswer import BlockLogs, Content, Refused, read_logs, selected
from tocsin.chain.receipts import Logs, Unproven, logs_of, may_hold
from tocsin.model.block import BlockRef, Verification
from tocsin.model.logquery import LogFilter, LogQuery, LogsIn


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHeader:
    """What of a header speaks of its logs. `verified`: its fields hash to its hash, which thus binds all of it."""

    block: BlockRef
    parent_hash: str
    receipts_root: bytes
    bloom: bytes
    verified: bool


class Wrong(StrEnum):
    """How the logs that a node tells of a block differ from those of its receipts. Closed: a label of findings."""

    LEFT_OUT = "left-out"
    INVENTED = "invented"
    CHANGED = "changed"
    REORDERED = "reordered"
    WRONG_BLOCK = "wrong-block"
    """Logs of another block than the one that stands at this height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How logs that were told differ from the proven ones; `detail` says where."""

    wrong: Wrong
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvidence:
    """What proves that a node told wrong logs of a block: its own answer, the header, the receipts, as they came.

    Where the header's bloom says that there is no such log, that is enough, and `receipts` is empty.
    """

    block: BlockRef
    wanted: LogFilter
    told: bytes
    header: bytes
    receipts: bytes


def log_header(result: bytes, accuses: bool = True) -> LogHeader | Malformed | Absent:  # noqa: FBT001, FBT002 - as `decode_header`
    """Read a block's JSON, `accuses` as for `decode_header`. Fields that do not hash to the hash are no header.

    Never raises.
    """
    header = decode_header(result, accuses)
    if isinstance(header, Malformed | Absent):
        return header
    if header.verification is Verification.MISMATCH:
        return Malformed(reason=f"a header of block {header.number} that does not hash to its hash")
    block = orjson.loads(result)
    try:
        return LogHeader(
            block=header.ref,
            parent_hash=header.parent_hash,
            receipts_root=fields.data(block, "receiptsRoot", length=32),
            bloom=fields.data(block, "logsBloom", length=256),
            verified=header.verification is Verification.MATCH,
        )
    except FieldError as error:
        return Malformed(reason=f"block {header.number}: {error}")


def can_hold(header: LogHeader, wanted: LogFilter) -> bool:
    """Tell whether a block may hold logs that are asked for; where not, it holds none."""
    parts = (wanted.topics, wanted.addresses, wanted.first_arguments)
    return all(any(may_hold(header.bloom, (one,)) for one in part) for part in parts if part)


def nothing(header: LogHeader) -> BlockLogs:
    """Return what a block holds whose bloom says that it holds none of the logs."""
    return BlockLogs(header.block.hash, ())


def proven(header: LogHeader, receipts: bytes, wanted: LogFilter) -> BlockLogs | Unproven | Malformed:
    """Return the logs that a block holds, by its receipts as `eth_getBlockReceipts` gives them."""
    found = logs_of(header.receipts_root, receipts)
    if not isinstance(found, Logs):
        return found
    return BlockLogs(header.block.hash, selected(found.logs, wanted))


def difference(told: BlockLogs | None, truth: BlockLogs) -> Difference | None:
    """Say how the logs that were told of a block differ from the true ones; None where they do not."""
    if told is not None and told.hash != truth.hash:
        return Difference(wrong=Wrong.WRONG_BLOCK, detail=f"of block {told.hash}, where {truth.hash} stands")
    said, right = (() if told is None else told.content()), truth.content()
    if said == right:
        return None
    where = f"the first: {_parting(said, right)} of those asked for"
    if _is_part(said, right):
        return Difference(wrong=Wrong.LEFT_OUT, detail=f"{len(right) - len(said)} of {len(right)} left out, {where}")
    if _is_part(right, said):
        detail = f"{len(said) - len(right)} more than the {len(right)} that there are, {where}"
        return Difference(wrong=Wrong.INVENTED, detail=detail)
    if Counter(said) == Counter(right):
        return Difference(wrong=Wrong.REORDERED, detail=f"{len(right)} in another order, {where}")
    return Difference(wrong=Wrong.CHANGED, detail=f"{len(said)} told of {len(right)} that there are, {where}")


def recheck(evidence: LogEvidence) -> Difference | Refused | None:
    """Check evidence again, from its bytes alone: how the answer is wrong, why it proves nothing, or None: it is right.

    An answer that cannot be read proves nothing here: that is no lie about logs.
    """
    header = log_header(evidence.header)
    if not isinstance(header, LogHeader) or not header.verified or header.block != evidence.block:
        return Refused(reason=f"the header is not that of block {evidence.block.number} ({evidence.block.hash})")
    truth = proven(header, evidence.receipts, evidence.wanted) if can_hold(header, evidence.wanted) else nothing(header)
    if not isinstance(truth, BlockLogs):
        return Refused(reason=f"the receipts prove nothing: {truth.reason}")
    told = read_logs(evidence.told, one_block(header.block.number, evidence.wanted))
    if isinstance(told, Refused):
        return told
    return difference(told.blocks.get(header.block.number), truth)


def one_block(number: int, wanted: LogFilter) -> LogQuery:
    """Return the question for one height."""
    return LogsIn(first=number, last=number, wanted=wanted)


def is_audited(salt: bytes, number: int, one_in: int) -> bool:
    """Tell whether a block is one of those that are held against their receipts though nobody doubts them.

    Drawn by a secret salt, so that no node knows where it may lie; the same after a restart. 0 draws none.
    """
    drawn = int.from_bytes(sha256(salt + number.to_bytes(8)).digest()[:8])
    return one_in > 0 and drawn % one_in == 0


def _is_part(some: Sequence[Content], whole: Sequence[Content]) -> bool:
    """Whether `some` is `whole` with some left out, in its order."""
    rest = iter(whole)
    return len(some) < len(whole) and all(one in rest for one in some)


def _parting(one: Sequence[Content], other: Sequence[Content]) -> int:
    """Return the first place where two lists differ."""
    places = (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return next(places, min(len(one), len(other)))
