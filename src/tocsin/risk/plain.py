"""The reference backend: numpy alone."""

from typing import Final

import numpy as np

from tocsin.risk.amounts import Floats
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import UNIT, Banded, Counts, Swept, Values
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
        return Swept(
            liquidatable=found.liquidatable,
            unsure=found.unsure,
            collateral=found.collateral,
            debt=found.debt,
            bad_debt=found.bad_debt,
            hits=found.hits,
            evaluated=evaluated,
        )

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


def linear(amounts: Floats, factors: Floats) -> Floats:
    """Return what amounts by column and leaf are worth in each lane; a column without any may have no known price."""
    of_lanes = np.repeat(amounts, LEAF, axis=1)[:, : factors.shape[1]]
    worth: Floats = np.where(of_lanes > 0, of_lanes * factors, 0.0).sum(axis=0)
    return worth


def _leaves(block: Block) -> list[slice]:
    return [slice(begin, min(begin + LEAF, block.lanes)) for begin in range(0, block.lanes, LEAF)]


def _is_safe(rows: Banded, block: Block) -> Bools:
    """Return which rows the lowest and highest factors of the whole block show to be safe."""
    (least,) = rows.table.collateral.layers.sums((block.collateral_low.min(axis=1),))
    (most,) = rows.table.debt.layers.sums((block.debt_high.max(axis=1),))
    found: Bools = least - most > rows.above * block.leaf_scale.max()
    return found


def _by_leaf(found: _Sums, rows: Banded, left: Rows, block: Block) -> int:
    """Add what becomes of the rows that are left; returns how many pairs were valued."""
    table, above, below = rows.table.take(left), rows.above[left, None], rows.below[left, None]
    has, owes = table.collateral.layers, table.debt.layers
    low, high = owes.tables(block.debt_low), owes.tables(block.debt_high)
    is_safe = has.tables(block.collateral_low) - high > above * block.leaf_scale
    has_fallen = low - has.tables(block.collateral_high) > below * block.leaf_scale
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
    is_short = low > summed(table.collateral, block.raw_high[:, at])
    may_be_short = high > summed(table.collateral, block.raw_low[:, at])
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
