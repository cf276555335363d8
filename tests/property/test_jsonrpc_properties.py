"""Any bytes and any JSON go in; parts or a fault come out, never an exception, never a wrong match."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.observation import CHAIN_ID, FINALIZED, GENESIS, LATEST, SAFE, SYNCING, Fault, RpcError
from tocsin.rpc.framing import Framer
from tocsin.wire.jsonrpc import encode, read, split
from tocsin.wire.quirks import classify, clean, fault_of_status, words

CALLS = (CHAIN_ID, LATEST, SAFE, FINALIZED, SYNCING, GENESIS)
call_sets = st.lists(st.sampled_from(CALLS), min_size=1, max_size=6, unique=True).map(tuple)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
near_answers = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2, None]),
        "id": st.integers(-1, 8) | st.sampled_from(["1", "2", "x", None, True, 1.0]) | values,
        "result": values,
        "error": values | st.fixed_dictionaries({"code": values, "message": values}),
    },
)
bodies = (
    st.binary(max_size=200)
    | values.map(orjson.dumps)
    | near_answers.map(orjson.dumps)
    | st.lists(near_answers, max_size=7).map(orjson.dumps)
)


def is_sound(outcome: object, calls: tuple[str, ...]) -> bool:
    if isinstance(outcome, Fault):
        return len(outcome.detail) <= 300 and outcome.detail.isprintable()
    if isinstance(outcome, RpcError):
        return len(outcome.message) <= 300 and outcome.message.isprintable()
    assert isinstance(outcome, tuple)
    assert all((part.result is None) != (part.error is None) for part in outcome)
    return tuple(part.call for part in outcome) == calls


@given(body=bodies, calls=call_sets, status=st.none() | st.integers(100, 599))
def test_whatever_a_node_sends_the_outcome_is_a_value(body: bytes, calls: tuple[str, ...], status: int | None) -> None:
    assert is_sound(split(body, calls), calls)
    assert is_sound(read(body, calls, status), calls)
    assert is_sound(fault_of_status(status or 500, body), calls)


@given(body=bodies, calls=call_sets, cut=st.integers(0, 200), flip=st.integers(0, 255))
def test_a_cut_or_flipped_body_is_survived_too(body: bytes, calls: tuple[str, ...], cut: int, flip: int) -> None:
    broken = bytearray(body[:cut])
    if broken:
        broken[flip % len(broken)] ^= flip
    assert is_sound(split(bytes(broken), calls), calls)


@given(calls=call_sets, results=st.lists(values, min_size=6, max_size=6), data=st.data())
def test_every_order_and_every_spacing_of_right_answers_gives_the_same_parts(
    calls: tuple[str, ...], results: list[Any], data: st.DataObject
) -> None:
    asked = orjson.loads(encode(calls, batch=True))
    answers = [{"jsonrpc": "2.0", "id": call["id"], "result": results[call["id"] - 1]} for call in asked]
    shuffled = data.draw(st.permutations(answers))
    strings = [entry | {"id": str(entry["id"])} for entry in shuffled]
    straight = split(orjson.dumps(answers), calls)
    assert isinstance(straight, tuple)
    assert [orjson.loads(part.result or b"") for part in straight] == results[: len(calls)]
    assert split(orjson.dumps(shuffled), calls) == straight
    assert split(orjson.dumps(strings, option=orjson.OPT_INDENT_2), calls) == straight


@given(calls=call_sets, lost=st.integers(0, 5), copied=st.integers(0, 5))
def test_a_missing_or_doubled_answer_never_passes(calls: tuple[str, ...], lost: int, copied: int) -> None:
    answers = [{"jsonrpc": "2.0", "id": place, "result": "0x1"} for place in range(1, len(calls) + 1)]
    without = [entry for place, entry in enumerate(answers) if place != lost % len(calls)]
    assert isinstance(split(orjson.dumps(without), calls), Fault)
    doubled = [*answers, answers[copied % len(calls)]]
    assert isinstance(split(orjson.dumps(doubled), calls), Fault)


@given(code=st.integers(-(2**63), 2**63), message=st.text(max_size=300), status=st.none() | st.integers(0, 1_000))
def test_every_error_has_a_kind(code: int, message: str, status: int | None) -> None:
    assert classify(code, message, status) is classify(code, message, status)


@given(text=st.text(max_size=500), raw=st.binary(max_size=500))
def test_details_are_short_printable_and_stable(text: str, raw: bytes) -> None:
    for detail in (clean(text), words(raw)):
        assert len(detail) <= 300
        assert detail.isprintable()
        assert clean(detail) == detail


@given(
    document=st.lists(values, max_size=4) | st.dictionaries(text, values, max_size=4),
    cuts=st.data(),
    after=st.binary(max_size=5),
)
def test_the_end_of_a_value_in_a_stream_is_found_however_it_is_cut(
    document: Any, cuts: st.DataObject, after: bytes
) -> None:
    indent = cuts.draw(st.booleans())
    value = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else None)
    stream = b" \n" + value + after
    places = sorted(cuts.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    framer, taken = Framer(), b""
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        chunk = stream[start:end]
        found = framer.end(chunk)
        taken += chunk if found is None else chunk[:found]
        if found is not None:
            break
    assert taken == b" \n" + value


@given(chunks=st.lists(st.binary(max_size=30), max_size=10))
def test_framing_takes_any_bytes(chunks: list[bytes]) -> None:
    framer = Framer()
    for chunk in chunks:
        found = framer.end(chunk)
        assert found is None or 0 <= found <= len(chunk)
