"""What floats call safe or liquidatable is so in real numbers, by any rounding within the steps; all else is unsure."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.books import (
    NAMES,
    accounts,
    column,
    columns,
    columns_of_any_price,
    deltas,
    exact_sums,
)

from tocsin.risk.book import Book, Deltas, apply, folded
from tocsin.risk.columns import Band, Columns
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors, provenance
from tocsin.risk.health import Flag, confirm, nearest, screen
from tocsin.risk.table import Legs

ONE = b"\1" * 20


def flag_of(legs: Legs, all_: Columns) -> Flag:
    book = Book.of(all_.names, {ONE: legs})
    return Flag(screen(evaluate(book, Factors.of(all_)))[0])


def rounded_worst(one: Legs, all_: Columns, sign: int) -> Fraction | None:
    """Return collateral - debt as a protocol sees it whose rounding goes in one direction as far as the band allows."""
    sums = exact_sums(one, all_)
    if sums is None:
        return None
    c, r, d = sums
    steps = sum((all_.all[at].collateral_step for at in one.collateral), Fraction(0))
    steps += sum((all_.all[at].debt_step for at in one.debt), Fraction(0))
    share = all_.band.raw_share * r if sign < 0 else 0
    return c - d + sign * (steps + all_.band.constant + share)


@given(accounts(most=10), columns_of_any_price() | columns_of_any_price(broken=True))
def test_no_rounding_within_the_steps_overturns_a_flag(all_: dict[bytes, Legs], at_block: Columns) -> None:
    book = Book.of(NAMES, all_)
    flags = screen(evaluate(book, Factors.of(at_block)))
    for row, flag in enumerate(flags):
        legs = book.legs(row)
        if flag == Flag.SAFE:
            worst = rounded_worst(legs, at_block, -1)
            assert not (legs.debt or legs.always_exact) or (worst is not None and worst > 0)
        elif flag == Flag.LIQUIDATABLE:
            best = rounded_worst(legs, at_block, 1)
            assert best is not None
            assert best < 0
            assert not legs.always_exact


@given(accounts(most=10), columns_of_any_price())
def test_what_is_far_from_the_line_is_not_unsure(all_: dict[bytes, Legs], at_block: Columns) -> None:
    book = Book.of(NAMES, all_)
    health = evaluate(book, Factors.of(at_block))
    for row, flag in enumerate(screen(health)):
        legs, sums = book.legs(row), exact_sums(book.legs(row), at_block)
        assert sums is not None
        low, high = rounded_worst(legs, at_block, -1), rounded_worst(legs, at_block, 1)
        if max(sums[0], sums[2]) >= at_block.band.limit:
            continue
        slack = (sums[0] + sums[1] + sums[2]) / 10**10
        if low is not None and high is not None and (low > slack or high < -slack) and not legs.always_exact:
            assert flag != Flag.UNSURE


@given(accounts(), deltas(), columns_of_any_price() | columns_of_any_price(broken=True))
def test_values_do_not_depend_on_overlay_or_order(all_: dict[bytes, Legs], what: Deltas, at_block: Columns) -> None:
    book, factors = apply(Book.of(NAMES, all_), what), Factors.of(at_block)
    laid, whole = evaluate(book, factors), evaluate(folded(book), factors)
    for row in range(len(folded(book))):
        at = book.row(folded(book).account(row))
        for name in ("collateral", "raw", "debt", "band", "is_indebted"):
            one, other = getattr(laid, name)[at], getattr(whole, name)[row]
            assert one == other or (np.isnan(one) and np.isnan(other))


def test_without_debt_an_account_is_safe_at_any_price() -> None:
    unknown = columns([column("a", 1, 1, 0)])
    assert flag_of(Legs(collateral={0: 1}, debt={}), unknown) == Flag.SAFE
    assert flag_of(Legs(collateral={}, debt={}), unknown) == Flag.SAFE


def test_an_account_without_collateral_is_liquidatable() -> None:
    assert flag_of(Legs(collateral={}, debt={0: 10**9}), columns([column("a", 1, 1, 1)])) == Flag.LIQUIDATABLE


def test_an_account_that_columns_do_not_describe_is_unsure_though_it_has_no_leg_of_debt() -> None:
    legs = Legs(collateral={0: 10**9}, debt={}, always_exact=True)
    assert flag_of(legs, columns([column("a", 1, 1, 1)])) == Flag.UNSURE


@pytest.mark.parametrize("debt", [Fraction(0), Fraction(2**1000), Fraction(1, 2**1000), Fraction(-1)])
def test_a_debt_at_no_price_or_an_impossible_one_is_unsure(debt: Fraction) -> None:
    at_block = columns([column("a", 1, 1, 1), column("b", 0, 1, debt)])
    assert flag_of(Legs(collateral={0: 10**30}, debt={1: 1}), at_block) == Flag.UNSURE


def test_collateral_at_a_price_of_zero_is_unsure_unless_the_protocol_leaves_it_out() -> None:
    legs = Legs(collateral={0: 10**30, 1: 5}, debt={0: 1})
    assert flag_of(legs, columns([column("a", 1, 1, 1), column("b", 0, 0, 0)])) == Flag.UNSURE
    left_out = column("b", 0, 0, 0).__class__(
        asset="b",
        collateral=Fraction(0),
        raw=Fraction(0),
        debt=Fraction(1),
        collateral_step=Fraction(0),
        debt_step=Fraction(0),
        is_counted=False,
    )
    assert flag_of(legs, columns([column("a", 1, 1, 1), left_out])) == Flag.SAFE


def test_sums_above_the_limit_are_unsure() -> None:
    at_block = columns([column("a", 1, 1, 1)], Band(limit=Fraction(1000)))
    assert flag_of(Legs(collateral={0: 999}, debt={0: 1}), at_block) == Flag.SAFE
    assert flag_of(Legs(collateral={0: 1000}, debt={0: 1}), at_block) == Flag.UNSURE
    assert flag_of(Legs(collateral={0: 1}, debt={0: 1000}), at_block) == Flag.UNSURE


def test_exact_rules_are_asked_for_just_the_unsure() -> None:
    at_block = columns([column("a", 1, 1, 1)])
    all_ = {
        b"\1" * 20: Legs(collateral={0: 10}, debt={0: 1}),
        b"\2" * 20: Legs(collateral={0: 1}, debt={0: 10}),
        b"\3" * 20: Legs(collateral={0: 10}, debt={0: 10}),
        b"\4" * 20: Legs(collateral={0: 10}, debt={0: 11}),
        b"\5" * 20: Legs(collateral={0: 10}, debt={0: 9}),
    }
    verdicts = {b"\3" * 20: True, b"\4" * 20: False, b"\5" * 20: None}
    asked = {}

    def exact(account: bytes, legs: Legs) -> bool | None:
        asked[account] = legs
        return verdicts[account]

    book = Book.of(at_block.names, all_)
    flags = confirm(book, screen(evaluate(book, Factors.of(at_block))), exact)
    found = {book.account(row): Flag(flag) for row, flag in enumerate(flags)}
    assert asked == {account: all_[account] for account in verdicts}
    assert found == dict(
        zip(all_, (Flag.SAFE, Flag.LIQUIDATABLE, Flag.LIQUIDATABLE, Flag.SAFE, Flag.UNKNOWN), strict=True)
    )


@given(accounts(), columns_of_any_price(broken=True), st.floats(0.5, 2))
def test_the_nearest_are_all_below_the_limit_and_none_is_missing(
    all_: dict[bytes, Legs], at_block: Columns, below: float
) -> None:
    health = evaluate(Book.of(NAMES, all_), Factors.of(at_block))
    rows = nearest(health, below)
    with np.errstate(invalid="ignore"):
        expected = {
            row
            for row in range(len(health))
            if health.is_indebted[row] and not health.collateral[row] >= below * health.debt[row]
        }
    assert set(rows.tolist()) == expected
    ratios = health.ratio()[rows]
    assert np.array_equal(ratios, np.sort(ratios), equal_nan=True)


def test_factors_of_other_columns_are_refused() -> None:
    book = Book.of(("a", "b"), {})
    with pytest.raises(ValueError, match="column 1 differs"):
        evaluate(book, Factors.of(columns([column("a", 1, 1, 1), column("c", 1, 1, 1)])))
    with pytest.raises(ValueError, match="1 columns, not 2"):
        evaluate(book, Factors.of(columns([column("a", 1, 1, 1)])))


def test_the_provenance_of_factors_names_every_number() -> None:
    one = columns([column("a", 1, 1, 1)])
    others = [
        columns([column("a", 2, 1, 1)]),
        columns([column("a", 1, 2, 1)]),
        columns([column("a", 1, 1, 2)]),
        columns([column("a", 1, 1, 1, step=2)]),
        columns([column("a/b", 1, 1, 1)]),
        columns([column("a", 1, 1, 1)], Band(constant=Fraction(1))),
        columns([column("a", 1, 1, 1)], Band(raw_share=Fraction(1, 10**4))),
    ]
    found = {provenance(each) for each in (one, *others)}
    assert len(found) == 8
    assert Factors.of(one).provenance == provenance(one)
