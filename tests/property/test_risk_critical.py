"""Critical prices: at them an account is on the line, on either side of them it is on either side of it."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from tests.support.books import NAMES, accounts, column, columns, columns_of_any_price, deltas, exact_sums, shocked

from tocsin.risk.book import Book, Deltas, apply
from tocsin.risk.columns import Columns
from tocsin.risk.critical import NEVER, critical_assets, critical_legs, critical_move
from tocsin.risk.factors import Factors
from tocsin.risk.table import Legs

ONE = b"\1" * 20


def margin(legs: Legs, at_block: Columns) -> Fraction:
    sums = exact_sums(legs, at_block)
    assert sums is not None
    return sums[0] - sums[2]


def close_to_the_line(left: Fraction, legs: Legs, *many: Columns) -> bool:
    scale = sum((sum(exact_sums(legs, each) or ()) for each in many), Fraction(0))
    return abs(left) <= scale / 10**13


@given(accounts(most=8), deltas(), columns_of_any_price())
def test_at_the_critical_price_of_an_asset_an_account_is_on_the_line(
    all_: dict[bytes, Legs], what: Deltas, at_block: Columns
) -> None:
    book = apply(Book.of(NAMES, all_), what)
    found = critical_assets(book, Factors.of(at_block))
    for row, asset, exposure, multiple in zip(found.row, found.asset, found.exposure, found.multiple, strict=True):
        legs = book.legs(int(row))
        if not np.isfinite(multiple):
            assert exposure == 0 or not legs.debt
            continue
        moved = [Fraction(1)] * len(at_block.assets)
        moved[asset] = Fraction(multiple)
        assert close_to_the_line(
            margin(legs, shocked(at_block, moved)), legs, at_block, shocked(at_block, map(abs, moved))
        )
    held = {(row, at_block.all[at].asset) for row in range(len(book)) for at in _columns_of(book.legs(row))}
    assert {(row, at_block.assets[asset]) for row, asset in zip(found.row, found.asset, strict=True)} == held


def _columns_of(legs: Legs) -> set[int]:
    return {*legs.collateral, *legs.debt}


@given(accounts(most=8), columns_of_any_price())
def test_at_the_critical_price_of_a_leg_an_account_is_on_the_line(all_: dict[bytes, Legs], at_block: Columns) -> None:
    book = Book.of(NAMES, all_)
    found = critical_legs(book, Factors.of(at_block))
    for row in range(len(book)):
        legs, places = book.legs(row), slice(int(found.ptr[row]), int(found.ptr[row + 1]))
        assert found.column[places].tolist() == list(legs.collateral)
        for at, multiple in zip(legs.collateral, found.multiple[places], strict=True):
            factor = at_block.all[at].collateral
            assert factor is not None
            if not np.isfinite(multiple):
                assert not legs.debt or not factor
            elif not legs.always_exact:
                left = margin(legs, at_block) + legs.collateral[at] * factor * (Fraction(multiple) - 1)
                scale = abs(Fraction(multiple)) * legs.collateral[at] * factor
                assert abs(left) <= (scale + sum(exact_sums(legs, at_block) or ())) / 10**13


@given(accounts(most=8), columns_of_any_price())
def test_along_a_common_move_an_account_reaches_the_line_where_it_is_said(
    all_: dict[bytes, Legs], at_block: Columns
) -> None:
    book, factors = Book.of(NAMES, all_), Factors.of(at_block)
    direction = np.array([-1.0, -0.5, 0.0])[: len(factors.assets)]
    for row, move in enumerate(critical_move(book, factors, direction)):
        legs = book.legs(row)
        if not (legs.debt or legs.always_exact):
            assert move == NEVER
        elif np.isfinite(move) and abs(move) < 1:
            then = shocked(at_block, [1 + Fraction(move) * Fraction(one) for one in direction])
            assert close_to_the_line(margin(legs, then), legs, at_block, then)
        elif move == NEVER and margin(legs, at_block) > 0:
            then = shocked(at_block, [1 + Fraction(one) for one in direction])
            assert margin(legs, then) >= margin(legs, at_block) or close_to_the_line(
                margin(legs, then) - margin(legs, at_block), legs, at_block
            )


def test_a_long_falls_with_its_price_and_a_short_with_the_rise_of_the_other() -> None:
    at_block = columns([column("eth", Fraction(4, 5), 1, 1), column("usd", 0, 1, 1)])
    book, factors = Book.of(at_block.names, {ONE: Legs(collateral={0: 1000}, debt={1: 400})}), Factors.of(at_block)
    found = critical_assets(book, factors)
    assert found.exposure.tolist() == [800.0, -400.0]
    assert found.multiple.tolist() == [0.5, 2.0]
    assert critical_legs(book, factors).multiple.tolist() == [0.5]
    assert critical_move(book, factors, np.array([-1.0, 0.0])).tolist() == [0.5]
    assert critical_move(book, factors, np.array([1.0, 0.0])).tolist() == [NEVER]
    assert critical_move(book, factors, np.array([-1.0, -1.0])).tolist() == [1.0]


def test_a_direction_has_an_entry_for_each_asset() -> None:
    at_block = columns([column("eth", 1, 1, 1)])
    with pytest.raises(ValueError, match="for 1 assets"):
        critical_move(Book.of(at_block.names, {}), Factors.of(at_block), np.zeros(2))
