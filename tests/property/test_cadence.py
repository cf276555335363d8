"""The instants of polls: regular, shared by the nodes of a chain, and where blocks are expected."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.clock import MS, NS
from tocsin.engine.cadence import Cadence, by_slot, evenly, followed
from tocsin.model.effect import Pace

polls = st.integers(min_value=50 * MS, max_value=60 * NS)
slots = st.fractions(min_value=4, max_value=40)
instants = st.integers(min_value=0, max_value=10**18)


def walk(cadence: Cadence, now_ns: int, count: int) -> list[int]:
    """Return the instants after a time."""
    seen = []
    for _ in range(count):
        now_ns = cadence.after(now_ns)
        seen.append(now_ns)
    return seen


@given(poll=polls, now=instants)
def test_even_instants_are_one_interval_apart(poll: int, now: int) -> None:
    seen = walk(evenly("main", poll), now, 5)
    assert now < seen[0] <= now + poll
    assert {later - earlier for earlier, later in pairwise(seen)} == {poll}


@given(poll=polls, per_slot=slots, arrival=instants, now=instants)
def test_instants_by_slot_are_never_closer_than_the_interval_nor_wider_than_two(
    poll: int, per_slot: Fraction, arrival: int, now: int
) -> None:
    seen = walk(by_slot(poll, int(per_slot * poll), arrival), now, 80)
    gaps = [later - earlier for earlier, later in pairwise(seen)]
    assert min(gaps) >= poll
    assert max(gaps) <= 2 * poll


@given(poll=polls, per_slot=slots, arrival=instants, now=instants)
def test_two_polls_follow_within_two_intervals_of_every_expected_block(
    poll: int, per_slot: Fraction, arrival: int, now: int
) -> None:
    slot = int(per_slot * poll)
    block = arrival + (now - arrival) // slot * slot
    assert walk(by_slot(poll, slot, arrival), block, 2) == [block + poll // 2, block + poll // 2 + poll]


@given(poll=polls, per_slot=slots, now=instants, arrival=instants)
def test_an_instant_is_at_or_before_itself_and_not_after_itself(
    poll: int, per_slot: Fraction, now: int, arrival: int
) -> None:
    for cadence in (evenly("main", poll), by_slot(poll, int(per_slot * poll), arrival)):
        instant = cadence.after(now)
        assert cadence.at_or_before(instant) == instant
        assert cadence.at_or_before(instant - 1) < instant
        assert cadence.at_or_before(now) <= now < instant


def test_ethereum_is_polled_four_times_a_slot_instead_of_six() -> None:
    assert [at / NS for at in walk(by_slot(2 * NS, 12 * NS, 0), -1, 5)] == [1, 3, 7, 11, 13]


@pytest.mark.parametrize("poll", [1 * NS, 2 * NS])
def test_chains_share_few_instants_and_are_spread_over_the_interval(poll: int) -> None:
    phases = [evenly(f"chain-{number}", poll).phase_ns for number in range(200)]
    assert set(phases) == set(range(0, poll, 100 * MS))
    assert phases == [evenly(f"chain-{number}", poll).phase_ns for number in range(200)]


@given(poll=polls, per_slot=st.integers(4, 40), arrival=instants, now=instants)
def test_who_is_looked_at_closer_is_asked_at_every_interval_and_at_the_instants_of_the_others(
    poll: int, per_slot: int, arrival: int, now: int
) -> None:
    slot = per_slot * poll
    pace = Pace(chain="main", arrival_ns=arrival, urgent=("n",))
    closer = followed(pace, "main", "n", own=False, poll_ns=poll, slot_ns=slot)
    others = followed(pace, "main", "o", own=False, poll_ns=poll, slot_ns=slot)
    assert set(walk(others, now, per_slot)) <= set(walk(closer, now, 3 * per_slot))
    assert {later - earlier for earlier, later in pairwise(walk(closer, now, 5))} == {poll}


@given(poll=polls)
def test_without_a_pace_or_an_arrival_polls_are_even(poll: int) -> None:
    for pace in (None, Pace(chain="main", arrival_ns=None, urgent=("n",))):
        assert followed(pace, "main", "n", own=False, poll_ns=poll, slot_ns=6 * poll) == evenly("main", poll)
