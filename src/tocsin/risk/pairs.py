"""Isolated markets of one collateral and one debt: sorted once by critical price, a scenario is a search.

An account with one leg on each side falls where the price of its collateral, in that of its debt, is below a ratio of
its own. Sorted by it, the accounts of a pair that fall in a scenario are the last ones, their values are sums from
there to the end, and none is looked at. The few whose ratio is within the band of a scenario's are valued as kernels
do, and accounts of any other shape, or with a band that is no small part of what they have, go through the kernel: the
counts are its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from tocsin.risk.amounts import Floats
from tocsin.risk.book import Book
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import Banded, Kernel
from tocsin.risk.plain import PLAIN
from tocsin.risk.scenarios import LANES, Scenarios
from tocsin.risk.stress import Chosen, Mapper, StressReport, check_assets, chosen, swept
from tocsin.risk.table import Rows

_WIDEST: Final = 2.0**-17
"""The largest band, as a share of collateral or debt, of accounts that are searched for. Larger ones are dust."""
_ROUNDING: Final = 2.0**-40
"""More than all that is rounded on the way to a ratio."""
_AT_ONCE: Final = 2**20
"""Pairs of account and scenario that are looked at together: some 100 MB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """The accounts of one pair of columns, by rising critical ratio; shape (accounts,)."""

    columns: tuple[int, int]
    """Of the collateral and of the debt."""
    rows: Rows
    """Their rows in the book."""
    ratio: Floats
    """The multiple of the collateral's price, by that of the debt's, below which each falls."""
    collateral_amount: Floats
    debt_amount: Floats
    above: Floats
    below: Floats
    raw_from: Floats
    """What this account and all behind it have; one more place with zero."""
    debt_from: Floats
    """What they owe."""
    short_ratio: Floats
    """Below which each owes more than it has, in an order of their own, rising; the two below are in that order too."""
    short_raw_from: Floats
    short_debt_from: Floats
    widest: float
    """The largest band, as a share of collateral or debt."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairIndex:
    """A book sorted for searches, at one block's factors."""

    pairs: tuple[Pair, ...]
    others: Chosen
    """Accounts that go through the kernel."""
    factors: Factors


def pair_index(book: Book, factors: Factors, kernel: Kernel = PLAIN) -> PairIndex:
    """Sort the accounts of a book that have one leg on each side. Raises ValueError as `evaluate` does."""
    what = chosen(book, factors, kernel)
    table = what.banded.table
    is_pair = (table.collateral.counts == 1) & (table.debt.counts == 1)
    collateral, raw, debt, _ = kernel.values(table, factors)
    widest = np.maximum(what.banded.above, what.banded.below) / np.maximum(np.minimum(collateral, debt), 2.0**-1000)
    is_pair &= (widest <= _WIDEST) & (raw >= collateral)
    at = np.flatnonzero(is_pair)
    columns = table.collateral.place[table.collateral.ptr[at]] * factors.width + table.debt.place[table.debt.ptr[at]]
    order = at[np.lexsort((debt[at] / collateral[at], columns))]
    columns = np.sort(columns)
    cuts = np.flatnonzero(np.diff(columns, prepend=-1, append=-1))
    values = (collateral, raw, debt, widest)
    pairs = tuple(
        _pair(what, order[begin:end], divmod(int(columns[begin]), factors.width), values)
        for begin, end in pairwise(cuts.tolist())
    )
    return PairIndex(pairs=pairs, others=_part(what, np.flatnonzero(~is_pair)), factors=factors)


def stress_pairs(
    index: PairIndex, scenarios: Scenarios, kernel: Kernel = PLAIN, *, lanes: int = LANES, mapper: Mapper = map
) -> StressReport:
    """Return what `stress` returns, with the same counts. Raises ValueError for scenarios of other assets."""
    check_assets(index.factors, scenarios)
    found = swept(index.others, index.factors, scenarios, kernel, lanes, mapper)
    for pair in index.pairs:
        _search(pair, index.factors, scenarios, found)
    rows = sum(len(pair.rows) for pair in index.pairs)
    return StressReport(
        liquidatable=found.liquidatable,
        unsure=found.unsure,
        collateral=found.collateral,
        debt=found.debt,
        bad_debt=found.bad_debt,
        hits=found.hits,
        unjudged=found.unjudged,
        pairs=found.pairs + rows * len(scenarios),
        evaluated=found.evaluated,
    )


