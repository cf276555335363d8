"""The fast backend: the same loops compiled by numba. Nothing else imports it; `backend` decides whether it is used.

No fast-math: sums go through legs in order as numpy's do, products and sums are rounded one by one, so the bits are the
same. Lanes of scenarios are what the compiler turns into vectors, so nothing is lost by it.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays one by one

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit, types

from tocsin.risk.amounts import Floats
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import UNIT, Banded, Counts, Swept, Values
from tocsin.risk.scenarios import LANES, Block, padded
from tocsin.risk.table import PER_ROW, Table


def _read(kind: Any, dimensions: int = 1) -> Any:
    return types.Array(kind, dimensions, "C", readonly=True)


_PTR: Final = _read(types.int64)
_COL: Final = _read(types.uint16)
_F: Final = _read(types.float64)
_F2: Final = _read(types.float64, 2)
_B: Final = _read(types.boolean)
_SIDE: Final = (_PTR, _COL, _F)
_OUT_F: Final = types.float64[::1]
_OUT_I: Final = types.int64[::1]
_PER_ROW: Final = float(PER_ROW)
F = Callable[..., Any]


def _compiled(signature: Any) -> Callable[[Callable[..., object]], F]:
    """Compile when this module is imported, once for each processor: the result is kept in a file."""
    made: Callable[[Callable[..., object]], F] = njit(
        signature, cache=True, nogil=True, boundscheck=False, error_model="numpy"
    )
    return made


def _inlined(function: Callable[..., object]) -> F:
    """Compile into its callers: a call with arrays passes seven words for each, and takes longer than most rows."""
    made: F = njit(nogil=True, boundscheck=False, error_model="numpy", forceinline=True)(function)
    return made


@_compiled(types.void(*_SIDE, *_SIDE, _B, *[_F] * 5, types.float64, types.float64, *[_OUT_F] * 4))
def _values(  # pragma: no cover - compiled
    cptr: Any, ccol: Any, camt: Any, dptr: Any, dcol: Any, damt: Any, always_exact: Any,
    weighted: Any, raw: Any, owed: Any, cstep: Any, dstep: Any, constant: float, limit: float,
    out_c: Any, out_r: Any, out_d: Any, out_e: Any,
) -> None:  # fmt: skip
    # Unsigned places: of a signed one the compiler asks at each leg whether it counts from the end.
    one, leg, other = np.uint64(1), np.uint64(0), np.uint64(0)
    for row in range(len(always_exact)):
        c = r = d = cs = ds = 0.0
        end, other_end = np.uint64(cptr[row + 1]), np.uint64(dptr[row + 1])
        legs = float(np.int64((end - leg) + (other_end - other))) + _PER_ROW
        while leg < end:
            at, amount = ccol[leg], camt[leg]
            c += amount * weighted[at]
            r += amount * raw[at]
            cs += cstep[at]
            leg += one
        while other < other_end:
            at = dcol[other]
            d += damt[other] * owed[at]
            ds += dstep[at]
            other += one
        e = legs * UNIT * (c + d) + constant + (cs + ds)
        out_c[row], out_r[row], out_d[row] = c, r, d
        judged = c < limit and d < limit and not always_exact[row]
        out_e[row] = e if judged else math.inf


@_inlined
def _sum(row: int, ptr: Any, col: Any, amount: Any, factor: Any) -> float:  # pragma: no cover - compiled
    found = 0.0
    for leg in range(ptr[row], ptr[row + 1]):
        found += amount[leg] * factor[col[leg]]
    return found


@_inlined
def _lanes(row: int, ptr: Any, col: Any, amount: Any, factor: Any, out: Any) -> None:  # pragma: no cover - compiled
    """Set lanes to a row's sums; up to four legs at once, in their order."""
    leg, end = ptr[row], ptr[row + 1]
    first = (end - leg) % 4
    if first == 1:
        a, ja = amount[leg], col[leg]
        for k in range(LANES):
            out[k] = a * factor[ja, k]
    elif first == 2:  # noqa: PLR2004 - so many legs
        a, b = amount[leg], amount[leg + 1]
        ja, jb = col[leg], col[leg + 1]
        for k in range(LANES):
            out[k] = a * factor[ja, k] + b * factor[jb, k]
    elif first == 3:  # noqa: PLR2004 - so many legs
        a, b, c = amount[leg], amount[leg + 1], amount[leg + 2]
        ja, jb, jc = col[leg], col[leg + 1], col[leg + 2]
        for k in range(LANES):
            out[k] = (a * factor[ja, k] + b * factor[jb, k]) + c * factor[jc, k]
    else:
        for k in range(LANES):
            out[k] = 0.0
    for at in range(leg + first, end, 4):
        a, b, c, d = amount[at], amount[at + 1], amount[at + 2], amount[at + 3]
        ja, jb, jc, jd = col[at], col[at + 1], col[at + 2], col[at + 3]
        for k in range(LANES):
            out[k] = (((out[k] + a * factor[ja, k]) + b * factor[jb, k]) + c * factor[jc, k]) + d * factor[jd, k]


