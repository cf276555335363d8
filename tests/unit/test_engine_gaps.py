"""Limits in slots grow with the gaps that a chain usually has, and stay as they are on one like Ethereum."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pool import Pool, settings_for
from tests.support.views import NOW, agreed, limits, view

from tocsin.chain.gaps import LEAST, p99
from tocsin.clock import NS
from tocsin.detect.base import paced
from tocsin.detect.chain_halt import HaltParams, chain_halt
from tocsin.model.alert import Over
from tocsin.testing import ChainSpec

SLOT = 12 * NS


def test_limits_are_those_of_ethereum_where_gaps_are() -> None:
    for over in (Over(over=4), Over(over=6), None):
        assert paced(over, Over(over=4), 1) is over


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 64))
def test_the_first_limit_is_three_usual_gaps_at_least_and_the_others_keep_their_distance(
    first: int, more: int, gap: int
) -> None:
    low, high = Over(over=first, polls=2), Over(over=first + more)
    warning, critical = paced(low, low, gap), paced(high, low, gap)
    assert warning is not None
    assert critical is not None
    assert warning.over == max(first, 3 * gap)
    assert warning.polls == 2
    assert critical.over > warning.over
    assert critical.over * first >= high.over * warning.over


@pytest.mark.parametrize(("gap", "warning", "critical"), [(1, 6, 15), (2, 6, 15), (3, 9, 23), (10, 30, 75)])
def test_a_halt_is_told_later_on_a_chain_that_is_often_quiet(gap: int, warning: int, critical: int) -> None:
    quiet = view(head=agreed(since_ns=NOW - 100 * SLOT), usual_gap=gap)
    [finding] = chain_halt(quiet, HaltParams())
    assert limits(finding) == {"warning": (warning, 1), "critical": (critical, 1)}


def watched(missed: float, rounds: int) -> Pool:
    """Three nodes on a chain of twelve seconds."""
    spec = ChainSpec(seed=11, missed=missed)
    pool = Pool(replace(settings_for(("a", "b", "c")), environment="gaps"), spec=spec)
    pool.rounds(rounds)
    return pool


def test_the_engine_learns_the_gaps_of_its_chain() -> None:
    pool = watched(0.35, 6 * LEAST * 2)
    state = pool.state.chains["sim"]
    assert state.gaps.total >= LEAST
    assert p99(state.gaps) in (3, 4, 5)
    assert abs(state.gaps.counts[1] / state.gaps.total - 0.35 * 0.65) < 0.08


def test_a_chain_like_ethereum_leaves_the_limits_alone() -> None:
    pool = watched(0.01, 6 * (LEAST + 20))
    state = pool.state.chains["sim"]
    assert state.gaps.total >= LEAST
    assert p99(state.gaps) == 1
    assert sum(state.gaps.counts[:2]) >= state.gaps.total - 2


def test_a_time_that_was_not_watched_is_no_gap() -> None:
    pool = watched(0.0, 30)
    before = pool.state.chains["sim"].gaps.total
    pool.clock.advance(s=3_600)
    pool.rounds(30)
    gaps = pool.state.chains["sim"].gaps
    assert gaps.total > before
    assert sum(gaps.counts[2:]) <= 1
