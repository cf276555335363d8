"""Whatever a node answers to the questions beside its polls: a verdict, a bounded state, and polls that stand."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.pool import Pool, settings_for

from tocsin.engine.capabilities import judge
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.reach import Verdict
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched, Polled, Woken
from tocsin.model.observation import Fault, FaultKind, Part, RpcError, RpcErrorKind, hash_of
from tocsin.model.question import CLIENT_VERSION, OFFERED, PEERS, TXPOOL, Ability, asked, question
from tocsin.model.view import NodeRecord
from tocsin.testing import ChainSpec
from tocsin.wire.jsonrpc import encode, split

words = st.sampled_from(
    ["number", "accountProof", "receipts", "blockNumber", "pending", "state", "oldestBlock", "disabled", "x"]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from(["0x0", "0x1", "0x64", "0x" + "f" * 64, "0xzz", "Geth/v1.10.7", "besu/v24.1.0", ""])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)
results = st.binary(max_size=30) | values.map(orjson.dumps)
errors = st.builds(RpcError, kind=st.sampled_from(list(RpcErrorKind)), code=st.just(-1), message=st.just("x"))
answers = results | errors | st.sampled_from([FaultKind.TIMEOUT, FaultKind.RATE_LIMITED, FaultKind.RESET])
trials = st.builds(
    question, st.sampled_from(list(Ability)), st.sampled_from(["latest", "0", "1", "90", "0x" + "1" * 64])
)


def part_of(call: str, answer: object) -> Part | None:
    if isinstance(answer, bytes):
        return Part(call=call, result=answer)
    return Part(call=call, error=answer) if isinstance(answer, RpcError) else None


@given(call=trials, answer=answers)
def test_any_answer_to_a_trial_is_a_verdict(call: str, answer: object) -> None:
    assert isinstance(judge(part_of(call, answer), call, NodeRecord()), Verdict)


@given(
    body=st.binary(max_size=80) | values.map(lambda value: orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": value}))
)
def test_any_body_for_any_question_is_a_part_or_a_fault(body: bytes) -> None:
    for call in (*(question(ability, 5) for ability in Ability), CLIENT_VERSION, PEERS, TXPOOL, OFFERED):
        got = split(body, (call,))
        assert isinstance(got, Fault) or [part.call for part in got] == [call]


@given(call=trials)
def test_a_trial_is_found_again_in_its_call_and_can_be_asked(call: str) -> None:
    trial = asked(call)
    assert trial is not None
    assert question(*trial) == call
    needs_number = trial[0] in (Ability.HEADERS, Ability.RECEIPTS)
    if trial[1].isdecimal() or not needs_number:
        assert encode((call,), batch=False)


class Liar(Pool):
    """A pool whose n0 answers everything beside its polls with what it is told."""

    said_next: list[object]

    def _poll(self, name: str, calls: tuple[str, ...]) -> Polled:
        event = super()._poll(name, calls)
        if name != "n0" or not self.said_next:
            return event
        extra = [part_of(call, self.said_next.pop()) for call in (CLIENT_VERSION, PEERS, TXPOOL) if self.said_next]
        return replace(event, parts=(*event.parts, *(part for part in extra if part is not None)))

    def _fetch(self, effect: Fetch) -> Fetched:
        event = super()._fetch(effect)
        if hash_of(effect.call) is not None or not self.said_next:
            return event
        answer = self.said_next.pop()
        if isinstance(answer, FaultKind):
            return replace(event, part=None, fault=Fault(kind=answer, detail="x"))
        return replace(event, part=part_of(effect.call, answer))


@pytest.mark.parametrize("examples", [12, pytest.param(40, marks=pytest.mark.slow)])
def test_a_node_may_answer_anything_and_harms_neither_its_polls_nor_the_state(examples: int) -> None:
    told = st.lists(answers, max_size=120)
    heard = st.lists(st.tuples(st.integers(0, 2**60 - 1), st.integers(0, 10**15)), max_size=3)
    often = settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    often(given(told=told, heard=heard)(answer_anything))()


def answer_anything(told: list[object], heard: list[tuple[int, int]]) -> None:
    Liar.said_next = []
    pool = Liar(settings_for(("self", "x")), spec=ChainSpec(history=200), late_ticks=0)
    pool.said_next = list(told)
    for number, t_ns in heard:
        pool.take(Woken(t_ns=t_ns, chain="sim", node="n0", number=number, hash="0x"))
    pool.rounds(90)
    record = pool.state.chains["sim"].nodes["n0"]
    assert record.missed == 0
    assert record.failures == 0
    assert len(record.capabilities.reach) <= 4
    assert len(record.capabilities.offered) <= 4
    snapshot = encode_state(pool.state)
    assert encode_state(decode_state(snapshot)) == snapshot
    assert len(snapshot) < 300_000
