"""Isolated markets of one collateral and one debt: sorted once by critical price, a scenario is a search.

An account with one leg on each side falls where the price of its collateral, in that of its debt, is below a ratio of
its own. Sorted by it, the accounts of a pair that fall in a scenario are the last ones, their values are sums from
there to the end, and none is looked at. The few whose ratio is within the band of a scenario's are valued as kernels
do, and accounts of any other shape, or with a band that is no small part of what they have, go through the kernel: the
counts are its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from tocsin.risk.amounts import Floats
from tocsin.risk.book import Book
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import Banded, Kernel
from tocsin.risk.plain import PLAIN, valued
from tocsin.risk.ranked import Prices, Ranked
from tocsin.risk.scenarios import LANES, Scenarios, whole
from tocsin.risk.stopping import Stop, never
from tocsin.risk.stress import Chosen, Mapper, StressReport, check_assets, chosen, swept
from tocsin.risk.table import Rows

_WIDEST: Final = 2.0**-17
"""The largest band, as a share of collateral or debt, of accounts that are searched for. Larger ones are dust."""
_Values = tuple[Floats, Floats, Floats, Floats]
SEARCHED: Final = 4096
"""Scenarios that are searched together: enough that what is done for each pair by itself does not count."""
_FEW: Final = 2**15
"""Pairs of other accounts and scenario that are valued in one go."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """The accounts of one pair of columns, by rising critical ratio; shape (accounts,)."""

    columns: tuple[int, int]
    """Of the collateral and of the debt."""
    rows: Rows
    """Their rows in the book."""
    ranked: Ranked


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
        _pair(what, factors, order[begin:end], divmod(int(columns[begin]), factors.width), values)
        for begin, end in pairwise(cuts.tolist())
    )
    return PairIndex(pairs=pairs, others=_part(what, np.flatnonzero(~is_pair)), factors=factors)


def stress_pairs(
    index: PairIndex,
    scenarios: Scenarios,
    kernel: Kernel = PLAIN,
    *,
    lanes: int = LANES,
    mapper: Mapper = map,
    stop: Stop = never,
) -> StressReport:
    """Return what `stress` returns, with the same counts. Raises ValueError for scenarios of other assets.

    `stop` is asked before each `SEARCHED` scenarios, and while the other accounts are swept.
    """
    check_assets(index.factors, scenarios)
    parts = []
    for begin in range(0, max(len(scenarios), 1), SEARCHED):
        some = scenarios if len(scenarios) <= SEARCHED else scenarios.part(begin, begin + SEARCHED)
        part = None if stop() else _searched(index, some, kernel, lanes, mapper, stop)
        if part is None or not part.is_whole:
            break
        parts.append(part)
    return _joined(index, parts, len(scenarios))


def _searched(
    index: PairIndex, scenarios: Scenarios, kernel: Kernel, lanes: int, mapper: Mapper, stop: Stop
) -> StressReport:
    """Return what becomes of all accounts; not whole where sweeping the other accounts was stopped."""
    if len(index.others.rows) * len(scenarios) <= _FEW:
        found = _few(index, scenarios)
    else:
        found = swept(index.others, index.factors, scenarios, kernel, lanes=lanes, mapper=mapper, stop=stop)
    if not found.is_whole:
        return found
    by_asset, scale = np.ascontiguousarray(scenarios.multiples.T), scenarios.scale
    for pair in index.pairs:
        has, owes = (by_asset[index.factors.asset[column]] for column in pair.columns)
        _search(pair, Prices(collateral=has, debt=owes, scale=scale), kernel, found)
    return found


def _joined(index: PairIndex, parts: Sequence[StressReport], asked: int) -> StressReport:
    """Return runs of scenarios, one behind the other, as one."""
    none, places = np.zeros(0, dtype=np.int64), sum(len(part.places) for part in parts)
    rows = len(index.others.rows) + sum(len(pair.rows) for pair in index.pairs)
    return StressReport(
        places=np.arange(places, dtype=np.intp),
        asked=asked,
        liquidatable=np.concatenate([none, *(part.liquidatable for part in parts)]),
        unsure=np.concatenate([none, *(part.unsure for part in parts)]),
        collateral=np.concatenate([none.astype(np.float64), *(part.collateral for part in parts)]),
        debt=np.concatenate([none.astype(np.float64), *(part.debt for part in parts)]),
        bad_debt=np.concatenate([none.astype(np.float64), *(part.bad_debt for part in parts)]),
        hits=sum((part.hits for part in parts), start=np.zeros(index.others.size, dtype=np.int64)),
        unjudged=index.others.unjudged,
        pairs=rows * places,
        evaluated=sum(part.evaluated for part in parts),
    )


def _few(index: PairIndex, scenarios: Scenarios) -> StressReport:
    """Return what becomes of the other accounts where they are so few that blocks would cost more than they."""
    table, others = index.others.banded.table, index.others
    used = table.used
    banded = replace(others.banded, table=table.within(used))
    part = valued(banded, whole(index.factors.only(used), scenarios))
    hits = np.zeros(others.size, dtype=np.int64)
    hits[others.rows] = part.hits
    return StressReport(
        places=np.arange(len(scenarios), dtype=np.intp),
        asked=len(scenarios),
        liquidatable=part.liquidatable,
        unsure=part.unsure,
        collateral=part.collateral,
        debt=part.debt,
        bad_debt=part.bad_debt,
        hits=hits,
        unjudged=others.unjudged,
        pairs=part.evaluated,
        evaluated=part.evaluated,
    )


def _part(what: Chosen, at: Rows) -> Chosen:
    banded = what.banded
    return Chosen(
        rows=what.rows[at],
        banded=Banded(table=banded.table.take(at), above=banded.above[at], below=banded.below[at]),
        unjudged=what.unjudged,
        size=what.size,
    )


def _pair(what: Chosen, factors: Factors, order: Rows, columns: tuple[int, int], values: _Values) -> Pair:
    """Return one pair of these rows of `what`, which rise by ratio; `values` are collateral, raw, debt, widest."""
    table = what.banded.table
    collateral, raw, debt, widest = (value[order] for value in values)
    return Pair(
        columns=columns,
        rows=what.rows[order],
        ranked=Ranked(
            ratio=debt / collateral,
            collateral_amount=table.collateral.amount[table.collateral.ptr[order]],
            debt_amount=table.debt.amount[table.debt.ptr[order]],
            above=what.banded.above[order],
            below=what.banded.below[order],
            raw_from=_from(raw),
            debt_from=_from(debt),
            widest=float(widest.max(initial=0.0)),
            weighted=float(factors.collateral[columns[0]]),
            raw=float(factors.raw[columns[0]]),
            debt=float(factors.debt[columns[1]]),
        ),
    )


def _from(values: Floats) -> Floats:
    """Return the sum of each value and all behind it, and zero."""
    found = np.zeros(len(values) + 1)
    found[:-1] = np.cumsum(values[::-1])[::-1]
    return found


def _search(pair: Pair, prices: Prices, kernel: Kernel, found: StressReport) -> None:
    """Add what becomes of one pair to a report."""
    part = kernel.search(pair.ranked, prices)
    found.liquidatable[:] += part.liquidatable
    found.unsure[:] += part.unsure
    found.collateral[:] += part.collateral
    found.debt[:] += part.debt
    found.bad_debt[:] += part.bad_debt
    found.hits[pair.rows] += part.hits
