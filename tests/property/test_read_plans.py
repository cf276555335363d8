"""Cutting loses nothing and keeps to the limits; what is audited is drawn as often as it is said, and found as soon."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.chain.readaudit import blocks_until_found, drawn
from tocsin.chain.readload import WHOLE, Limits, Wanted, cut, load
from tocsin.model.reading import CallOf

WANTED = st.lists(
    st.builds(
        Wanted,
        item=st.just(CallOf(to=b"\x01" * 20, data=b"")),
        gas=st.integers(0, 2_000_000),
        answer=st.integers(0, 50_000),
    ),
    max_size=60,
)
LIMITS = st.builds(Limits, calls=st.integers(1, 40), gas=st.integers(1, 10_000_000), answer=st.integers(1, 200_000))


@given(WANTED, LIMITS, st.integers(1, WHOLE))
def test_pieces_hold_everything_in_order_and_keep_to_their_share_of_every_limit(
    wanted: list[Wanted], limits: Limits, share: int
) -> None:
    at = range(0, len(wanted), 2)
    pieces = cut(wanted, at, limits, share)
    assert [place for piece in pieces for place in piece] == list(at)
    for piece in pieces:
        assert piece
        some = [wanted[place] for place in piece]
        assert len(piece) == 1 or load(some, limits) <= share
    for one, other in pairwise(pieces):
        more = [wanted[place] for place in (*one, other[0])]
        assert load(more, limits) >= share, "as full as it can be"


@given(st.binary(max_size=8), st.integers(0, 500), st.integers(1, 50))
def test_the_same_reads_are_drawn_again_each_at_most_once_and_no_others(salt: bytes, count: int, one_in: int) -> None:
    found = drawn(salt, "0x01", "first", count, one_in)
    assert found == drawn(salt, "0x01", "first", count, one_in)
    assert list(found) == sorted(set(found))
    assert all(0 <= at < count for at in found)
    assert one_in > 1 or list(found) == list(range(count))
    assert drawn(salt, "0x01", "first", count, 0) == ()


def test_what_is_drawn_depends_on_the_salt_the_block_and_the_phase() -> None:
    one = drawn(b"salt", "0x01", "first", 10_000, 10)
    others = [
        drawn(b"other", "0x01", "first", 10_000, 10),
        drawn(b"salt", "0x02", "first", 10_000, 10),
        drawn(b"salt", "0x01", "second", 10_000, 10),
    ]
    for other in others:
        # By chance one in ten of what is drawn is drawn there as well.
        assert 0.05 < len(set(one) & set(other)) / len(one) < 0.15


@pytest.mark.parametrize("one_in", [2, 10, 100])
def test_each_read_is_drawn_as_often_as_every_other_one(one_in: int) -> None:
    count, blocks = 50, 400 * one_in
    times = [0] * count
    for number in range(blocks):
        for at in drawn(b"salt", str(number), "first", count, one_in):
            times[at] += 1
    expected = blocks / one_in
    deviation = math.sqrt(blocks / one_in * (1 - 1 / one_in))
    assert all(abs(seen - expected) < 5 * deviation for seen in times)


@pytest.mark.parametrize(("one_in", "lies", "groups"), [(100, 10, 3), (20, 1, 2), (10, 40, 4), (1, 1, 3)])
def test_a_liar_is_found_after_as_many_blocks_as_is_said(one_in: int, lies: int, groups: int) -> None:
    runs, total, number = 400, 0, 0
    for _ in range(runs):
        found = False
        while not found:
            number += 1
            total += 1
            # One block in `groups` is read from the liar, who lies in the first reads of a hundred.
            found = number % groups == 0 and any(at < lies for at in drawn(b"salt", str(number), "first", 100, one_in))
    expected = blocks_until_found(one_in=one_in, lies=lies, groups=groups)
    assert total / runs == pytest.approx(expected, rel=0.2)


def test_who_does_not_lie_or_is_not_audited_is_never_found() -> None:
    assert blocks_until_found(one_in=10, lies=0, groups=3) == math.inf
    assert blocks_until_found(one_in=0, lies=5, groups=3) == math.inf
    assert blocks_until_found(one_in=1000, lies=50, groups=3) == pytest.approx(61.5, abs=0.1)
