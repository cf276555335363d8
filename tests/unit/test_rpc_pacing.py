"""Holds, budgets and batch limits as values."""

import pytest

from tocsin.clock import NS
from tocsin.model.observation import FaultKind
from tocsin.rpc.batching import BatchLimit
from tocsin.rpc.pacing import Budget, Pacing, retry_after_ns

WALL = 1_790_000_000 * NS  # 2026-09-21 14:13:20 UTC


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("7", 7 * NS),
        (" 7 ", 7 * NS),
        ("1.5", 1_500_000_000),
        ("0", 0),
        ("86400", 3600 * NS),
        ("999999999999", 3600 * NS),
        ("9" * 5_000, None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("Mon, 21 Sep 2026 14:13:50 GMT", 30 * NS),
        ("Mon, 21 Sep 2026 14:13:00 GMT", 0),
        ("Mon, 21 Sep 2029 14:13:00 GMT", 3600 * NS),
        ("Mon, 99 Sep 2026 14:13:50 GMT", None),
        ("\x00\xff, 1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_an_hour(value: str | None, expected: int | None) -> None:
    assert retry_after_ns(value, WALL) == expected


def test_a_hold_is_obeyed_and_ends() -> None:
    pacing = Pacing()
    assert pacing.check(2, 0) is None
    assert pacing.limited(5 * NS, 100) == 5 * NS
    fault = pacing.check(2, 100 + 2 * NS)
    assert fault is not None
    assert (fault.kind, fault.retry_after_ns) == (FaultKind.RATE_LIMITED, 3 * NS)
    assert pacing.check(2, 100 + 5 * NS) is None


def test_holds_without_a_date_double_up_to_minutes_and_start_anew_after_an_answer() -> None:
    pacing = Pacing(seed=1)
    holds = [pacing.limited(None, 0) for _ in range(40)]
    assert 2 * NS <= holds[0] < 2.5 * NS
    assert all(2**n * 2 * NS <= holds[n] for n in range(7))
    assert 300 * NS <= holds[-1] < 375 * NS
    pacing.answered()
    assert pacing.limited(None, 0) < 2.5 * NS


def test_holds_are_the_same_for_one_seed_and_differ_between_seeds() -> None:
    assert Pacing(seed=1).limited(None, 0) == Pacing(seed=1).limited(None, 0) != Pacing(seed=2).limited(None, 0)


def test_a_shorter_hold_never_cuts_a_longer_one() -> None:
    pacing = Pacing()
    pacing.limited(60 * NS, 0)
    pacing.limited(1 * NS, 0)
    assert pacing.check(1, 30 * NS) is not None


def test_a_budget_spends_what_a_day_allows_and_not_a_call_more() -> None:
    budget, spent = Budget(24_000), 0
    for second in range(86_400):
        while budget.take(3, second * NS) == 0:
            spent += 3
    assert 24_000 <= spent <= 24_000 + 1_000 + 3


def test_a_budget_says_when_it_allows_the_next_calls() -> None:
    budget = Budget(86_400)
    while budget.take(1, 0) == 0:
        pass
    wait = budget.take(10, 0)
    assert wait == 10 * NS
    assert budget.take(10, wait - 1) > 0
    assert budget.take(10, wait) == 0


def test_a_clock_that_stands_still_refills_nothing_and_calls_beyond_the_bucket_pass_in_the_end() -> None:
    budget = Budget(10)
    assert budget.take(1_000, 0) == 0
    assert budget.take(1, 0) > 0
    assert Budget(0).take(64, 0) == 0


def test_a_pacing_with_a_spent_budget_says_so() -> None:
    pacing = Pacing(budget_per_day=24)
    while (fault := pacing.check(8, 0)) is None:
        pass
    assert fault.kind is FaultKind.BUDGET
    assert fault.retry_after_ns is not None
    assert pacing.check(8, fault.retry_after_ns) is None


def test_a_refused_length_is_halved_and_tried_again_rarely() -> None:
    limit = BatchLimit()
    limit.refused(6)
    assert limit.size == 3
    limit.refused(3)
    limit.refused(1)
    assert limit.size == 1
    for _ in range(999):
        limit.answered(1)
    assert limit.size == 1
    limit.answered(1)
    assert limit.size == 2
    limit.refused(2)
    for _ in range(1_000):
        limit.answered(1)
    assert limit.size == 1  # twice as rarely after each time


def test_a_limit_grows_back_to_where_it_started_and_no_further() -> None:
    limit = BatchLimit()
    limit.refused(20)
    for _ in range(300_000):
        limit.answered(limit.size)
    assert limit.size == 20


def test_only_lengths_that_never_worked_are_suspected_and_ever_more_rarely() -> None:
    limit = BatchLimit()
    assert not limit.suspects(1)
    assert sum(limit.suspects(6) for _ in range(200)) <= 8
    limit.answered(6)
    assert not limit.suspects(6)
    assert limit.suspects(7)
