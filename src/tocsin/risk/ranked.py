"""Accounts of one collateral and one debt by critical price: what falls in a scenario is found, not computed.

An account falls where the price of its collateral, in that of its debt, is below a ratio of its own. Those above a
place in the order fall, their values are sums from there to the end, and none of them is looked at. The few whose ratio
is within the band of a scenario's are valued one by one, with the roundings of sweeps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import Counts, Floats

NEAR: Final = 2.0**-40
"""More than all that is rounded on the way to a ratio of prices, relatively."""
_AT_ONCE: Final = 2**20
"""Pairs of account and scenario that are looked at together: some 100 MB."""

_Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """The accounts of one pair of columns, by rising critical ratio; shape (accounts,)."""

    ratio: Floats
    """The multiple of the collateral's price, by that of the debt's, below which each falls."""
    collateral_amount: Floats
    debt_amount: Floats
    above: Floats
    below: Floats
    """Bands, as sweeps have them (`Banded`)."""
    raw_from: Floats
    """What this account and all behind it have; one more place with zero."""
    debt_from: Floats
    """What they owe."""
    widest: float
    """The largest band, as a share of collateral or debt."""
    weighted: float
    raw: float
    debt: float
    """Factors of the two columns."""

    @property
    def slack(self) -> float:
        """Return by how much lower than its ratio prices have to be before an account owes more than all it has."""
        return self.raw / self.weighted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """Multiples of the prices of a pair's collateral and debt, and by how much bands grow; shape (scenarios,)."""

    collateral: Floats
    debt: Floats
    scale: Floats

    @property
    def ratio(self) -> Floats:
        """Return the price of collateral in that of debt, as a multiple; infinite where the debt is worth nothing."""
        with np.errstate(all="ignore"):
            found = self.collateral / self.debt
        found[~(self.debt > 0)] = np.inf
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """What becomes of ranked accounts, by scenario as in `Swept`; `hits` by ranked account."""

    liquidatable: Counts
    unsure: Counts
    collateral: Floats
    debt: Floats
    bad_debt: Floats
    hits: Counts


def search(ranked: Ranked, prices: Prices) -> Searched:
    """Return what becomes of ranked accounts, in numpy."""
    size, ratio = len(ranked.ratio), prices.ratio
    with np.errstate(all="ignore"):
        doubt = ranked.widest * prices.scale / np.minimum(prices.collateral, prices.debt) + NEAR
        lanes, low, high = _places(ranked.ratio, ratio, doubt)
        short = np.searchsorted(ranked.ratio, ratio * ranked.slack)
    found = Searched(
        liquidatable=size - high,
        unsure=np.zeros(len(ratio), dtype=np.int64),
        collateral=prices.collateral * ranked.raw_from[high],
        debt=prices.debt * ranked.debt_from[high],
        bad_debt=prices.debt * ranked.debt_from[short] - prices.collateral * ranked.raw_from[short],
        hits=np.cumsum(np.bincount(high, minlength=size + 1))[:-1],
    )
    for at, accounts in _windows(low, high[lanes]):
        _look(ranked, prices, lanes[at], accounts, found)
    return found


def _places(ratios: Floats, ratio: Floats, doubt: Floats) -> tuple[_Places, _Places, _Places]:
    """Return the scenarios near whose ratio there are accounts, the first of these, and of every scenario their end.

    In most scenarios there are none: the accounts on either side of the ratio are farther away than the doubt.
    """
    below, above = ratio * (1 - doubt), ratio * (1 + doubt)
    high = np.searchsorted(ratios, ratio)
    walled = np.concatenate(([-np.inf], ratios, [np.inf]))
    lanes = np.flatnonzero(~((walled[high] < below) & (walled[1:][high] > above) & (doubt < 1)))
    is_wide = ~(doubt[lanes] < 1)
    low = np.where(is_wide, 0, np.searchsorted(ratios, below[lanes]))
    high[lanes] = np.where(is_wide, len(ratios), np.searchsorted(ratios, above[lanes], side="right"))
    return lanes, low, high


def _windows(low: _Places, high: _Places) -> Iterator[tuple[_Places, _Places]]:
    """Yield places of scenarios and accounts that have to be looked at, so many at once."""
    counts = high - low
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(counts) and ends[-1] > (done := int(ends[begin - 1]) if begin else 0):
        end = max(int(np.searchsorted(ends, done + _AT_ONCE, side="right")), begin + 1)
        lane = np.repeat(np.arange(begin, end), counts[begin:end])
        first = ends[begin:end] - counts[begin:end] - done
        yield lane, np.arange(len(lane)) - np.repeat(first - low[begin:end], counts[begin:end])
        begin = end


def _look(ranked: Ranked, prices: Prices, lane: _Places, at: _Places, found: Searched) -> None:
    """Value accounts in scenarios one by one, with the roundings of the kernels."""
    has, owes, scale = prices.collateral[lane], prices.debt[lane], prices.scale[lane]
    owed = ranked.debt_amount[at] * (ranked.debt * owes)
    net = ranked.collateral_amount[at] * (ranked.weighted * has) - owed
    is_sure = (net > ranked.above[at] * scale) | (-net > ranked.below[at] * scale)
    under = net < 0
    np.add.at(found.unsure, lane[~is_sure], 1)
    np.add.at(found.liquidatable, lane[under], 1)
    np.add.at(found.hits, at[under], 1)
    np.add.at(found.debt, lane[under], owed[under])
    np.add.at(found.collateral, lane[under], (ranked.collateral_amount[at] * (ranked.raw * has))[under])
