"""What questions cost: prices, the ring of hours, and what scarce budgets are kept for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.clock import NS
from tocsin.model.observation import CHAIN_ID, LATEST, by_hash
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
    assert left == {Need.ROUTINE: 50, Need.CLOSER: 25, Need.FLOOR: 0}


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