@_compiled(
    types.int64(
        *_SIDE,
        *_SIDE,
        _F,
        _F,
        *[_F2] * 3,
        *[_F] * 7,
        types.float64,
        _PTR,
        types.int64,
        _OUT_I,
        _OUT_I,
        *[_OUT_F] * 3,
        _OUT_I,
    ),
)
def _sweep(  # noqa: C901, PLR0912, PLR0915 - one loop; what is cut out of it is no longer kept in registers
    cptr: Any, ccol: Any, camt: Any, dptr: Any, dcol: Any, damt: Any, above: Any, below: Any,
    weighted: Any, raw: Any, owed: Any, c_low: Any, c_high: Any, r_low: Any, r_high: Any, d_low: Any, d_high: Any,
    scale: Any, most_scale: float, live: Any, used: int,
    count: Any, unsure: Any, out_r: Any, out_d: Any, out_bad: Any, hits: Any,
) -> int:  # pragma: no cover - compiled  # fmt: skip
    columns = len(c_low)
    has, owes, under = np.empty(LANES), np.empty(LANES), np.empty(LANES, np.int64)
    fallen_r, fallen_d = np.zeros(columns), np.zeros(columns)
    short_r, short_d = np.zeros(columns), np.zeros(columns)
    everywhere, evaluated = 0, 0
    for row in range(len(above)):
        c, d = _sum(row, cptr, ccol, camt, c_low), _sum(row, dptr, dcol, damt, d_high)
        if c - d > above[row] * most_scale:
            continue
        c, d = _sum(row, cptr, ccol, camt, c_high), _sum(row, dptr, dcol, damt, d_low)
        if d - c > below[row] * most_scale:
            everywhere += 1
            hits[row] += used
            is_short = d > _sum(row, cptr, ccol, camt, r_high)
            for leg in range(cptr[row], cptr[row + 1]):
                fallen_r[ccol[leg]] += camt[leg]
                if is_short:
                    short_r[ccol[leg]] += camt[leg]
            for leg in range(dptr[row], dptr[row + 1]):
                fallen_d[dcol[leg]] += damt[leg]
                if is_short:
                    short_d[dcol[leg]] += damt[leg]
            if is_short:
                continue
            if _sum(row, dptr, dcol, damt, d_high) > _sum(row, cptr, ccol, camt, r_low):
                _lanes(row, dptr, dcol, damt, owed, owes)
                _lanes(row, cptr, ccol, camt, raw, has)
                for k in range(LANES):
                    out_bad[k] += max(owes[k] - has[k], 0.0)
            continue
        evaluated += used
        _lanes(row, cptr, ccol, camt, weighted, has)
        _lanes(row, dptr, dcol, damt, owed, owes)
        near, fell, close = max(above[row], below[row]) * most_scale, 0, 0
        for k in range(LANES):
            net = has[k] - owes[k]
            fell += live[k] if net < 0.0 else 0
            close += live[k] if abs(net) <= near else 0
        if close:
            for k in range(LANES):
                net = has[k] - owes[k]
                is_sure = (net > above[row] * scale[k]) | (-net > below[row] * scale[k])
                unsure[k] += 0 if is_sure else live[k]
        if fell == 0:
            continue
        hits[row] += fell
        for k in range(LANES):
            under[k] = live[k] if has[k] - owes[k] < 0.0 else 0
            count[k] += under[k]
        _lanes(row, cptr, ccol, camt, raw, has)
        for k in range(LANES):
            d = owes[k] if under[k] else 0.0
            r = has[k] if under[k] else 0.0
            out_d[k] += d
            out_r[k] += r
            out_bad[k] += d - r if d > r else 0.0
    for at in range(columns):
        for k in range(LANES):
            if fallen_r[at] != 0.0:
                out_r[k] += fallen_r[at] * raw[at, k]
            if fallen_d[at] != 0.0:
                out_d[k] += fallen_d[at] * owed[at, k]
            if short_r[at] != 0.0:
                out_bad[k] -= short_r[at] * raw[at, k]
            if short_d[at] != 0.0:
                out_bad[k] += short_d[at] * owed[at, k]
    for k in range(LANES):
        count[k] += everywhere
    return evaluated


