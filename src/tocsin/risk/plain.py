"""The reference backend: numpy alone."""

from typing import Final

import numpy as np

from tocsin.risk.amounts import Counts, Floats
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import UNIT, Banded, Swept, Values
from tocsin.risk.ranked import Prices, Ranked, Searched, search
from tocsin.risk.scenarios import LEAF, Block
from tocsin.risk.table import Bools, Rows, Side, Table

_AT_ONCE: Final = 2**15
"""Rows that bounds of a whole block leave open, and that are bounded by leaf together: some 30 MB."""


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
        """Return what becomes of rows in a block: bounds decide most of them, the others go leaf by leaf."""
        found, evaluated = _Sums(len(rows.table), block.lanes), 0
        with np.errstate(all="ignore"):
            left = np.flatnonzero(~_is_safe(rows, block))
            for begin in range(0, len(left), _AT_ONCE):
                evaluated += _by_leaf(found, rows, left[begin : begin + _AT_ONCE], block)
        return found.swept(evaluated)

    def worst(self, table: Table, block: Block) -> tuple[Floats, Counts]:
        """Return of each row its lowest ratio in the block and the first lane that has it."""
        lowest, at = np.full(len(table), np.inf), np.zeros(len(table), dtype=np.int64)
        with np.errstate(all="ignore"):
            for leaf in _leaves(block):
                ratio = table.collateral.layers.tables(block.collateral[:, leaf])
                ratio /= table.debt.layers.tables(block.debt[:, leaf])
                np.copyto(ratio, np.inf, where=np.isnan(ratio))
                lane = ratio.argmin(axis=1)
                least = ratio[np.arange(len(table)), lane]
                is_lower = least < lowest
                lowest[is_lower], at[is_lower] = least[is_lower], lane[is_lower] + leaf.start
        return lowest, at

    def search(self, ranked: Ranked, prices: Prices) -> Searched:
        """Return what becomes of the ranked accounts of a pair of columns under scenarios."""
        return search(ranked, prices)


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

    def swept(self, evaluated: int) -> Swept:
        return Swept(
            liquidatable=self.liquidatable,
            unsure=self.unsure,
            collateral=self.collateral,
            debt=self.debt,
            bad_debt=self.bad_debt,
            hits=self.hits,
            evaluated=evaluated,
        )


def valued(rows: Banded, block: Block) -> Swept:
    """Return what becomes of few rows in a block of any number of scenarios, each pair valued."""
    found = _Sums(len(rows.table), block.lanes)
    with np.errstate(all="ignore"):
        bands, every = (rows.above[:, None], rows.below[:, None]), np.arange(len(rows.table), dtype=np.intp)
        _valued(found, rows.table, bands, every, block, slice(0, block.lanes))
    return found.swept(len(rows.table) * block.lanes)


def summed(side: Side, factor: Floats) -> Floats:
    """Return the sum of amount by factor of each row."""
    # Of no legs at all a count gives integers of zero; the view makes floats of zero of them.
    return np.bincount(side.row, weights=side.amount * factor[side.place], minlength=len(side)).view(np.float64)


def linear(amounts: Floats, factors: Floats) -> Floats:
    """Return what amounts by column and leaf are worth in each lane; a column without any may have no known price."""
    found = np.zeros(factors.shape[1])
    for column in np.flatnonzero(amounts.any(axis=1)):
        of_lanes = np.repeat(amounts[column], LEAF)[: len(found)]
        found += np.where(of_lanes > 0, of_lanes * factors[column], 0.0)
    return found


def _leaves(block: Block) -> list[slice]:
    return [slice(begin, min(begin + LEAF, block.lanes)) for begin in range(0, block.lanes, LEAF)]


def _is_safe(rows: Banded, block: Block) -> Bools:
    """Return which rows the lowest and highest factors of the whole block show to be safe."""
    (least,) = rows.table.collateral.layers.sums((block.collateral_bounds[0].min(axis=1),))
    (most,) = rows.table.debt.layers.sums((block.debt_bounds[1].max(axis=1),))
    found: Bools = least - most > rows.above * block.leaf_scale.max()
    return found


