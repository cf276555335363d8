"""The compiled search for what falls of ranked accounts.

All scenarios take each step of the search together: which way one goes is then no branch to be guessed, and the
processor works at many at once, six times as fast as one search after the other.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays one by one

import math
from typing import Any, Final

import numpy as np
from numba import types

from tocsin.risk.ranked import NEAR
from tocsin.risk.sweeping import FLOATS, OUT_FLOATS, OUT_INTS, compiled, inlined

_U: Final = np.uint64


@inlined
def _first_of(values: Any, wanted: float) -> int:  # pragma: no cover - compiled
    """Return the first place of a value that is not below a number."""
    at, left = 0, len(values)
    while left > 0:
        half = (left + 1) >> 1
        at += half if values[_U(at + half - 1)] < wanted else 0
        left -= half
    return at


@inlined
def _behind(values: Any, wanted: float) -> int:  # pragma: no cover - compiled
    """Return the first place of a value that is above a number."""
    at, left = 0, len(values)
    while left > 0:
        half = (left + 1) >> 1
        at += half if values[_U(at + half - 1)] <= wanted else 0
        left -= half
    return at


@inlined
def _steps(values: Any, wanted: Any, used: int, place: Any) -> None:  # pragma: no cover - compiled
    """Set places to the first value that is not below each wanted one."""
    left = len(values)
    for lane in range(used):
        place[lane] = 0
    while left > 0:
        half = (left + 1) >> 1
        for lane in range(used):
            place[lane] += half * (values[_U(place[lane] + half - 1)] < wanted[lane])
        left -= half


@compiled(
    types.void(
        *[FLOATS] * 7, *[types.float64] * 5, *[FLOATS] * 3,
        *[OUT_FLOATS] * 2, *[OUT_INTS] * 4, *[OUT_FLOATS] * 3, *[OUT_INTS] * 2,
    )
)  # fmt: skip
def search(  # noqa: C901 - one loop; what is cut out of it is compiled into it again
    ratios: Any, has: Any, owes: Any, above: Any, below: Any, raw_from: Any, debt_from: Any,
    widest: float, slack: float, weighted: float, raw: float, owed: float, collateral: Any, debt: Any, scale: Any,
    ratio: Any, lost_ratio: Any, place: Any, short: Any, count: Any, unsure: Any, out_r: Any, out_d: Any, out_bad: Any,
    hits: Any, looked: Any,
) -> None:  # pragma: no cover - compiled  # fmt: skip
    """Set for each scenario what `Searched` says; `unsure`, `hits` and `looked` begin with zeros.

    So many scenarios as `ratio` holds are searched together. Hits of accounts that are looked at are in `looked`.
    """
    lanes, size = len(count), len(ratios)
    for begin in range(0, lanes, len(ratio)):
        used = min(len(ratio), lanes - begin)
        for at in range(used):
            lane = begin + at
            ratio[at] = collateral[lane] / debt[lane] if debt[lane] > 0.0 else math.inf
            lost_ratio[at] = ratio[at] * slack
        _steps(ratios, ratio, used, place)
        _steps(ratios, lost_ratio, used, short)
        for at in range(used):
            lane, first, end = begin + at, place[at], place[at]
            multiple, price, by = collateral[lane], debt[lane], scale[lane]
            doubt = widest * by / min(price, multiple) + NEAR
            if not doubt < 1.0:
                first, end = 0, size
            else:
                if first > 0 and ratios[_U(first - 1)] >= ratio[at] * (1.0 - doubt):
                    first = _first_of(ratios, ratio[at] * (1.0 - doubt))
                if end < size and ratios[_U(end)] <= ratio[at] * (1.0 + doubt):
                    end = _behind(ratios, ratio[at] * (1.0 + doubt))
            lost = _U(short[at])
            out_r[lane], out_d[lane] = multiple * raw_from[_U(end)], price * debt_from[_U(end)]
            out_bad[lane] = price * debt_from[lost] - multiple * raw_from[lost]
            count[lane] = size - end
            hits[_U(end)] += 1
            for account in range(first, end):
                owing = owes[account] * (owed * price)
                net = has[account] * (weighted * multiple) - owing
                if not (net > above[account] * by or -net > below[account] * by):
                    unsure[lane] += 1
                if net < 0.0:
                    count[lane] += 1
                    looked[account] += 1
                    out_d[lane] += owing
                    out_r[lane] += has[account] * (raw * multiple)
    fallen = 0
    for account in range(size):
        fallen += hits[account]
        hits[account] = fallen + looked[account]
