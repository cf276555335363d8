"""What questions cost: prices, the ring of hours, and what scarce budgets are kept for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.clock import NS
from tocsin.model.observation import CHAIN_ID, LATEST, BudgetUse, FaultKind, by_hash
from tocsin.rpc.bill import Bill, Meter, price_of
from tocsin.rpc.pacing import Budget, Need, Pacing

HOUR = 3600 * NS
PRICES = (("eth_chainId", 0), ("eth_getBlockByNumber", 20))


def test_a_batch_costs_what_its_calls_cost_and_one_unit_where_no_price_is_known() -> None:
    assert price_of((CHAIN_ID, LATEST, LATEST), PRICES) == 40
    assert price_of((by_hash("0x" + "ab" * 32),), PRICES) == 1


def test_a_day_at_an_even_rate_is_forecast_from_the_first_minutes_and_from_the_last_hour() -> None:
    meter = Meter()
    for second in range(0, 5 * 3600, 10):
        meter.spend(2, 40, second * NS)
        if second >= 600:
            bill = meter.bill(second * NS)
            assert abs(bill.forecast_calls - 17_280) <= 400, second
            assert abs(bill.forecast_units - 345_600) <= 8_000


@given(st.lists(st.tuples(st.integers(0, 3 * 24 * 3600), st.integers(0, 100)), max_size=60))
def test_what_is_counted_is_what_was_spent_in_the_last_24_full_hours_and_this_one(spent: list[tuple[int, int]]) -> None:
    meter, now = Meter(), 0
    for at, calls in sorted(spent):
        meter.spend(calls, 2 * calls, at * NS)
        now = at
    bill = meter.bill(now * NS)
    counted = sum(calls for at, calls in spent if at // 3600 >= now // 3600 - 24)
    assert (bill.calls, bill.units) == (counted, 2 * counted)


def test_a_day_of_silence_costs_nothing() -> None:
    meter = Meter()
    meter.spend(100, 100, 0)
    assert meter.bill(26 * HOUR) == Bill(calls=0, units=0, forecast_calls=0, forecast_units=0)


def test_routine_leaves_half_of_a_budget_and_a_closer_look_a_quarter() -> None:
    left = {}
    for need in Need:
        budget = Budget(2_400)  # an hour's worth is 100
        spent = 0
        while budget.affords(1, need, 0) and not budget.take(1, 0):
            spent += 1
        left[need] = 100 - spent
    assert left == {Need.SPARE: 75, Need.ROUTINE: 50, Need.CLOSER: 25, Need.FLOOR: 0}


def test_a_shared_budget_counts_units_and_holds_for_all_who_share_it() -> None:
    shared = Budget(2_400)
    one, other = Pacing(shared=[shared]), Pacing(shared=[shared])
    assert one.check(1, 0, units=60) is None
    assert not other.affords(1, 20, Need.ROUTINE, 0)
    assert other.check(1, 0, units=50) is not None
    assert other.check(1, 0, units=40) is None


def test_calls_that_one_of_two_budgets_refuses_cost_the_other_nothing() -> None:
    shared = Budget(24_000)
    pacing = Pacing(budget_per_day=0, shared=[shared])
    while pacing.check(8, 0, units=10) is None:
        pass
    before = shared.wait(1_000, 0)
    assert pacing.check(8, 0, units=10) is not None
    assert shared.wait(1_000, 0) == before


@pytest.mark.parametrize("need", list(Need))
def test_whoever_has_no_budget_affords_everything(need: Need) -> None:
    assert Pacing().affords(10**9, 10**9, need, 0)


MINUTE = 60 * NS


def wanting(pacing: Pacing, calls: int, units: int, minutes: int) -> None:
    """Poll once a minute, or leave the poll out where the budgets are scarce."""
    for minute in range(minutes):
        now = minute * MINUTE
        if pacing.affords(calls, units, Need.ROUTINE, now):
            assert pacing.check(calls, now, units) is None
        else:
            pacing.forgo(calls, units, now)


def test_what_is_wanted_of_a_budget_counts_what_was_left_out_to_save() -> None:
    pacing = Pacing(budget_per_day=1_440)
    wanting(pacing, 3, 0, 240)
    use = pacing.use(239 * MINUTE)
    assert use is not None
    assert use.per_day == 1_440
    assert use.wanted is not None
    assert abs(use.wanted - 4_320) <= 144


def test_what_is_wanted_is_not_told_before_ten_minutes_are_seen() -> None:
    pacing = Pacing(budget_per_day=1_440)
    assert pacing.use(0) == BudgetUse(per_day=1_440)
    wanting(pacing, 1, 0, 10)
    assert pacing.use(9 * MINUTE) == BudgetUse(per_day=1_440)
    assert pacing.use(10 * MINUTE) == BudgetUse(per_day=1_440, wanted=1_440)


def test_a_poll_that_a_spent_budget_refuses_was_wanted_and_one_that_the_node_forbids_was_not() -> None:
    pacing = Pacing(budget_per_day=1_440)  # 64 at once
    for minute in range(60):
        refused = pacing.check(64, minute * MINUTE)
        assert minute == 0 or (refused is not None and refused.kind is FaultKind.BUDGET)
    use = pacing.use(60 * MINUTE)
    assert use is not None
    assert use.wanted == 64 * 60 * 24
    pacing.limited(3_600 * NS, 60 * MINUTE)
    for minute in range(60, 119):
        pacing.check(64, minute * MINUTE)
    use = pacing.use(119 * MINUTE)
    assert use is not None
    assert use.wanted is not None
    assert use.wanted <= 64 * 24


def test_of_two_budgets_the_one_that_suffices_least_is_told() -> None:
    shared = Budget(100_000)
    one, other = Pacing(budget_per_day=14_400, shared=[shared]), Pacing(shared=[shared])
    for minute in range(60):
        one.check(2, minute * MINUTE, 40)
    assert one.use(60 * MINUTE) == BudgetUse(per_day=100_000, wanted=57_600, shared=True)
    for minute in range(60):
        one.check(18, minute * MINUTE, 0)
    assert one.use(60 * MINUTE) == BudgetUse(per_day=14_400, wanted=28_800)
    assert other.use(60 * MINUTE) == BudgetUse(per_day=100_000, wanted=57_600, shared=True)
    assert Pacing().use(60 * MINUTE) is None
