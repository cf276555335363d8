"""Whatever one node answers about contracts: no value changes to it, and nobody else is suspected."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from tests.support.statepool import PLAIN, PROXY, StatePool, watching

from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.engine.watching import returned, stored
from tocsin.model.contract import Layout, Watch
from tocsin.model.event import Fetched, Ticked
from tocsin.model.observation import CHAIN_ID, LATEST, Part, RpcError, RpcErrorKind
from tocsin.model.reading import READ


@dataclass(frozen=True)
class Asked:
    """A pool that has asked all its nodes about contracts, what they would answer, and what comes after."""

    state: EngineState
    answers: Mapping[str, Fetched]
    tick: Ticked


@lru_cache(maxsize=4)
def asked(*, proofs: bool) -> Asked:
    pool = StatePool(watching(contracts=(PROXY, PLAIN)))
    for node in pool.nodes.values():
        node.data.missing = set() if proofs else {"eth_getProof"}
    pool.rounds(10)
    while not any(one.call.startswith(READ) for one in pool.pending):
        pool.polls += 1
        for name in pool.nodes:
            pool.take(pool._poll(name, (CHAIN_ID, LATEST)))
        pool.tick()
        pool.clock.advance(s=1)
    answers = {one.node: pool._fetch(one) for one in pool.pending if one.call.startswith(READ)}
    assert set(answers) == set(pool.nodes)
    tick = Ticked(t_ns=pool.now + 1, wall_ns=pool.clock.wall_ns(), chain="sim")
    return Asked(pool.state, answers, tick)


WORDS = st.binary(min_size=32, max_size=32).map(lambda data: f"0x{data.hex()}")
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=8), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
KINDS = st.sampled_from(list(RpcErrorKind))


def mutated(value: Any, draw: Any) -> Any:
    """Change one thing somewhere in a JSON value."""
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: mutated(value[key], draw)}
    if isinstance(value, list) and value:
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], mutated(value[at], draw), *value[at + 1 :]]
    return draw(st.one_of(JSON, st.just(f"0x{draw(st.integers(0, 2**64)):x}")))


@st.composite
def lies(draw: Any, honest: Fetched) -> Fetched:
    """An answer to the same question, with any of its parts changed, left away or refused."""
    run = []
    for part in honest.run:
        match draw(st.integers(0, 4)):
            case 0:
                run.append(Part(call=part.call, error=RpcError(kind=draw(KINDS), code=-32000, message="x")))
            case 1:
                run.append(Part(call=part.call, result=orjson.dumps(draw(JSON))))
            case 2 if part.result is not None:
                run.append(replace(part, result=orjson.dumps(mutated(orjson.loads(part.result), draw))))
            case _:
                run.append(part)
    return replace(honest, run=tuple(run))


@hypothesis(max_examples=150, deadline=None)
@given(data=st.data(), liar=st.sampled_from(["n0", "n1", "n2"]), proofs=st.booleans())
def test_whatever_one_node_answers_no_value_changes_and_nobody_else_is_suspected(
    *, data: st.DataObject, liar: str, proofs: bool
) -> None:
    found = asked(proofs=proofs)
    state = found.state
    for name, honest in found.answers.items():
        state = step(state, data.draw(lies(honest)) if name == liar else honest).state
    after = step(state, found.tick).state.chains["sim"].contracts
    before = found.state.chains["sim"].contracts
    for name, seen in after.watched.items():
        was = before.watched[name]
        assert {watch: known.value for watch, known in seen.latest.items()} == {
            watch: known.value for watch, known in was.latest.items()
        }
        assert seen.baseline.keys() == was.baseline.keys()
        assert seen.samples == was.samples + 1
    assert {one.node for one in after.suspicions.values()} <= {liar}
    assert after.accused == {}


@hypothesis(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_snapshot_with_half_the_answers_reads_back_and_goes_on_alike(data: st.DataObject) -> None:
    found = asked(proofs=True)
    state = found.state
    for honest in list(found.answers.values())[:2]:
        state = step(state, data.draw(lies(honest))).state
    again = decode_state(encode_state(state))
    assert encode_state(step(again, found.tick).state) == encode_state(step(state, found.tick).state)


@given(value=st.binary(min_size=20, max_size=20), offset=st.integers(0, 12), noise=st.binary(min_size=32, max_size=32))
def test_an_address_is_read_from_its_place_in_a_slot_whatever_lies_beside_it(
    value: bytes, offset: int, noise: bytes
) -> None:
    word = bytearray(noise)
    word[12 - offset : 32 - offset] = value
    layout = Layout(slot="0x" + "0" * 64, offset=offset)
    assert stored(Watch.OWNER, layout, f"0x{word.hex()}") == f"0x{value.hex()}"


@given(text=st.one_of(st.text(max_size=70), WORDS))
def test_what_a_function_returned_is_a_value_or_none(text: str) -> None:
    owner, paused = returned(Watch.OWNER, text), returned(Watch.PAUSED, text)
    assert owner is None or (len(owner) == 42 and text.endswith(owner[2:]))
    assert paused in (None, "true", "false")
    assert paused is None or int(text, 16) in (0, 1)