@_compiled(types.void(*_SIDE, *_SIDE, _F2, _F2, types.int64, _OUT_F, _OUT_I))
def _worst(  # pragma: no cover - compiled
    cptr: Any, ccol: Any, camt: Any, dptr: Any, dcol: Any, damt: Any,
    weighted: Any, owed: Any, used: int, lowest: Any, place: Any,
) -> None:  # fmt: skip
    has, owes = np.empty(LANES), np.empty(LANES)
    for row in range(len(lowest)):
        _lanes(row, cptr, ccol, camt, weighted, has)
        _lanes(row, dptr, dcol, damt, owed, owes)
        for k in range(LANES):
            has[k] /= owes[k]
        least, at = math.inf, 0
        for k in range(used):
            if has[k] < least:
                least, at = has[k], k
        lowest[row], place[row] = least, at


class CompiledKernel:
    """`Kernel` in compiled loops. They release the interpreter lock, so threads may share the work."""

    name = "numba"

    def values(self, rows: Table, factors: Factors) -> Values:
        """Return what each row is worth and owes, and its band."""
        c, r, d, e = (np.empty(len(rows)) for _ in range(4))
        vectors = (factors.collateral, factors.raw, factors.debt, factors.collateral_step, factors.debt_step)
        _values(*_legs(rows), rows.always_exact, *vectors, factors.constant, factors.limit, c, r, d, e)
        return c, r, d, e

    def sweep(self, rows: Banded, block: Block) -> Swept:
        """Return what becomes of rows in a block of scenarios."""
        full = padded(block, LANES)
        live = (np.arange(LANES) < block.lanes).astype(np.int64)
        liquidatable, unsure = (np.zeros(LANES, dtype=np.int64) for _ in range(2))
        collateral, debt, bad_debt = (np.zeros(LANES) for _ in range(3))
        hits = np.zeros(len(rows.table), dtype=np.int64)
        bounds = (full.collateral_low, full.collateral_high, full.raw_low, full.raw_high, full.debt_low, full.debt_high)
        inward = (*_legs(rows.table), rows.above, rows.below, full.collateral, full.raw, full.debt, *bounds)
        outward = (liquidatable, unsure, collateral, debt, bad_debt, hits)
        evaluated = _sweep(*inward, full.scale, full.most_scale, live, block.lanes, *outward)
        return Swept(
            liquidatable=liquidatable[: block.lanes],
            unsure=unsure[: block.lanes],
            collateral=collateral[: block.lanes],
            debt=debt[: block.lanes],
            bad_debt=bad_debt[: block.lanes],
            hits=hits,
            evaluated=evaluated,
        )

    def worst(self, table: Table, block: Block) -> tuple[Floats, Counts]:
        """Return of each row its lowest ratio in the block and the first lane that has it."""
        full = padded(block, LANES)
        lowest, place = np.empty(len(table)), np.empty(len(table), dtype=np.int64)
        _worst(*_legs(table), full.collateral, full.debt, block.lanes, lowest, place)
        return lowest, place


def _legs(table: Table) -> tuple[Any, ...]:
    sides = (table.collateral, table.debt)
    return tuple(array for side in sides for array in (side.ptr, side.col, side.amount))


COMPILED: Final = CompiledKernel()
