"""The compiled loops over scenarios: bounds of sixteen leaves at once, then sixteen lanes of the leaves left open.

A row is first asked for its bounds in the whole block, which most rows are surely safe by; then for those of each
leaf, all of them in one go; what is open after that is valued, a leaf at a time. All sums go through legs in order.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays one by one

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit, types

from tocsin.risk.scenarios import LANES, LEAF, LEAVES
from tocsin.risk.vectors import (
    alike,
    bits,
    by,
    how_many,
    is_above,
    load,
    lowest,
    mask,
    minus,
    plus,
    store,
    times,
    where,
    zeros,
)

F = Callable[..., Any]


def read(kind: Any, dimensions: int = 1) -> Any:
    """Return the type of an array that is only read."""
    return types.Array(kind, dimensions, "C", readonly=True)


FLOATS: Final = read(types.float64)
SIDE: Final = (read(types.int64), read(types.uint16), FLOATS)
OUT_FLOATS: Final = types.float64[::1]
OUT_INTS: Final = types.int64[::1]
_U: Final = np.uint64
_ALL_OF_A_LEAF: Final = 2**LEAF - 1


def compiled(signature: Any) -> Callable[[Callable[..., object]], F]:
    """Compile when this module is imported, once for each processor: the result is kept in a file."""
    made: Callable[[Callable[..., object]], F] = njit(
        signature, cache=True, nogil=True, boundscheck=False, error_model="numpy"
    )
    return made


def inlined(function: Callable[..., object]) -> F:
    """Compile into its callers: a call with arrays passes seven words for each, and takes longer than most rows."""
    made: F = njit(nogil=True, boundscheck=False, error_model="numpy", forceinline=True)(function)
    return made


@inlined
def _sum(leg: Any, end: Any, col: Any, amount: Any, factor: Any) -> float:  # pragma: no cover - compiled
    found = 0.0
    while leg < end:
        found += amount[leg] * factor[col[leg]]
        leg += _U(1)
    return found


@inlined
def _bound(leg: Any, end: Any, col: Any, amount: Any, factor: Any) -> Any:  # pragma: no cover - compiled
    """Return the sum by one bound of each leaf."""
    found = zeros()
    while leg < end:
        found = plus(found, times(alike(amount[leg]), load(factor, _U(col[leg]) * _U(LEAVES))))
        leg += _U(1)
    return found


@inlined
def _value(leg: Any, end: Any, col: Any, amount: Any, factor: Any, lane: Any) -> Any:  # pragma: no cover - compiled
    """Return the sum in sixteen lanes."""
    found = zeros()
    while leg < end:
        found = plus(found, times(alike(amount[leg]), load(factor, _U(col[leg]) * _U(LANES) + lane)))
        leg += _U(1)
    return found


@inlined
def _add(into: Any, place: Any, lanes: Any) -> None:  # pragma: no cover - compiled
    store(into, place, plus(load(into, place), lanes))


@inlined
def _add_legs(leg: Any, end: Any, col: Any, amount: Any, leaves: Any, into: Any) -> None:  # pragma: no cover - compiled
    """Add amounts to their columns, in the leaves of a mask."""
    while leg < end:
        _add(into, _U(col[leg]) * _U(LEAVES), where(leaves, alike(amount[leg])))
        leg += _U(1)


@compiled(
    types.int64(
        *SIDE, *SIDE, *[FLOATS] * 2, *[FLOATS] * 3, *[FLOATS] * 2, types.float64, *[FLOATS] * 6, *[FLOATS] * 2,
        types.int64, OUT_FLOATS, OUT_INTS, *[OUT_FLOATS] * 3, OUT_INTS, *[OUT_FLOATS] * 5,
    )
)  # fmt: skip
def sweep(  # noqa: C901, PLR0915 - one loop; what is cut out of it is no longer kept in registers
    cptr: Any, ccol: Any, camt: Any, dptr: Any, dcol: Any, damt: Any, above: Any, below: Any,
    weighted: Any, raw: Any, owed: Any, c_least: Any, d_most: Any, most_scale: float,
    c_low: Any, c_high: Any, r_low: Any, r_high: Any, d_low: Any, d_high: Any, leaf_scale: Any, scale: Any, used: int,
    count: Any, unsure: Any, out_r: Any, out_d: Any, out_bad: Any, hits: Any,
    everywhere: Any, fallen_r: Any, fallen_d: Any, short_r: Any, short_d: Any,
) -> int:  # pragma: no cover - compiled  # fmt: skip
    """Go through rows; tables are flat, of LANES or LEAVES for each column. Returns how many pairs were valued."""
    last = _U((used - 1) // LEAF)
    all_leaves = (_U(2) << last) - _U(1)
    in_last = used - int(last) * LEAF
    last_live = (_U(1) << _U(in_last)) - _U(1)
    scales, one, evaluated = load(leaf_scale, _U(0)), alike(1.0), 0
    for row in range(len(above)):
        c, c_end, d, d_end = _U(cptr[row]), _U(cptr[row + 1]), _U(dptr[row]), _U(dptr[row + 1])
        if _sum(c, c_end, ccol, camt, c_least) - _sum(d, d_end, dcol, damt, d_most) > above[row] * most_scale:
            continue
        over, under = alike(above[row]), alike(below[row])
        high = _bound(d, d_end, dcol, damt, d_high)
        is_safe = is_above(minus(_bound(c, c_end, ccol, camt, c_low), high), times(over, scales))
        open_ = all_leaves & ~bits(is_safe)
        if open_ == _U(0):
            continue
        low = _bound(d, d_end, dcol, damt, d_low)
        has_fallen = is_above(minus(low, _bound(c, c_end, ccol, camt, c_high)), times(under, scales))
        fallen = open_ & bits(has_fallen)
        if fallen != _U(0):
            leaves = mask(fallen)
            _add(everywhere, _U(0), where(leaves, one))
            hits[row] += how_many(fallen) * LEAF - (LEAF - in_last if (fallen >> last) & _U(1) else 0)
            _add_legs(c, c_end, ccol, camt, leaves, fallen_r)
            _add_legs(d, d_end, dcol, damt, leaves, fallen_d)
            short = fallen & bits(is_above(low, _bound(c, c_end, ccol, camt, r_high)))
            if short != _U(0):
                leaves = mask(short)
                _add_legs(c, c_end, ccol, camt, leaves, short_r)
                _add_legs(d, d_end, dcol, damt, leaves, short_d)
            perhaps = fallen & ~short
            if perhaps != _U(0):
                perhaps &= bits(is_above(high, _bound(c, c_end, ccol, camt, r_low)))
            while perhaps != _U(0):
                lane = lowest(perhaps) * _U(LEAF)
                perhaps &= perhaps - _U(1)
                lack = minus(_value(d, d_end, dcol, damt, owed, lane), _value(c, c_end, ccol, camt, raw, lane))
                _add(out_bad, lane, where(is_above(lack, zeros()), lack))
            open_ &= ~fallen
        while open_ != _U(0):
            leaf = lowest(open_)
            open_ &= open_ - _U(1)
            lane, live = leaf * _U(LEAF), last_live if leaf == last else _U(_ALL_OF_A_LEAF)
            evaluated += how_many(live)
            owes = _value(d, d_end, dcol, damt, owed, lane)
            net = minus(_value(c, c_end, ccol, camt, weighted, lane), owes)
            by_scale = load(scale, lane)
            unsafe = live & ~bits(is_above(net, times(over, by_scale)))
            if unsafe == _U(0):
                continue
            lacking = minus(zeros(), net)
            close = unsafe & ~bits(is_above(lacking, times(under, by_scale)))
            while close != _U(0):
                unsure[lane + lowest(close)] += 1
                close &= close - _U(1)
            falls = is_above(zeros(), net)
            fell = live & bits(falls)
            if fell == _U(0):
                continue
            hits[row] += how_many(fell)
            has = _value(c, c_end, ccol, camt, raw, lane)
            lack = minus(owes, has)
            _add(count, lane, where(falls, one))
            _add(out_r, lane, where(falls, has))
            _add(out_d, lane, where(falls, owes))
            _add(out_bad, lane, where(falls, where(is_above(lack, zeros()), lack)))
    return evaluated


@compiled(types.void(*SIDE, *SIDE, *[FLOATS] * 2, types.int64, OUT_FLOATS, OUT_FLOATS, OUT_INTS))
def worst(  # pragma: no cover - compiled
    cptr: Any, ccol: Any, camt: Any, dptr: Any, dcol: Any, damt: Any,
    weighted: Any, owed: Any, used: int, room: Any, least: Any, place: Any,
) -> None:  # fmt: skip
    """Set the least ratio of each row, and the first lane that has it. A lane is looked at where it may be lower."""
    for row in range(len(least)):
        c, c_end, d, d_end = _U(cptr[row]), _U(cptr[row + 1]), _U(dptr[row]), _U(dptr[row + 1])
        found, at = np.inf, 0
        for first in range(0, used, LEAF):
            has = _value(c, c_end, ccol, camt, weighted, _U(first))
            ratio = by(has, _value(d, d_end, dcol, damt, owed, _U(first)))
            if bits(is_above(alike(found), ratio)) == _U(0):
                continue
            store(room, _U(0), ratio)
            for lane in range(min(LEAF, used - first)):
                if room[lane] < found:
                    found, at = room[lane], first + lane
        least[row], place[row] = found, at
