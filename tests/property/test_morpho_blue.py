"""Morpho Blue's rules, of any market: what floats are sure of, prices at which accounts fall, what offers buy."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_morpho_blue_by_hand import COLLATERAL, LOAN, UPDATED_S, market

from tocsin.protocols.base import WAD, Liquidation, Reach, Refusal
from tocsin.protocols.morpho_blue.accrual import accrued
from tocsin.protocols.morpho_blue.liquidation import HEALTHY, NOTHING, Settled, asked_for, settle
from tocsin.protocols.morpho_blue.market import PRICE_SCALE, Account, Market, Totals
from tocsin.protocols.morpho_blue.rules import MorphoRules
from tocsin.risk.book import Book
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import Flag, screen

RULES = MorphoRules()
_LATER_S = st.integers(0, 400 * 86_400)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Markets of tokens of many decimals: prices from a trillionth of a unit to a trillion of them."""
    borrowed = draw(st.integers(0, 10 ** draw(st.integers(0, 30))))
    totals = Totals(
        supply_assets=borrowed + draw(st.integers(0, 10**30)),
        supply_shares=draw(st.integers(0, 10**36)),
        borrow_assets=borrowed,
        borrow_shares=borrowed * 10**6 + draw(st.integers(0, 10**6)),
    )
    price = draw(st.integers(1, 10 ** draw(st.integers(24, 48))))
    lltv = draw(st.integers(1, WAD - 1))
    rate = draw(st.integers(0, 2 * 10**11))
    return replace(market(price, lltv, totals, rate=rate), fee=draw(st.integers(0, WAD // 4)))


@st.composite
def situations(draw: st.DrawFn) -> tuple[Market, Account]:
    """A market and an account in it, mostly within a few units of the line."""
    of = draw(markets())
    shares = draw(st.integers(1, max(1, of.totals.borrow_shares)))
    of = replace(of, totals=replace(of.totals, borrow_shares=max(of.totals.borrow_shares, shares)))
    debt = RULES.verdict(of, Account(address=bytes(20), shares=shares), UPDATED_S).debt_base
    near = debt * WAD * PRICE_SCALE // (of.terms.lltv * (of.price or 1))
    collateral = draw(st.one_of(st.integers(near - 3, near + 3), st.integers(0, 4 * near)))
    return of, Account(address=bytes(20), collateral=min(max(collateral, 0), 2**128 - 1), shares=shares)


@given(situations())
def test_what_floats_are_sure_of_is_what_the_rules_say(case: tuple[Market, Account]) -> None:
    of, account = case
    columns = RULES.columns(of, UPDATED_S)
    book = Book.of(columns.names, {account.address: RULES.legs(of, account, UPDATED_S)})
    (flag,) = screen(evaluate(book, Factors.of(columns)))
    if flag != Flag.UNSURE:
        assert (flag == Flag.LIQUIDATABLE) == RULES.verdict(of, account, UPDATED_S).liquidatable


@given(situations(), _LATER_S)
def test_an_account_falls_at_its_critical_price_and_at_none_above_it(
    case: tuple[Market, Account], seconds: int
) -> None:
    of, account = case
    found = RULES.critical_price(of, account, COLLATERAL, UPDATED_S + seconds)
    if account.collateral == 0:
        assert found.reach is Reach.ALWAYS
        return
    assert found.edge is not None
    for price, falls in (
        (found.edge, True),
        (found.edge + 1, False),
        (found.edge // 2, True),
        (2 * found.edge + 1, False),
    ):
        at_price = RULES.verdict(of.with_price(price), account, UPDATED_S + seconds)
        assert at_price.liquidatable is falls
        assert at_price.health_wad is not None
        assert (at_price.health_wad < WAD) is falls


@given(situations(), st.one_of(st.none(), st.integers(0, 10**30)))
def test_an_offer_buys_no_more_than_it_pays_for_and_is_refused_of_nobody_who_falls(
    case: tuple[Market, Account], amount: int | None
) -> None:
    of, account = case
    found = RULES.liquidation(of, account, COLLATERAL, LOAN, amount, UPDATED_S)
    if isinstance(found, Refusal):
        falls = RULES.verdict(of, account, UPDATED_S).liquidatable
        assert found == (NOTHING if falls or asked_for(of, account, amount, UPDATED_S).shares == 0 else HEALTHY)
        return
    assert isinstance(found, Liquidation)
    assert amount is None or found.repaid <= amount
    assert found.seized + found.collateral_left == account.collateral
    assert found.collateral_left == 0 or found.deficits == ()
    if amount is None:
        assert 0 in (found.debt_left, found.collateral_left)


@given(situations(), st.sampled_from(("shares", "seized")), st.fractions(0, 1))
def test_what_a_liquidation_takes_out_of_a_market_is_what_is_repaid_and_what_lenders_lose(
    case: tuple[Market, Account], how: str, part: Fraction
) -> None:
    of, account = case
    have = account.shares if how == "shares" else account.collateral
    found = settle(of, account, UPDATED_S, **{how: int(have * part)})
    if not isinstance(found, Settled):
        return
    before, after = of.totals, found.totals
    assert before.supply_assets - after.supply_assets == found.bad_assets
    assert before.borrow_shares - after.borrow_shares == found.repaid_shares + found.bad_shares
    # What is repaid may be one more than all that was owed.
    assert found.repaid + found.bad_assets - (before.borrow_assets - after.borrow_assets) in (0, 1)
    assert account.shares - found.account.shares == found.repaid_shares + found.bad_shares


@given(markets(), _LATER_S, _LATER_S)
def test_interest_only_grows_and_is_all_owed_to_lenders(of: Market, first: int, then: int) -> None:
    sooner, later = (accrued(of, UPDATED_S + seconds) for seconds in sorted((first, then)))
    assert sooner.borrow_assets <= later.borrow_assets
    for each in (sooner, later):
        assert each.borrow_assets - of.totals.borrow_assets == each.supply_assets - of.totals.supply_assets
        assert each.supply_shares >= of.totals.supply_shares
        assert each.borrow_shares == of.totals.borrow_shares