def _part(what: Chosen, at: Rows) -> Chosen:
    banded = what.banded
    return Chosen(
        rows=what.rows[at],
        banded=Banded(table=banded.table.take(at), above=banded.above[at], below=banded.below[at]),
        unjudged=what.unjudged,
        size=what.size,
    )


def _pair(what: Chosen, order: Rows, columns: tuple[int, int], values: tuple[Floats, Floats, Floats, Floats]) -> Pair:
    """Return one pair of these rows of `what`, which rise by ratio; `values` are collateral, raw, debt, widest."""
    table = what.banded.table
    collateral, raw, debt, widest = (value[order] for value in values)
    short_ratio = debt / raw
    short = np.argsort(short_ratio, kind="stable")
    return Pair(
        columns=columns,
        rows=what.rows[order],
        ratio=debt / collateral,
        collateral_amount=table.collateral.amount[table.collateral.ptr[order]],
        debt_amount=table.debt.amount[table.debt.ptr[order]],
        above=what.banded.above[order],
        below=what.banded.below[order],
        raw_from=_from(raw),
        debt_from=_from(debt),
        short_ratio=short_ratio[short],
        short_raw_from=_from(raw[short]),
        short_debt_from=_from(debt[short]),
        widest=float(widest.max(initial=0.0)),
    )


def _from(values: Floats) -> Floats:
    """Return the sum of each value and all behind it, and zero."""
    found = np.zeros(len(values) + 1)
    found[:-1] = np.cumsum(values[::-1])[::-1]
    return found


def _search(pair: Pair, factors: Factors, scenarios: Scenarios, found: StressReport) -> None:
    """Add what becomes of one pair to a report."""
    has, owes = (scenarios.multiples[:, factors.asset[column]] for column in pair.columns)
    scale = scenarios.scale
    with np.errstate(all="ignore"):
        ratio = np.where(owes > 0, has / owes, np.inf)
        doubt = pair.widest * scale / np.minimum(has, owes) + _ROUNDING
        is_wide = ~(doubt < 1)
        low = np.where(is_wide, 0, np.searchsorted(pair.ratio, ratio * (1 - doubt)))
        high = np.where(is_wide, len(pair.rows), np.searchsorted(pair.ratio, ratio * (1 + doubt), side="right"))
    found.liquidatable[:] += len(pair.rows) - high
    found.debt[:] += owes * pair.debt_from[high]
    found.collateral[:] += has * pair.raw_from[high]
    short = np.searchsorted(pair.short_ratio, ratio, side="right")
    found.bad_debt[:] += owes * pair.short_debt_from[short] - has * pair.short_raw_from[short]
    found.hits[pair.rows] += np.cumsum(np.bincount(high, minlength=len(pair.rows) + 1))[:-1]
    for lane, at in _windows(low, high):
        _look(pair, factors, lane, at, (has[lane], owes[lane], scale[lane]), found)


def _windows(low: Rows, high: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Yield scenarios and accounts that have to be looked at, so many at once."""
    counts = high - low
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(counts) and ends[-1] > (done := int(ends[begin - 1]) if begin else 0):
        end = max(int(np.searchsorted(ends, done + _AT_ONCE, side="right")), begin + 1)
        lane = np.repeat(np.arange(begin, end), counts[begin:end])
        first = ends[begin:end] - counts[begin:end] - done
        yield lane, np.arange(len(lane)) - np.repeat(first - low[begin:end], counts[begin:end])
        begin = end


def _look(
    pair: Pair, factors: Factors, lane: Rows, at: Rows, then: tuple[Floats, Floats, Floats], found: StressReport
) -> None:
    """Value accounts in scenarios one by one, with the roundings of the kernels."""
    has, owes, scale = then
    collateral, debt = pair.columns
    owed = pair.debt_amount[at] * (factors.debt[debt] * owes)
    net = pair.collateral_amount[at] * (factors.collateral[collateral] * has) - owed
    is_sure = (net > pair.above[at] * scale) | (-net > pair.below[at] * scale)
    under = net < 0
    np.add.at(found.unsure, lane[~is_sure], 1)
    np.add.at(found.liquidatable, lane[under], 1)
    np.add.at(found.hits, pair.rows[at[under]], 1)
    np.add.at(found.debt, lane[under], owed[under])
    np.add.at(found.collateral, lane[under], (pair.collateral_amount[at] * (factors.raw[collateral] * has))[under])
