"""What was read is kept to the bit, and what was not read has no value."""

import random

import eth_abi
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tocsin.chain.readvalues import Outcome, Values
from tocsin.wire import multicall

DATA = st.binary(max_size=100) | st.integers(0, 2**256 - 1).map(lambda value: value.to_bytes(32))
RESULTS = st.lists(st.tuples(st.booleans(), DATA), max_size=20)


def expected(data: bytes | None) -> tuple[Outcome, bytes | None, int | None]:
    if data is None:
        return Outcome.UNKNOWN, None, None
    return Outcome.RETURNED, data, int.from_bytes(data) if len(data) == 32 else None


def shown(values: Values, at: int) -> tuple[int, bytes | None, int | None]:
    return Outcome(values.outcomes[at]), values.result(at), values.integer(at)


@given(RESULTS, RESULTS, st.randoms(use_true_random=False))
def test_aggregates_are_taken_to_the_bit_wherever_their_calls_stand(
    one: list[tuple[bool, bytes]], other: list[tuple[bool, bytes]], rng: random.Random
) -> None:
    count = len(one) + len(other)
    places = list(range(count))
    rng.shuffle(places)
    values = Values(count)
    for results, at in ((one, places[: len(one)]), (other, places[len(one) :])):
        answer = eth_abi.encode(["(bool,bytes)[]"], [results])
        failed = values.take(at, multicall.decode(answer, len(results)))
        assert failed == [place for place, (ok, _) in zip(at, results, strict=True) if not ok]
    for place, (ok, data) in zip(places, one + other, strict=True):
        assert shown(values, place) == expected(data if ok else None)
        assert bool(values.is_word[place]) == (ok and len(data) == 32)
    assert values.unknown == sorted(place for place, (ok, _) in zip(places, one + other, strict=True) if not ok)


@given(st.lists(DATA, min_size=1, max_size=5), st.integers(0, 4))
def test_single_answers_are_taken_and_forgotten_whole(data: list[bytes], at: int) -> None:
    values = Values(5)
    for place, one in enumerate(data):
        values.returned(place, one, proven=True)
        assert shown(values, place) == expected(one)
    other = Values(5)
    values.forget(at)
    assert shown(values, at) == shown(other, at) == (Outcome.UNKNOWN, None, None)
    assert values.is_same(at, other, at)
    assert not values.proven[at]
    assert not values.confirmed[at]
    assert not values.words[at].any()
    values.returned(at, b"\xff" * 32)
    assert not values.proven[at]
    values.confirmed[at] = True
    values.reverted(at)
    assert not values.confirmed[at]
    assert shown(values, at) == (Outcome.REVERTED, None, None)
    assert not values.is_same(at, other, at)
    assert not values.words[at].any()


@given(DATA, DATA)
def test_two_reads_are_the_same_only_byte_by_byte(one: bytes, other: bytes) -> None:
    values, others = Values(1), Values(2)
    values.returned(0, one)
    others.returned(1, other)
    assert values.is_same(0, others, 1) == (one == other)


def test_nothing_is_known_at_first() -> None:
    values = Values(3)
    assert len(values) == 3
    assert values.unknown == [0, 1, 2]
    assert not values.words.any()
    assert values.words.dtype == np.uint64
