"""Exact sums of a book by column: of integers, however large they are, without a loop over accounts."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

from tocsin.risk.book import Book
from tocsin.risk.columns import Columns
from tocsin.risk.table import Side, Table

_HALF = 32
_LOW = np.uint64(2**_HALF - 1)

Sums = tuple[tuple[int, ...], tuple[int, ...]]
"""By column: all collateral, all debt, in the units of the book."""


def sums(book: Book) -> Sums:
    """Return what all accounts hold and owe together, by column. Fewer than 2**32 legs are added up."""
    width = len(book.columns)
    over = book.overlay_rows[book.overlay_rows < len(book.base)]
    base, gone, come = (_of(table, width) for table in (book.base, book.base.take(over), book.overlay))
    collateral, debt = (
        tuple(a - b + c for a, b, c in zip(*parts, strict=True)) for parts in zip(base, gone, come, strict=True)
    )
    return collateral, debt


@lru_cache(maxsize=4)
def _of(table: Table, width: int) -> Sums:
    return _side(table.collateral, width), _side(table.debt, width)


def _side(side: Side, width: int) -> tuple[int, ...]:
    found = [0] * width
    for limb in side.exact.T:
        for at in range(width):
            found[at] <<= 2 * _HALF
        for shift, half in ((_HALF, limb >> np.uint64(_HALF)), (0, limb & _LOW)):
            part = np.zeros(width, dtype=np.uint64)
            np.add.at(part, side.place, half)
            for at, value in enumerate(part.tolist()):
                found[at] += value << shift
    return tuple(found)


def worth(amounts: Sequence[int], factors: Sequence[Fraction | None]) -> tuple[int, ...]:
    """Return what amounts are worth in whole base units, cut; what has no known factor is worth nothing here."""
    return tuple(
        0 if factor is None else amount * factor.numerator // factor.denominator
        for amount, factor in zip(amounts, factors, strict=True)
    )


def unpriced(columns: Columns, found: Sums) -> tuple[str, ...]:
    """Return the assets that somebody holds or owes and whose price nobody knows."""
    return tuple(
        dict.fromkeys(
            column.asset
            for column, held, owed in zip(columns.all, *found, strict=True)
            if (held and column.raw is None) or (owed and column.debt is None)
        )
    )