def _by_leaf(found: _Sums, rows: Banded, left: Rows, block: Block) -> int:
    """Add what becomes of the rows that are left; returns how many pairs were valued."""
    table, above, below = rows.table.take(left), rows.above[left, None], rows.below[left, None]
    has, owes = table.collateral.layers, table.debt.layers
    low, high = (owes.tables(bound) for bound in block.debt_bounds)
    least, most = (has.tables(bound) for bound in block.collateral_bounds)
    is_safe = least - high > above * block.leaf_scale
    has_fallen = low - most > below * block.leaf_scale
    evaluated = 0
    for at, lanes in enumerate(_leaves(block)):
        if len(fallen := np.flatnonzero(has_fallen[:, at])):
            _fallen(found, table.take(fallen), (low[fallen, at], high[fallen, at]), block, at, lanes)
            found.hits[left[fallen]] += lanes.stop - lanes.start
        if len(open_ := np.flatnonzero(~is_safe[:, at] & ~has_fallen[:, at])):
            evaluated += len(open_) * (lanes.stop - lanes.start)
            _valued(found, table.take(open_), (above[open_], below[open_]), left[open_], block, lanes)
    return evaluated


def _fallen(found: _Sums, table: Table, owed: tuple[Floats, Floats], block: Block, at: int, lanes: slice) -> None:
    """Add rows that fall in every lane of a leaf: values are linear, so amounts are added up by column."""
    raw, debt = block.raw[:, lanes], block.debt[:, lanes]
    found.liquidatable[lanes] += len(table)
    found.debt[lanes] += _worth(table.debt, debt)
    found.collateral[lanes] += _worth(table.collateral, raw)
    low, high = owed
    is_short = low > summed(table.collateral, block.raw_bounds[1][:, at])
    may_be_short = high > summed(table.collateral, block.raw_bounds[0][:, at])
    short, perhaps = table.take(np.flatnonzero(is_short)), table.take(np.flatnonzero(may_be_short & ~is_short))
    found.bad_debt[lanes] += _worth(short.debt, debt) - _worth(short.collateral, raw)
    if len(perhaps):
        lack = perhaps.debt.layers.tables(debt) - perhaps.collateral.layers.tables(raw)
        found.bad_debt[lanes] += np.maximum(lack, 0.0).sum(axis=0)


def _worth(side: Side, factors: Floats) -> Floats:
    """Return what all legs are worth in the lanes of a leaf."""
    amounts = np.bincount(side.place, weights=side.amount, minlength=len(factors)).view(np.float64)
    return linear(amounts[:, None], factors)


def _valued(found: _Sums, table: Table, bands: tuple[Floats, Floats], rows: Rows, block: Block, lanes: slice) -> None:
    """Add rows that bounds leave open, each valued in each lane of a leaf."""
    (above, below), scale = bands, block.scale[lanes]
    owes = table.debt.layers.tables(block.debt[:, lanes])
    net = table.collateral.layers.tables(block.collateral[:, lanes]) - owes
    is_sure = (net > above * scale) | (-net > below * scale)
    found.unsure[lanes] += len(net) - np.count_nonzero(is_sure, axis=0)
    falls = net < 0
    some = np.flatnonzero(falls.any(axis=1))
    falls, owes = falls[some], owes[some]
    found.liquidatable[lanes] += np.count_nonzero(falls, axis=0)
    found.hits[rows[some]] += np.count_nonzero(falls, axis=1)
    has = table.collateral.take(some).layers.tables(block.raw[:, lanes])
    found.debt[lanes] += np.where(falls, owes, 0.0).sum(axis=0)
    found.collateral[lanes] += np.where(falls, has, 0.0).sum(axis=0)
    found.bad_debt[lanes] += np.where(falls, np.maximum(owes - has, 0.0), 0.0).sum(axis=0)


PLAIN: Final = PlainKernel()
