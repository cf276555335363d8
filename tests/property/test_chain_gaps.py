"""The running distribution of gaps: bounded, forgetful, and slow to call a gap usual."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.chain.gaps import FULL, LEAST, LONGEST, USUAL, Gaps, noted, p99
from tocsin.clock import NS

SLOT = 12 * NS


def after(*gaps_ns: int, start: Gaps | None = None, unit_ns: int = SLOT) -> Gaps:
    gaps = start or Gaps()
    for gap in gaps_ns:
        gaps = noted(gaps, gap, unit_ns)
    return gaps


def of_chain(missed: float, count: int, seed: int = 1, jitter_s: float = 3.0) -> Gaps:
    """What a chain with so many missed slots shows to somebody who polls every two seconds."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    gaps = Gaps()
    for _ in range(count):
        slots = 1
        while rng.random() < missed:
            slots += 1
        gaps = noted(gaps, slots * SLOT + round(rng.uniform(-jitter_s, jitter_s) * NS), SLOT)
    return gaps


@given(st.lists(st.integers(0, 10**15), max_size=60), st.integers(1, 10**12))
def test_counts_are_bounded_and_add_up(gaps_ns: list[int], unit_ns: int) -> None:
    gaps = after(*gaps_ns, unit_ns=unit_ns)
    assert gaps.total == sum(gaps.counts) == len(gaps_ns)
    assert len(gaps.counts) <= LONGEST
    assert not gaps.counts or gaps.counts[-1] > 0


@given(st.lists(st.integers(0, 100 * SLOT), min_size=1, max_size=400), st.integers(0, 20))
def test_whatever_comes_the_answer_is_a_gap_that_came(gaps_ns: list[int], times: int) -> None:
    gaps = after(*(gaps_ns * (times + 1)))
    assert gaps.total < FULL
    if gaps.total < LEAST:
        assert p99(gaps) == USUAL
    else:
        assert gaps.counts[p99(gaps) - 1] > 0 or p99(gaps) == 1
        assert sum(gaps.counts[p99(gaps) :]) <= gaps.total // 50 + 16


@given(st.integers(0, 10**6), st.integers(1, 60))
def test_longer_gaps_never_lower_the_answer(seed: int, slots: int) -> None:
    gaps = of_chain(0.05, 600, seed)
    before = p99(gaps)
    assert p99(after(*[slots * SLOT] * 200, start=gaps)) >= min(before, slots)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("missed", "expected"), [(0.0, {1}), (0.01, {1}), (0.05, {2}), (0.3, {3, 4, 5})])
def test_a_chain_is_known_by_the_slots_that_it_misses(missed: float, expected: set[int], seed: int) -> None:
    assert p99(of_chain(missed, 3_000, seed)) in expected


def test_one_slot_in_a_hundred_missed_is_usual_at_no_moment_of_a_month() -> None:
    rng, gaps, worst = random.Random(4), Gaps(), 1  # noqa: S311 - a simulation
    for _ in range(30 * 7_200):
        slots = 1
        while rng.random() < 0.01:
            slots += 1
        gaps = noted(gaps, slots * SLOT, SLOT)
        worst = max(worst, p99(gaps))
    assert worst == 1


def test_what_was_long_ago_fades() -> None:
    slow = after(*[4 * SLOT] * 1_500)
    assert p99(slow) == 4
    assert p99(after(*[SLOT] * 12_000, start=slow)) == 1


def test_a_gap_counts_to_the_nearest_unit_and_shorter_ones_as_one() -> None:
    assert after(0).counts == after(SLOT).counts == after(17 * NS).counts == (1,)
    assert after(18 * NS).counts == after(30 * NS - 1).counts == (0, 1)
    assert after(10**18).counts == (*[0] * (LONGEST - 1), 1)


def test_too_few_gaps_say_nothing() -> None:
    assert p99(after(*[5 * SLOT] * (LEAST - 1))) == USUAL
    assert p99(after(*[5 * SLOT] * LEAST)) == 5


def test_the_count_that_fills_the_memory_halves_it_and_drops_what_came_once() -> None:
    almost = after(*[SLOT] * (FULL - 2), 5 * SLOT)
    assert (almost.counts, almost.total) == ((FULL - 2, 0, 0, 0, 1), FULL - 1)
    halved = after(SLOT, start=almost)
    assert (halved.counts, halved.total) == (((FULL - 1) // 2,), (FULL - 1) // 2)


@pytest.mark.parametrize(
    ("total", "chance"),
    # A hundredth, three roots of it, both rounded down, and one for the rounding.
    [(256, 2 + 3 + 1), (1_000, 10 + 9 + 1), (2_000, 20 + 12 + 1), (2_047, 20 + 12 + 1)],
)
def test_gaps_longer_than_chance_explains_are_usual_and_not_one_fewer(total: int, chance: int) -> None:
    assert p99(after(*[SLOT] * (total - chance), *[3 * SLOT] * chance)) == 1
    assert p99(after(*[SLOT] * (total - chance - 1), *[3 * SLOT] * (chance + 1))) == 3
