"""A market that is worked by hand: each number of its sample, and what becomes of numbers that are missing."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.books import books, columns_of_any_price
from tests.support.handmarket import (
    ACCOUNTS,
    BELOW,
    BLOCK,
    HEALTHY,
    LENDER,
    NEAR,
    RAY,
    SETTINGS,
    TIME_S,
    UNDER,
    USD,
    account,
    address,
    market,
    situation,
)

from tocsin.errors import CorruptRecord
from tocsin.model.alert import Exactness
from tocsin.model.market import AccountSettings, Held
from tocsin.protocols.aave_v3.market import Account
from tocsin.protocols.base import Verdict
from tocsin.protocols.chainrules import ChainRules
from tocsin.protocols.horizon import YEAR_S
from tocsin.protocols.places import Base
from tocsin.risk.book import Book, Deltas, apply
from tocsin.risk.columns import Columns
from tocsin.risk.digest import book_hash
from tocsin.risk.table import Legs
from tocsin.valuation import valuing
from tocsin.valuation.chainvalue import value_by_chain
from tocsin.valuation.curve import is_steady
from tocsin.valuation.packing import class_of, name_of, pack, unpack
from tocsin.valuation.totals import sums, worth
from tocsin.valuation.valuing import value

SALT = b"salt"


def test_every_number_of_a_sample_is_what_is_worked_out_by_hand() -> None:
    found = value(situation(), SETTINGS, salt=SALT).sample
    assert (found.block, found.time_s, found.revision) == (BLOCK, TIME_S, "10")
    assert (found.base, found.base_decimals, found.exactness) == ("USD", 8, Exactness.EXACT)
    assert (found.accounts, found.indebted, found.unknown, found.problem) == (6, 5, 0, "")
    # Ether: 10 + 1 + 1 + 1 + 5 at 2,000; dollars: 1,000.
    assert (found.collateral, found.debt) == (str(37_000 * USD), str(16_550 * USD))
    assert (found.liquidatable, found.blocked, found.underwater, found.bad_debt) == (2, 0, 1, str(500 * USD))
    assert found.shares_ppm == (("WETH", 36_000 * 10**6 // 37_000), ("USDC", 1_000 * 10**6 // 37_000))
    assert (found.largest, found.largest_ppm) == (address(HEALTHY), 10_000 * 10**6 // 16_550)
    assert found.book_hash == book_hash(situation().book)
    assert dict(found.parameters)["WETH liquidation threshold"] == "8000 bps"
    assert [(one.account, one.health_ppm, one.liquidatable) for one in found.near] == [
        (address(UNDER), 640_000, True),
        (address(BELOW), 941_176, True),
        (address(NEAR), 1_032_258, False),
    ]
    assert found.near_count == 3


def test_the_curve_moves_all_prices_but_those_of_dollars_on_both_sides() -> None:
    settings = replace(SETTINGS, shocks_bps=(0, -1_000, -2_000, -5_000, -10_000))
    curve = value(situation(), settings, salt=SALT).sample.curve
    # At 1,800: 0.8 x 1,800 is below 1,550. At 1,000: 8,000 is below 10,000. Dollars against dollars never fall.
    assert [(one.shock_bps, one.accounts, one.unsure) for one in curve] == [
        (0, 2, 0),
        (-1_000, 3, 0),
        (-2_000, 3, 0),
        (-5_000, 4, 0),
        (-10_000, 4, 0),
    ]
    third = curve[2]
    debt, bad = 1_550 + 1_700 + 2_500, (1_700 - 1_600) + (2_500 - 1_600)
    assert (third.collateral, third.debt, third.bad_debt) == (str(4_800 * USD), str(debt * USD), str(bad * USD))


def test_who_owes_what_it_holds_loses_nothing_when_prices_fall() -> None:
    """Staked ether for ether: both sides move together."""
    loop = account(9, weth=10, owes_weth=7)
    curve = value(situation(accounts=(loop,)), SETTINGS, salt=SALT).sample.curve
    assert {one.accounts for one in curve} == {0}


def test_dollars_are_steady_where_values_are_in_dollars_and_the_base_itself_is_everywhere() -> None:
    dollars, ether = Base(name="USD", decimals=8), Base(name="WETH", decimals=18)
    assert [name for name in ("USDC", "sUSDe", "DAI", "GHO", "WETH", "wstETH", "LINK") if is_steady(name, dollars)] == [
        "USDC",
        "sUSDe",
        "DAI",
        "GHO",
    ]
    assert [name for name in ("USDC", "WETH", "wstETH") if is_steady(name, ether)] == ["WETH"]


def test_the_critical_price_is_the_very_unit_at_which_the_contracts_say_otherwise() -> None:
    found = {one.account: one for one in value(situation(), SETTINGS, salt=SALT).sample.near}
    near = found[address(NEAR)]
    # 0.8 x 1,937.5 is 1,550: one unit less can be liquidated.
    edge = 1_937_50000000 - 1
    assert (near.asset, near.price, near.distance_ppm) == ("WETH", str(edge), -31_250)
    for price, falls in ((edge, True), (edge + 1, False)):
        at = value(situation(market(price)), SETTINGS, salt=SALT).sample
        assert {one.account: one.liquidatable for one in at.near}[address(NEAR)] is falls


def test_the_nearest_of_all_assets_is_named_by_distance_up_or_down() -> None:
    """Ether may fall by 3.1 %, and dollars owed rise by 3.2 %; of who owes ether, dollars may fall by 5.9 %."""
    (near,) = value(situation(accounts=(ACCOUNTS[NEAR - 1],)), SETTINGS, salt=SALT).sample.near
    assert near.asset == "WETH"
    short = account(7, usdc=10_000, owes_weth=4)
    (found,) = value(situation(accounts=(short,)), replace(SETTINGS, near_ppm=100_000), salt=SALT).sample.near
    assert (found.asset, found.price, found.distance_ppm) == ("USDC", str(8_000 * USD // 8_500), -58_823)
    # Ether that rises by a twentieth brings nearer what falls when it rises.
    risen = situation(market(2_100 * USD), (short,))
    (found,) = value(risen, replace(SETTINGS, near_ppm=100_000), salt=SALT).sample.near
    assert (found.asset, found.price, found.distance_ppm) == ("USDC", str(8_400 * USD // 8_500), -11_764)


def test_interest_alone_brings_an_account_over_the_line_after_so_many_seconds() -> None:
    of = situation(market(rate=RAY // 10))
    found = {one.account: one.seconds_left for one in value(of, SETTINGS, salt=SALT).sample.near}
    seconds = found[address(NEAR)]
    assert seconds is not None
    # 3.2 % at 10 % a year, compounded: a little less than 0.32 years.
    assert 0.30 < seconds / YEAR_S < 0.3226
    assert value(situation(of.market, at_s=TIME_S + seconds), SETTINGS, salt=SALT).sample.liquidatable == 3
    assert value(situation(of.market, at_s=TIME_S + seconds - 1), SETTINGS, salt=SALT).sample.liquidatable == 2
    assert found[address(BELOW)] is None


def test_what_is_paused_is_below_the_line_and_blocked() -> None:
    found = value(situation(market(paused=True)), SETTINGS, salt=SALT).sample
    assert (found.liquidatable, found.blocked) == (2, 2)
    assert all(one.blocked for one in found.near if one.liquidatable)
    assert not any(one.blocked for one in found.near if not one.liquidatable)


def test_watched_accounts_are_told_with_their_legs_wherever_they_stand() -> None:
    watched = tuple(AccountSettings(name=f"a{at}", address=address(at)) for at in (LENDER, HEALTHY, 77))
    found = value(situation(), replace(SETTINGS, watched=watched), salt=SALT).sample.watched
    assert [(one.account, one.health_ppm, one.liquidatable) for one in found] == [
        (address(LENDER), None, False),
        (address(HEALTHY), 1_600_000, False),
    ]
    assert found[1].held == (
        Held(asset="WETH", collateral=str(20_000 * USD)),
        Held(asset="USDC", debt=str(10_000 * USD)),
    )


def test_a_price_that_nobody_knows_makes_unknown_whom_it_touches_and_nobody_else() -> None:
    found = value(situation(market(None)), SETTINGS, salt=SALT).sample
    assert (found.unknown, found.liquidatable, found.bad_debt) == (4, 0, "0")
    assert "no price is known of WETH" in found.problem
    assert (found.collateral, found.debt) == (str(1_000 * USD), str(16_550 * USD))
    named = [one for one in found.near if one.unknown]
    assert {one.account for one in named} == {address(at) for at in (HEALTHY, NEAR, BELOW, UNDER)}
    assert {(one.health_ppm, one.liquidatable, one.exactness) for one in named} == {(None, None, Exactness.UNVERIFIED)}
    assert all("no price" in one.unknown for one in named)
    assert {one.unsure for one in found.curve} == {4}


def test_a_price_of_zero_is_what_the_contracts_make_of_it() -> None:
    found = value(situation(market(0)), SETTINGS, salt=SALT).sample
    assert (found.liquidatable, found.unknown) == (4, 0)
    assert found.bad_debt == str((10_000 + 1_550 + 1_700 + 2_500) * USD)


def test_numbers_that_no_contract_can_count_with_are_unknown() -> None:
    """A scaled balance that overflows 256 bits in a product: the contracts revert."""
    huge = account(8, weth=1, owes=1_000)
    huge = replace(huge, holdings={**huge.holdings, 0: replace(huge.holdings[0], supplied=2**256 - 1)})
    found = value(situation(market(2**200), (huge,)), SETTINGS, salt=SALT).sample
    assert found.liquidatable + found.unknown <= 1
    assert all(isinstance(one.health_ppm, int | None) for one in found.near)


def test_an_account_that_could_not_be_read_is_unknown_and_named_last() -> None:
    who = (55).to_bytes(20)
    found = value(situation(unread={who: "its balances could not be read"}), SETTINGS, salt=SALT).sample
    assert (found.accounts, found.unknown) == (7, 1)
    assert (found.near[-1].account, found.near[-1].unknown) == (address(55), "its balances could not be read")
    assert "1 accounts could not be read" in found.problem


def test_a_market_before_its_own_last_update_is_not_valued() -> None:
    of = situation()
    found = value(replace(of, time_s=TIME_S - 1), SETTINGS, salt=SALT).sample
    assert not found.is_known
    assert "was updated at" in found.problem


def test_a_market_without_accounts_is_known_and_empty() -> None:
    found = value(situation(accounts=()), SETTINGS, salt=SALT).sample
    assert (found.is_known, found.accounts, found.liquidatable, found.near) == (True, 0, 0, ())
    assert [one.accounts for one in found.curve] == [0, 0, 0, 0]
    assert value(situation(accounts=()), SETTINGS, salt=SALT).to_check == ()


def test_everyone_in_the_band_is_checked_and_as_many_others_as_the_lot_says() -> None:
    # 0.8 x 2,000 is 1,600: just on the line, where floats say nothing.
    line = account(9, weth=1, owes=1_600)
    of = situation(accounts=(*ACCOUNTS, line))
    none = value(of, replace(SETTINGS, sample_one_in=0), salt=SALT)
    assert none.to_check == (line.address,)
    assert none.sample.liquidatable == 2
    assert set(value(of, SETTINGS, salt=SALT).to_check) == {one.address for one in (*ACCOUNTS, line)}
    many = situation(accounts=tuple(account(at, weth=10, owes=1) for at in range(1, 401)))
    one, other = (value(many, replace(SETTINGS, sample_one_in=20), salt=salt).to_check for salt in (b"one", b"two"))
    assert 5 < len(one) < 50
    assert one != other


def test_more_accounts_below_the_line_than_can_be_valued_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valuing, "MOST_EXACT", 1)
    found = value(situation(), SETTINGS, salt=SALT).sample
    assert found.liquidatable == 2
    assert "1 accounts below the line were counted only" in found.problem


@given(book=books(), changed=st.data())
def test_sums_by_column_are_those_of_all_accounts_whatever_lies_over_the_base(
    book: Book, changed: st.DataObject
) -> None:
    legs = changed.draw(st.builds(Legs, collateral=st.just({0: 7, 2: 2**255}), debt=st.just({1: 3})))
    accounts = [book.account(row) for row in range(len(book))]
    after = apply(book, Deltas(accounts=dict.fromkeys(accounts[: len(accounts) // 2], legs)))
    for one in (book, after):
        expected = ([0] * len(one.columns), [0] * len(one.columns))
        for row in range(len(one)):
            mine = one.legs(row)
            for side, of in zip(expected, (mine.collateral, mine.debt), strict=True):
                for at, amount in of.items():
                    side[at] += amount
        assert [list(side) for side in sums(one)] == [list(side) for side in expected]


# -- a revision that is not known


def verdict(health_ppm: int | None, collateral: int, debt: int) -> Verdict:
    wad = None if health_ppm is None else health_ppm * 10**12
    falls = wad is not None and wad < 10**18
    return Verdict(liquidatable=falls, health_wad=wad, collateral_base=collateral, debt_base=debt)


def test_of_an_unknown_revision_the_contracts_own_words_are_told_and_labelled() -> None:
    said = {
        (1).to_bytes(20): verdict(900_000, 100, 90),
        (2).to_bytes(20): verdict(500_000, 50, 80),
        (3).to_bytes(20): verdict(1_020_000, 200, 150),
        (4).to_bytes(20): verdict(None, 500, 0),
        (5).to_bytes(20): "getUserAccountData() failed",
    }
    found = value_by_chain(SETTINGS, "99", said, BLOCK, TIME_S)
    assert (found.exactness, found.revision, found.book_hash, found.curve) == (Exactness.CHAIN, "99", "", ())
    assert (found.accounts, found.indebted, found.unknown) == (5, 3, 1)
    assert (found.liquidatable, found.underwater, found.bad_debt) == (2, 1, "30")
    assert [one.account for one in found.near] == [address(2), address(1), address(3), address(5)]
    assert {one.exactness for one in found.near} == {Exactness.CHAIN, Exactness.UNVERIFIED}
    assert "revision 99 counts in a way that is not known" in found.problem
    assert (found.largest, found.largest_ppm) == (address(3), 150 * 10**6 // 320)


def test_rules_that_count_nothing_value_nothing() -> None:
    of = situation()
    rules = ChainRules(
        kind="aave-v3",
        revision="99",
        plan=of.rules.plan,
        finds=lambda _: iter(()),
        says=lambda _: None,  # type: ignore[arg-type, return-value]
    )
    found = value(replace(of, rules=rules), SETTINGS, salt=SALT).sample
    assert not found.is_known
    assert "99 counts in a way that is not known: ask getUserAccountData()" in found.problem


# -- packing


@given(
    flags=st.integers(0, 2**256 - 1),
    supplied=st.integers(0, 2**256 - 1),
    category=st.integers(0, 255),
    address_=st.binary(min_size=20, max_size=20),
)
def test_an_account_is_the_same_after_it_was_packed(flags: int, supplied: int, category: int, address_: bytes) -> None:
    one = account(1, weth=3, owes=5)
    holdings = {0: replace(one.holdings[0], supplied=supplied), 3: one.holdings[1]}
    one = Account(address=address_, flags=flags, category=category, holdings=holdings)
    assert unpack(Account, pack(one)) == one
    assert pack(unpack(Account, pack(one))) == pack(one)


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"[1,2]", b'["00",1,2,[[1]]]', b'["zz",1,2,[]]', b"[null,1,2,[]]"])
def test_junk_is_no_account(junk: bytes) -> None:
    with pytest.raises(CorruptRecord):
        unpack(Account, junk)


def test_only_classes_of_protocols_are_found_by_their_names() -> None:
    assert class_of(name_of(Account)) is Account
    for name in (
        "os:system",
        "tocsin.protocols.aave_v3.market:RAY",
        "tocsin.protocols.nowhere:Account",
        "",
        "tocsin.ids:digest",
    ):
        with pytest.raises(CorruptRecord):
            class_of(name)


@given(columns=columns_of_any_price(broken=True))
def test_worth_is_cut_and_never_made_up(columns: Columns) -> None:
    amounts = [10**6] * len(columns.all)
    for amount, column, found in zip(
        amounts, columns.all, worth(amounts, [one.raw for one in columns.all]), strict=True
    ):
        exact = Fraction(0) if column.raw is None else amount * column.raw
        assert found <= exact < found + 1
