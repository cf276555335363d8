"""An aggregate is encoded as eth_abi encodes it, and of answers just those are taken that eth_abi writes."""

import eth_abi
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.chain.keccak import keccak256
from tocsin.wire import multicall
from tocsin.wire.multicall import Call, LayoutError, decode, encode, integers

DATA = st.binary(max_size=100) | st.sampled_from([32, 64, 31, 33]).map(lambda size: b"\xa5" * size)
CALLS = st.lists(st.builds(Call, target=st.binary(min_size=20, max_size=20), data=DATA), max_size=12)
RESULTS = st.lists(st.tuples(st.booleans(), DATA), max_size=12)
TYPES = ["(bool,bytes)[]"]


def answer(results: list[tuple[bool, bytes]]) -> bytes:
    return eth_abi.encode(TYPES, [results])


def test_the_selector_is_that_of_the_interface() -> None:
    assert keccak256(b"aggregate3((address,bool,bytes)[])")[:4] == multicall.SELECTOR


@given(CALLS)
def test_calls_are_encoded_as_another_encoder_does(calls: list[Call]) -> None:
    rows = [(call.target, True, call.data) for call in calls]
    assert encode(calls) == multicall.SELECTOR + eth_abi.encode(["(address,bool,bytes)[]"], [rows])


@given(RESULTS)
def test_results_are_read_back_to_the_bit(results: list[tuple[bool, bytes]]) -> None:
    found = decode(answer(results), len(results))
    assert [(bool(found.succeeded[at]), found.result(at)) for at in range(len(found))] == results
    words = [int.from_bytes(data) if ok and len(data) == 32 else 0 for ok, data in results]
    assert integers(found.words()) == words
    assert list(found.is_word()) == [ok and len(data) == 32 for ok, data in results]


@given(st.lists(st.integers(0, 2**256 - 1), max_size=20))
@example([0, 1, 2**64 - 1, 2**64, 2**128, 2**192, 2**255, 2**256 - 1])
def test_words_are_exact_whatever_their_size(values: list[int]) -> None:
    found = decode(answer([(True, value.to_bytes(32)) for value in values]), len(values))
    assert found.words().shape == (len(values), 4)
    assert integers(found.words()) == values
    if values:
        assert list(found.words()[0]) == [values[0] >> shift & 2**64 - 1 for shift in (192, 128, 64, 0)]


@given(RESULTS.filter(bool), st.data())
def test_a_changed_bit_is_refused_or_changes_what_a_strict_decoder_reads_as_well(
    results: list[tuple[bool, bytes]], data: st.DataObject
) -> None:
    good = answer(results)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    changed = (int.from_bytes(good) ^ 1 << bit).to_bytes(len(good))
    try:
        found = decode(changed, len(results))
    except LayoutError:
        return
    read = [(bool(found.succeeded[at]), found.result(at)) for at in range(len(found))]
    assert answer(read) == changed, "one encoding for what was read, and no other"


@given(st.binary(max_size=700), st.integers(0, 4))
def test_of_whatever_bytes_only_the_one_encoding_is_taken(data: bytes, count: int) -> None:
    try:
        found = decode(data, count)
    except LayoutError:
        return
    assert answer([(bool(found.succeeded[at]), found.result(at)) for at in range(count)]) == data


def word(value: int) -> bytes:
    return value.to_bytes(32)


GOOD = answer([(True, b"\x01" * 32), (False, b"abc"), (True, b"")])


def with_word(at: int, value: int) -> bytes:
    return GOOD[: 32 * at] + word(value) + GOOD[32 * (at + 1) :]


# GOOD by words: 0 offset, 1 count, 2-4 offsets; 5-8 the first (flag, 64, 32, data), 9-12 the second, 13-15 the third.
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes, where"),
        (GOOD[:-1], "511 bytes, where"),
        (GOOD[:64], "64 bytes, where"),
        (GOOD + bytes(32), "results that do not follow one another"),
        (GOOD[:-32], "an offset that points outside of the answer"),
        (with_word(0, 64), "no list of 3 results"),
        (with_word(1, 4), "no list of 3 results"),
        (with_word(1, 2**64 + 3), "no list of 3 results"),
        (with_word(2, 2**255), "an offset that points outside of the answer"),
        (with_word(2, 2**63), "an offset that points outside of the answer"),
        (with_word(3, len(GOOD)), "an offset that points outside of the answer"),
        (with_word(2, 97), "an offset that points outside of the answer"),
        (with_word(3, 96), "results that do not follow one another"),
        (with_word(2, 0), "bytes that do not follow their flag"),
        (with_word(5, 2), "a flag that is neither true nor false"),
        (with_word(5, 2**64 + 1), "a flag that is neither true nor false"),
        (with_word(6, 32), "bytes that do not follow their flag"),
        (with_word(7, 2**256 - 1), "a length that goes beyond the answer"),
        (with_word(7, 2**40), "a length that goes beyond the answer"),
        (with_word(7, 64), "results that do not follow one another"),
        (with_word(7, 0), "results that do not follow one another"),
        (with_word(12, int.from_bytes(b"abcd" + bytes(28))), "result 1: more than zeros behind its 3 bytes"),
        (with_word(12, int.from_bytes(b"abc") << 232 | 1), "result 1: more than zeros behind its 3 bytes"),
    ],
)
def test_an_answer_that_no_encoder_writes_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(LayoutError) as refused:
        decode(data, 3)
    assert str(refused.value).startswith(said)


def test_an_answer_of_other_calls_is_refused() -> None:
    assert len(decode(GOOD, 3)) == 3
    for count in (0, 2, 4):
        with pytest.raises(LayoutError):
            decode(GOOD, count)


def test_no_calls_have_no_results() -> None:
    assert len(decode(answer([]), 0)) == 0
    with pytest.raises(LayoutError, match="do not follow one another"):
        decode(answer([]) + bytes(32), 0)
    assert np.array_equal(decode(answer([]), 0).words(), np.zeros((0, 4)))
