"""Observations into node records: what one answer, or one failure, says about the node that gave it."""

import re
from functools import lru_cache

import orjson

from tocsin.chain.header import Absent, Malformed, decode_header, real_hash
from tocsin.ids import digest
from tocsin.model.block import Header, Verification
from tocsin.model.event import Polled
from tocsin.model.evolve import evolve
from tocsin.model.observation import (
    CHAIN_ID,
    FINALIZED,
    GENESIS,
    LATEST,
    SAFE,
    SYNCING,
    Fault,
    FaultKind,
    Part,
    RpcErrorKind,
)
from tocsin.model.settings import ChainSettings
from tocsin.model.view import NodeRecord

FAILURE_CAP = 6
"""Leaky failures stop counting here, so that a node which was dead for a day recovers as fast as one of a minute."""

_TAGS = ((SAFE, "safe"), (FINALIZED, "finalized"), (GENESIS, "genesis_hash"))
_REFUSALS = (FaultKind.RATE_LIMITED, FaultKind.BUDGET)
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,16}")

_LARGEST_CACHED = 1 << 16
"""A header without its transactions has 2 kB, one with 180 hashes 15 kB. What a node sends beyond all reason is read
each time: kept by the hundreds, it would fill the memory."""

# Both are functions of the bytes alone; twenty nodes show the same head, and each shows it for several polls.
_cached_header_of = lru_cache(maxsize=512)(decode_header)
_cached_digest_of = lru_cache(maxsize=512)(digest)


def header_of(result: bytes, accuses: bool = True) -> Header | Malformed | Absent:  # noqa: FBT001, FBT002 - as it reads
    """Return what `decode_header` reads, from memory if it is known."""
    return _cached_header_of(result, accuses) if len(result) <= _LARGEST_CACHED else decode_header(result, accuses)


def _digest_of(result: bytes) -> str:
    return _cached_digest_of(result) if len(result) <= _LARGEST_CACHED else digest(result)


def fold(record: NodeRecord, event: Polled, chain: ChainSettings) -> NodeRecord:
    """Return the record after one poll. A failure while our own loop stood still says nothing."""
    if event.fault is not None:
        return record if event.stalled else failed(record, event.fault, event.t_ns)
    parts = {part.call: part for part in event.parts}
    fault = _essential_fault(parts.get(CHAIN_ID)) or _essential_fault(parts.get(LATEST))
    if fault is not None:
        return failed(record, fault, event.t_ns)
    latest = parts[LATEST].result
    header = header_of(latest, chain.hashes_as_ethereum) if latest is not None else None
    if not isinstance(header, Header):
        return failed(record, _bad_header(header), event.t_ns)
    chain_id = _quantity(parts[CHAIN_ID].result)
    if chain_id is None:
        return failed(record, Fault(kind=FaultKind.MALFORMED, detail="eth_chainId is no quantity"), event.t_ns)
    changes = _answered(record, event, chain_id)
    if chain_id == chain.id:
        changes |= _extras(parts, chain) | _head(record, header, latest or b"", event.t_ns)
    return evolve(record, **changes)


def failed(record: NodeRecord, fault: Fault, t_ns: int) -> NodeRecord:
    """Return the record after a poll without a usable answer. Being refused is no failure of the node."""
    refused = fault.kind in _REFUSALS
    until = t_ns + fault.retry_after_ns if refused and fault.retry_after_ns is not None else record.limited_until_ns
    return evolve(
        record,
        polls=record.polls + 1,
        failures=record.failures if refused else min(FAILURE_CAP, record.failures + 1),
        missed=record.missed + 1,
        refusals=record.refusals + 1 if refused else 0,
        fault=fault,
        limited_until_ns=until,
    )


def _answered(record: NodeRecord, event: Polled, chain_id: int) -> dict[str, object]:
    return {
        "polls": record.polls + 1,
        "answers": record.answers + 1,
        "failures": max(0, record.failures - 1),
        "missed": 0,
        "refusals": 0,
        "fault": None,
        "limited_until_ns": None,
        "last_answer_ns": event.t_ns,
        "latency_ns": event.t_ns - event.started_ns,
        "chain_id": chain_id,
        "bodies": tuple([(part.call, _digest_of(part.result)) for part in event.parts if part.result is not None]),
    }


def _head(record: NodeRecord, header: Header, raw: bytes, t_ns: int) -> dict[str, object]:
    if header.verification is Verification.MISMATCH:
        return {"corrupt": header, "corrupt_hash": real_hash(raw)}
    if record.head is not None and header.hash == record.head.hash and record.corrupt is None:
        return {}
    advanced = record.head is None or header.number > record.head.number
    return {
        "head": header,
        "head_since_ns": t_ns if advanced else record.head_since_ns,
        "corrupt": None,
        "corrupt_hash": None,
    }


def _extras(parts: dict[str, Part], chain: ChainSettings) -> dict[str, object]:
    """Return what is not asked in every poll; what did not come, or came as an error, leaves the old value."""
    changes: dict[str, object] = {}
    for call, field in _TAGS:
        part = parts.get(call)
        header = None
        if part is not None and part.result is not None:
            header = header_of(part.result, chain.hashes_as_ethereum)
        if isinstance(header, Header) and header.verification is not Verification.MISMATCH:
            changes[field] = header.hash if call == GENESIS else header.ref
    part = parts.get(SYNCING)
    if part is not None and part.result is not None and (part.result == b"false" or part.result[:1] == b"{"):
        # The execution API knows false and an object; null and the like, which gateways give, say nothing.
        changes["syncing"] = part.result != b"false"
    return changes


def _essential_fault(part: Part | None) -> Fault | None:
    """Return why a call that every node must answer has no result."""
    if part is None:
        return Fault(kind=FaultKind.MALFORMED, detail="an answer that was asked for is missing")
    if part.error is None:
        return None
    if part.error.kind is RpcErrorKind.RATE_LIMITED:
        return Fault(kind=FaultKind.RATE_LIMITED, detail=f"{part.error.code} {part.error.message}")
    if part.error.kind is RpcErrorKind.AUTH:
        return Fault(kind=FaultKind.AUTH, detail=f"{part.error.code} {part.error.message}")
    return Fault(kind=FaultKind.RPC_ERROR, detail=f"{part.call}: {part.error.code} {part.error.message}")


def _bad_header(header: Malformed | Absent | None) -> Fault:
    why = header.reason if isinstance(header, Malformed) else "the node has no latest block"
    return Fault(kind=FaultKind.MALFORMED, detail=f"latest block: {why}"[:300])


def _quantity(result: bytes | None) -> int | None:
    """Read a hex quantity below 2^64 strictly; None for anything else."""
    try:
        text = orjson.loads(result or b"null")
    except orjson.JSONDecodeError:
        return None
    return int(text, 16) if isinstance(text, str) and _QUANTITY.fullmatch(text) else None
