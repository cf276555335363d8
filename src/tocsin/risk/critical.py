"""At which prices accounts reach the line, as multiples of today's: of one leg, of one asset, or all along a line.

The margin of an account is a linear function of prices, so where only one of them moves, or all along a line, the place
where it is zero needs no search. These rank and warn: the exact integer price is a matter of a protocol's own rules.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import Floats
from tocsin.risk.book import Book
from tocsin.risk.evaluate import check
from tocsin.risk.factors import Factors
from tocsin.risk.plain import summed
from tocsin.risk.table import Rows, Table

NEVER = np.inf
"""No multiple of the price, nor any move, takes the account over the line."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CriticalLegs:
    """Of each leg of collateral the multiple of its price at which the account is on the line, if nothing else moves.

    Below zero: no fall of it suffices. Above one: the account is over the line already, and this would bring it back.
    NaN where a price is unknown; infinitely low without debt, or where the leg counts for nothing.
    """

    ptr: npt.NDArray[np.int64]
    """Where the legs of each of the asked rows begin, and one end behind."""
    column: npt.NDArray[np.uint16]
    multiple: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CriticalAssets:
    """Of each account and asset of it the multiple of the price at which it is on the line, if nothing else moves.

    `exposure` is the value by which the margin moves with the price, over both sides and all sets of parameters: above
    zero the account falls when the price falls, below zero when it rises; at zero, or without debt, `multiple` is NaN.
    """

    row: Rows
    """Places in the asked rows, rising; within one the assets rise."""
    asset: Rows
    exposure: Floats
    multiple: Floats


def critical_legs(book: Book, factors: Factors, rows: Rows | None = None) -> CriticalLegs:
    """Return the critical multiple of each leg of collateral in these rows, by default in all."""
    check(book, factors)
    table = book.table(rows)
    side = table.collateral
    with np.errstate(all="ignore"):
        worth = side.amount * factors.collateral[side.place]
        multiple = 1.0 - _margin(table, factors)[side.row] / worth
    multiple[~table.is_indebted[side.row] | (worth == 0)] = -NEVER
    return CriticalLegs(ptr=side.ptr, column=side.col, multiple=multiple)


def critical_assets(book: Book, factors: Factors, rows: Rows | None = None) -> CriticalAssets:
    """Return the critical multiple of each asset that these rows hold or owe, by default in all."""
    check(book, factors)
    table = book.table(rows)
    has, owes = table.collateral, table.debt
    with np.errstate(all="ignore"):
        values = np.concatenate((has.amount * factors.collateral[has.place], -(owes.amount * factors.debt[owes.place])))
        assets = factors.asset[np.concatenate((has.place, owes.place))]
        keys, at = np.unique(np.concatenate((has.row, owes.row)) * len(factors.assets) + assets, return_inverse=True)
        exposure = np.bincount(at, weights=values, minlength=len(keys)).view(np.float64)
        row, asset = np.divmod(keys, max(len(factors.assets), 1))
        multiple = 1.0 - _margin(table, factors)[row] / exposure
    multiple[(exposure == 0) | ~table.is_indebted[row]] = np.nan
    return CriticalAssets(row=row, asset=asset, exposure=exposure, multiple=multiple)


def critical_move(book: Book, factors: Factors, direction: Floats, rows: Rows | None = None) -> Floats:
    """Return how far all prices may go along a direction before each row is on the line; shape (rows,).

    At a move of `t` the price of asset `j` is `1 + t * direction[j]` of today's: with -1 in each asset of a group, `t`
    is the share that the group may lose. `NEVER` where the margin does not shrink that way, or the row owes nothing;
    below zero where a row is over the line already; NaN where a price is unknown. Raises ValueError for a direction of
    another number of assets.
    """
    check(book, factors)
    if direction.shape != (len(factors.assets),):
        raise ValueError(f"a direction of shape {direction.shape} for {len(factors.assets)} assets")
    table, by_column = book.table(rows), direction[factors.asset]
    with np.errstate(all="ignore"):
        margin = _margin(table, factors)
        slope = summed(table.collateral, factors.collateral * by_column) - summed(table.debt, factors.debt * by_column)
        found = -margin / slope
    found[(slope >= 0) | ~table.is_indebted] = NEVER
    return found


def _margin(table: Table, factors: Factors) -> Floats:
    return summed(table.collateral, factors.collateral) - summed(table.debt, factors.debt)
