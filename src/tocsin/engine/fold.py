"""Observations into node records: what one answer, or one failure, says about the node that gave it."""

from functools import lru_cache

from tocsin.chain.header import Absent, Malformed, decode_header, real_hash
from tocsin.engine import evidence, vitals
from tocsin.engine.quantity import json_of, network_of, quantity_of
from tocsin.ids import digest
from tocsin.model.block import Header, Verification
from tocsin.model.event import Fetched, Polled
from tocsin.model.evolve import evolve
from tocsin.model.observation import (
    CHAIN_ID,
    FINALIZED,
    GENESIS,
    LATEST,
    NETWORK,
    SAFE,
    SYNCING,
    BudgetUse,
    Fault,
    FaultKind,
    Part,
    RpcErrorKind,
)
from tocsin.model.settings import ChainSettings
from tocsin.model.view import NodeRecord

FAILURE_CAP = 6
"""Leaky failures stop counting here, so that a node which was dead for a day recovers as fast as one of a minute."""

_EVERY_POLL = 2
"""Answers that every poll brings: chain id and head."""
_TAGS = ((SAFE, "safe"), (FINALIZED, "finalized"), (GENESIS, "genesis_hash"))
_REFUSALS = (FaultKind.RATE_LIMITED, FaultKind.BUDGET)

_OUTCOMES = (1 << 64) - 1
_LATENCIES = 32
_LEAST_LATENCIES = 20
_SLOW_MS = 200
"""Below this no percentile is worked out: nothing that is this fast is judged slow."""

_UNPROVEN = 8
_REGRESSIONS = 8
_MOST_REGRESSED = 3
"""Blocks: two nodes behind one address are rarely farther apart."""
_REGRESSED_WITHIN_NS = 5 * 10**9
_REGRESSED_WITHIN_POLLS = 2
"""A head that was lower within 5 s, or from one poll to the next where polls are rarer: no chain goes back so fast."""

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
    if event.budget is not None or record.budget is not None:
        record = evolve(record, budget=known_use(record.budget, event.budget))
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
    chain_id = quantity_of(json_of(parts[CHAIN_ID].result))
    if chain_id is None:
        return failed(record, Fault(kind=FaultKind.MALFORMED, detail="eth_chainId is no quantity"), event.t_ns)
    changes = _answered(record, event, chain_id)
    is_ours = chain_id == chain.id
    if len(parts) > _EVERY_POLL:
        changes |= _extras(parts, chain) if is_ours else {}
        if not vitals.SLOW.isdisjoint(parts):
            changes["vitals"] = vitals.observe(record.vitals, parts, event.t_ns)
    if is_ours:
        changes |= _head(record, header, latest or b"", event.t_ns, chain)
    return evolve(record, **changes)


def known_use(before: BudgetUse | None, now: BudgetUse | None) -> BudgetUse | None:
    """Return how a budget is used; after a start, for as long as that is not known, how it was before."""
    if now is None or now.wanted is not None or before is None:
        return now
    return before if (before.per_day, before.shared) == (now.per_day, now.shared) else now


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
        outcomes=record.outcomes if refused else noted(record.outcomes, failed=True),
    )


def fetched(record: NodeRecord, event: Fetched) -> NodeRecord:
    """Return the record after a question outside the polls: it counts among those that failed or did not."""
    if event.fault is not None and event.fault.kind in _REFUSALS:
        return record
    return evolve(record, outcomes=noted(record.outcomes, failed=event.fault is not None))


def noted(outcomes: int, *, failed: bool) -> int:
    """Return the outcomes with one more."""
    return (outcomes << 1 | failed) & _OUTCOMES


def _answered(record: NodeRecord, event: Polled, chain_id: int) -> dict[str, object]:
    latency_ms = (event.t_ns - event.started_ns) // 10**6
    # While our own loop stood still, nobody knows when the answer came.
    latencies = record.latencies if event.stalled else (*record.latencies[1 - _LATENCIES :], latency_ms)
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
        "outcomes": noted(record.outcomes, failed=False),
        "latencies": latencies,
        "p95_ms": _p95(latencies) if record.p95_ms or latency_ms >= _SLOW_MS else 0,
        "bodies": tuple([(part.call, _digest_of(part.result)) for part in event.parts if part.result is not None]),
    }


def _p95(latencies: tuple[int, ...]) -> int:
    if len(latencies) < _LEAST_LATENCIES or max(latencies) < _SLOW_MS:
        return 0
    return sorted(latencies)[(95 * len(latencies) + 99) // 100 - 1]


def _head(record: NodeRecord, header: Header, raw: bytes, t_ns: int, chain: ChainSettings) -> dict[str, object]:
    if header.verification is Verification.MISMATCH:
        recomputed = real_hash(raw)
        shown = evidence.of_header(header, raw, recomputed)
        return {"corrupt": header, "corrupt_hash": recomputed, "corrupt_shown": shown}
    if record.head is not None and header.hash == record.head.hash and record.corrupt is None:
        return {}
    advanced = record.head is None or header.number > record.head.number
    changes: dict[str, object] = {
        "head": header,
        "head_since_ns": t_ns if advanced else record.head_since_ns,
        "corrupt": None,
        "corrupt_hash": None,
        "corrupt_shown": {},
    }
    if header.verification is Verification.CANNOT_VERIFY:
        changes["unproven"] = (*record.unproven[1 - _UNPROVEN :], header)
    if not advanced and _regressed(record, header, t_ns, chain):
        changes["regressions"] = (*record.regressions[1 - _REGRESSIONS :], t_ns)
    return changes


def _regressed(record: NodeRecord, header: Header, t_ns: int, chain: ChainSettings) -> bool:
    """Tell whether the node showed a slightly higher head a moment ago."""
    before, last_ns = record.head, record.last_answer_ns
    if before is None or last_ns is None or not 1 <= before.number - header.number <= _MOST_REGRESSED:
        return False
    return t_ns - last_ns <= max(_REGRESSED_WITHIN_NS, _REGRESSED_WITHIN_POLLS * chain.poll_ns)


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
            if call == FINALIZED:
                changes["finalized_root"] = header.state_root if header.verification is Verification.MATCH else ""
    part = parts.get(NETWORK)
    network_id = network_of(json_of(part.result)) if part is not None else None
    if network_id is not None:
        changes["network_id"] = network_id
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
    kinds = {RpcErrorKind.RATE_LIMITED: FaultKind.RATE_LIMITED, RpcErrorKind.AUTH: FaultKind.AUTH}
    said = part.error.message or "no message"
    return Fault(
        kind=kinds.get(part.error.kind, FaultKind.RPC_ERROR),
        detail=f"{part.call} was answered with error {part.error.code}: {said}",
    )


def _bad_header(header: Malformed | Absent | None) -> Fault:
    why = header.reason if isinstance(header, Malformed) else "the node has no latest block"
    return Fault(kind=FaultKind.MALFORMED, detail=f"latest block: {why}"[:300])
