"""What a record keeps of how a node answers: outcomes, times, steps back. Bounded, and only what says something."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pool import settings_for

from tocsin.clock import MS, NS
from tocsin.engine.fold import fetched, fold, noted
from tocsin.model.event import Fetched, Polled
from tocsin.model.observation import CHAIN_ID, LATEST, Fault, FaultKind, Part, RpcError, RpcErrorKind, by_hash
from tocsin.model.view import NodeRecord
from tocsin.testing import ChainSpec, ManualClock, SimChain, SimNode

[CHAIN] = settings_for(("self",)).chains
NODE = SimNode(SimChain(ManualClock(), ChainSpec()))
HEAD = NODE.view.head()


def polled(t_ns: int, *, below: int = 0, took_ms: int = 1, stalled: bool = False) -> Polled:
    """A poll that was answered with a head so many blocks below the highest."""
    block = NODE.view.at(HEAD.number - below)
    assert block is not None
    latest = orjson.dumps(block.body(transactions=0, withdrawals=0))
    parts = (Part(call=CHAIN_ID, result=b'"0x539"'), Part(call=LATEST, result=latest))
    return Polled(
        t_ns=t_ns, started_ns=t_ns - took_ms * MS, chain="sim", node="n0", poll=1, parts=parts, stalled=stalled
    )


def failing(kind: FaultKind, t_ns: int = 0) -> Polled:
    return Polled(t_ns=t_ns, started_ns=t_ns, chain="sim", node="n0", poll=1, fault=Fault(kind=kind, detail="x"))


def shown(*heads: tuple[int, int]) -> NodeRecord:
    """The record after polls at some seconds that showed heads so many blocks below the highest."""
    record = NodeRecord()
    for second, below in heads:
        record = fold(record, polled(10**15 + second * NS, below=below), CHAIN)
    return record


@given(outcomes=st.lists(st.booleans(), max_size=200))
def test_outcomes_are_the_last_64_with_the_newest_in_the_lowest_bit(outcomes: list[bool]) -> None:
    bits = 0
    for failed in outcomes:
        bits = noted(bits, failed=failed)
    assert bits < 1 << 64
    assert [bool(bits >> at & 1) for at in range(min(64, len(outcomes)))] == outcomes[::-1][:64]


def test_a_refusal_is_no_outcome_and_a_failure_is_one() -> None:
    record = fold(NodeRecord(), failing(FaultKind.TIMEOUT), CHAIN)
    assert record.outcomes == 1
    for kind in (FaultKind.RATE_LIMITED, FaultKind.BUDGET):
        assert fold(record, failing(kind), CHAIN).outcomes == 1
    assert fold(record, polled(5), CHAIN).outcomes == 0b10


@pytest.mark.parametrize(("kind", "outcomes"), [(None, 0b10), (FaultKind.RESET, 0b11), (FaultKind.BUDGET, 0b1)])
def test_questions_outside_the_polls_count_as_well(kind: FaultKind | None, outcomes: int) -> None:
    fault = None if kind is None else Fault(kind=kind, detail="x")
    event = Fetched(t_ns=0, chain="sim", node="n0", request=1, call=by_hash("0x1"), fault=fault)
    assert fetched(NodeRecord(outcomes=1), event).outcomes == outcomes


def test_times_are_those_of_the_last_32_answers_and_of_none_that_our_own_stall_spoiled() -> None:
    record = NodeRecord()
    for at in range(100):
        record = fold(record, polled(10**15 + at * NS, took_ms=at, stalled=at == 90), CHAIN)
    assert record.latencies == (*range(67, 90), *range(91, 100))
    assert fold(record, failing(FaultKind.TIMEOUT), CHAIN).latencies == record.latencies


def test_a_percentile_is_worked_out_from_twenty_answers_on_and_ends_with_the_last_slow_one() -> None:
    record = NodeRecord()
    for at in range(19):
        record = fold(record, polled(10**15 + at * NS, took_ms=900), CHAIN)
        assert record.p95_ms == 0
    record = fold(record, polled(10**15 + 20 * NS, took_ms=800), CHAIN)
    assert record.p95_ms == 900
    for at in range(31):
        record = fold(record, polled(10**15 + (30 + at) * NS, took_ms=5), CHAIN)
    assert record.p95_ms == 5  # the 800 ms are the one in twenty that may be slow
    assert fold(record, polled(10**15 + 99 * NS, took_ms=5), CHAIN).p95_ms == 0


@pytest.mark.parametrize(
    ("heads", "steps"),
    [
        (((0, 0), (2, 1)), 1),
        (((0, 0), (2, 3)), 1),
        (((0, 0), (2, 4)), 0),
        (((0, 0), (6, 1)), 0),
        (((0, 1), (2, 0)), 0),
        (((0, 0), (2, 1), (4, 0), (6, 2)), 2),
        (tuple((2 * at, at % 2) for at in range(40)), 8),
    ],
)
def test_a_step_back_is_a_lower_head_a_moment_later(heads: tuple[tuple[int, int], ...], steps: int) -> None:
    assert len(shown(*heads).regressions) == steps


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (RpcErrorKind.OTHER, FaultKind.RPC_ERROR),
        (RpcErrorKind.AUTH, FaultKind.AUTH),
        (RpcErrorKind.RATE_LIMITED, FaultKind.RATE_LIMITED),
    ],
)
def test_an_error_that_fails_a_poll_is_told_with_what_was_asked(kind: RpcErrorKind, fault: FaultKind) -> None:
    chain = settings_for(("a",)).chains[0]
    for message, said in (("x", "x"), ("", "no message")):
        parts = (Part(call=CHAIN_ID, error=RpcError(kind=kind, code=0, message=message)),)
        event = Polled(t_ns=NS, started_ns=NS, chain="sim", node="n0", poll=1, parts=parts)
        record = fold(NodeRecord(), event, chain)
        assert record.fault == Fault(kind=fault, detail=f"chain_id was answered with error 0: {said}")
