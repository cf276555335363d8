"""The reference backend: numpy alone."""

from typing import Final

import numpy as np

from tocsin.risk.amounts import Floats
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import UNIT, Banded, Counts, Swept, Values
from tocsin.risk.scenarios import Block
from tocsin.risk.table import Bools, Rows, Side, Table


class PlainKernel:
    """`Kernel` in numpy: a gather, a product and a sum for each layer of legs."""

    name = "numpy"

    def values(self, rows: Table, factors: Factors) -> Values:
        """Return what each row is worth and owes, and its band."""
        with np.errstate(all="ignore"):
            has, owes = rows.collateral.layers, rows.debt.layers
            collateral, raw, steps = has.sums((factors.collateral, factors.raw), (factors.collateral_step,))
            debt, debt_steps = owes.sums((factors.debt,), (factors.debt_step,))
            steps += debt_steps
            band = rows.roundings * UNIT
            band *= collateral + debt
            band += factors.constant
            band += steps
            judged = (collateral < factors.limit) & (debt < factors.limit) & ~rows.always_exact
        band[~judged] = np.inf
        return collateral, raw, debt, band

    def sweep(self, rows: Banded, block: Block) -> Swept:
        """Return what becomes of rows in a block: bounds decide most of them, the others go one scenario at a time."""
        with np.errstate(all="ignore"):
            is_safe, is_liquidatable = _bounded(rows, block)
            found = _all_fall(rows.table, np.flatnonzero(is_liquidatable), block)
            open_ = np.flatnonzero(~is_safe & ~is_liquidatable)
            if len(open_):
                _one_by_one(found, rows, open_, block)
        return Swept(
            liquidatable=found.liquidatable,
            unsure=found.unsure,
            collateral=found.collateral,
            debt=found.debt,
            bad_debt=found.bad_debt,
            hits=found.hits,
            evaluated=len(open_) * block.lanes,
        )

    def worst(self, table: Table, block: Block) -> tuple[Floats, Counts]:
        """Return of each row its lowest ratio in the block and the first lane that has it."""
        lowest, at = np.full(len(table), np.inf), np.zeros(len(table), dtype=np.int64)
        with np.errstate(all="ignore"):
            for lane in range(block.lanes):
                ratio = summed(table.collateral, block.collateral[:, lane]) / summed(table.debt, block.debt[:, lane])
                is_lower = ratio < lowest
                lowest[is_lower], at[is_lower] = ratio[is_lower], lane
        return lowest, at


class _Sums:
    """What a sweep adds up."""

    __slots__ = ("bad_debt", "collateral", "debt", "hits", "liquidatable", "unsure")

    def __init__(self, rows: int, lanes: int) -> None:
        self.liquidatable: Counts = np.zeros(lanes, dtype=np.int64)
        self.unsure: Counts = np.zeros(lanes, dtype=np.int64)
        self.collateral: Floats = np.zeros(lanes)
        self.debt: Floats = np.zeros(lanes)
        self.bad_debt: Floats = np.zeros(lanes)
        self.hits: Counts = np.zeros(rows, dtype=np.int64)


def summed(side: Side, factor: Floats) -> Floats:
    """Return the sum of amount by factor of each row."""
    # Of no legs at all a count gives integers of zero; the view makes floats of zero of them.
    return np.bincount(side.row, weights=side.amount * factor[side.place], minlength=len(side)).view(np.float64)


def _bounded(rows: Banded, block: Block) -> tuple[Bools, Bools]:
    """Return which rows are safe, and which liquidatable, in all scenarios of the block, by more than their band."""
    low = summed(rows.table.collateral, block.collateral_low) - summed(rows.table.debt, block.debt_high)
    high = summed(rows.table.debt, block.debt_low) - summed(rows.table.collateral, block.collateral_high)
    return low > rows.above * block.most_scale, high > rows.below * block.most_scale


def _all_fall(table: Table, rows: Rows, block: Block) -> _Sums:
    """Return the sums of rows that fall in every scenario: values are linear, so amounts are added up by column."""
    found = _Sums(len(table), block.lanes)
    found.liquidatable += len(rows)
    found.hits[rows] = block.lanes
    if not len(rows):
        return found
    fallen = table.take(rows)
    found.debt += _linear(fallen.debt, block.debt)
    found.collateral += _linear(fallen.collateral, block.raw)
    is_short = summed(fallen.debt, block.debt_low) > summed(fallen.collateral, block.raw_high)
    may_be_short = summed(fallen.debt, block.debt_high) > summed(fallen.collateral, block.raw_low)
    short = fallen.take(np.flatnonzero(is_short))
    found.bad_debt += _linear(short.debt, block.debt) - _linear(short.collateral, block.raw)
    perhaps = fallen.take(np.flatnonzero(may_be_short & ~is_short))
    for lane in range(block.lanes if len(perhaps) else 0):
        owed, had = summed(perhaps.debt, block.debt[:, lane]), summed(perhaps.collateral, block.raw[:, lane])
        found.bad_debt[lane] += np.maximum(owed - had, 0.0).sum()
    return found


def _linear(side: Side, factor: Floats) -> Floats:
    """Return what all legs are worth in each scenario. A column without a leg is left out: its price may be unknown."""
    amounts = np.bincount(side.place, weights=side.amount, minlength=len(factor)).view(np.float64)
    used = np.flatnonzero(amounts)
    worth: Floats = amounts[used] @ factor[used]
    return worth


def _one_by_one(found: _Sums, rows: Banded, open_: Rows, block: Block) -> None:
    table, above, below = rows.table.take(open_), rows.above[open_], rows.below[open_]
    hits = np.zeros(len(open_), dtype=np.int64)
    for lane in range(block.lanes):
        owed = summed(table.debt, block.debt[:, lane])
        margin = summed(table.collateral, block.collateral[:, lane]) - owed
        is_under = margin < 0
        scale = block.scale[lane]
        is_sure = (margin > above * scale) | (-margin > below * scale)
        found.unsure[lane] += len(margin) - np.count_nonzero(is_sure)
        under = np.flatnonzero(is_under)
        found.liquidatable[lane] += len(under)
        hits[under] += 1
        owed, had = owed[under], summed(table.collateral.take(under), block.raw[:, lane])
        found.debt[lane] += owed.sum()
        found.collateral[lane] += had.sum()
        found.bad_debt[lane] += np.maximum(owed - had, 0.0).sum()
    found.hits[open_] += hits


PLAIN: Final = PlainKernel()
