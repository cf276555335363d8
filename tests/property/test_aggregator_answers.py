"""Of answers of the code that is put in place just those are taken that it writes, and they are read to the bit."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.wire.aggregator import decode, encode
from tocsin.wire.multicall import Call, LayoutError, integers

DATA = st.binary(max_size=100) | st.integers(0, 2**256 - 1).map(lambda value: value.to_bytes(32))
RESULTS = st.lists(st.tuples(st.booleans(), DATA), max_size=12)


def answer(results: list[tuple[bool, bytes]]) -> bytes:
    heads = b"".join((len(data) | int(ok) << 31).to_bytes(4) for ok, data in results)
    return heads + bytes(28) + b"".join(data for _, data in results)


@given(RESULTS)
@example([])
@example([(True, (2**256 - 1).to_bytes(32)), (False, b""), (True, (2**64).to_bytes(32))])
def test_results_are_read_back_to_the_bit(results: list[tuple[bool, bytes]]) -> None:
    found = decode(answer(results), len(results))
    assert [(bool(found.succeeded[at]), found.result(at)) for at in range(len(found))] == results
    assert integers(found.words()) == [int.from_bytes(data) if ok and len(data) == 32 else 0 for ok, data in results]


@given(RESULTS.filter(bool), st.data())
def test_a_changed_bit_is_refused_or_is_what_is_read(results: list[tuple[bool, bytes]], data: st.DataObject) -> None:
    good = answer(results)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    changed = (int.from_bytes(good) ^ 1 << bit).to_bytes(len(good))
    try:
        found = decode(changed, len(results))
    except LayoutError:
        return
    assert answer([(bool(found.succeeded[at]), found.result(at)) for at in range(len(found))]) == changed


@given(st.binary(max_size=300), st.integers(0, 8))
def test_of_whatever_bytes_only_the_one_encoding_is_taken(data: bytes, count: int) -> None:
    try:
        found = decode(data, count)
    except LayoutError:
        return
    assert answer([(bool(found.succeeded[at]), found.result(at)) for at in range(count)]) == data


GOOD = answer([(True, b"\x01" * 32), (False, b"abc")])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes, where"),
        (GOOD[:35], "35 bytes, where"),
        (GOOD[:-1], "results that are not as long"),
        (GOOD + b"\0", "results that are not as long"),
        (b"\x7f\xff\xff\xff" + GOOD[4:], "results that are not as long"),
        (b"\xff" * 8 + GOOD[8:], "results that are not as long"),
        (GOOD[:8] + b"\1" + GOOD[9:], "more than zeros before"),
        (GOOD[:35] + b"\1" + GOOD[36:], "more than zeros before"),
    ],
)
def test_an_answer_that_the_code_does_not_write_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(LayoutError) as refused:
        decode(data, 2)
    assert str(refused.value).startswith(said)


def test_the_input_says_how_many_calls_how_long_to_whom_and_what() -> None:
    one, other = b"\x11" * 20, b"\x22" * 20
    assert encode([]) == bytes(4)
    assert encode([Call(target=one, data=b"abc"), Call(target=other, data=b"")]) == (
        b"\0\0\0\2" + b"\0\0\0\3" + one + b"abc" + b"\0\0\0\0" + other
    )
