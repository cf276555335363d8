"""The fast backend: the same loops compiled by numba. Nothing else imports it; `backend` decides whether it is used.

No fast-math: sums go through legs in order as numpy's do, products and sums are rounded one by one, so the bits are the
same. Lanes of scenarios are what the processor's vectors hold, so nothing is lost by it.
"""

# ruff: noqa: PLR0917 - compiled functions take arrays one by one

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numba import types

from tocsin.risk.amounts import Counts, Floats
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import UNIT, Banded, Swept, Values
from tocsin.risk.plain import linear
from tocsin.risk.ranked import Prices, Ranked, Searched
from tocsin.risk.scenarios import LANES, LEAF, LEAVES, Block, padded
from tocsin.risk.searching import search
from tocsin.risk.sweeping import FLOATS, OUT_FLOATS, SIDE, compiled, read, sweep, worst
from tocsin.risk.table import PER_ROW, Table

_BOOLS: Final = read(types.boolean)
_PER_ROW: Final = float(PER_ROW)
_TOGETHER: Final = 512
"""Scenarios that are searched for together: what is known of them stays in the first cache."""


@compiled(types.void(*SIDE, *SIDE, _BOOLS, *[FLOATS] * 5, types.float64, types.float64, *[OUT_FLOATS] * 4))
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
        full, columns = padded(block), len(block.collateral)
        unsure, hits = np.zeros(LANES, dtype=np.int64), np.zeros(len(rows.table), dtype=np.int64)
        count, collateral, debt, bad_debt = (np.zeros(LANES) for _ in range(4))
        fallen = tuple(np.zeros((columns, LEAVES)) for _ in range(4))
        everywhere = np.zeros(LEAVES)
        tables = (full.collateral, full.raw, full.debt)
        bounds = (*full.collateral_bounds, *full.raw_bounds, *full.debt_bounds)
        whole = (bounds[0].min(axis=1), bounds[-1].max(axis=1), float(full.leaf_scale.max()))
        inward = (*_flat(tables), *whole, *_flat(bounds), full.leaf_scale, full.scale, block.lanes)
        outward = (count, unsure, collateral, debt, bad_debt, hits, everywhere, *_flat(fallen))
        evaluated = sweep(*_legs(rows.table), rows.above, rows.below, *inward, *outward)
        used = slice(block.lanes)
        fallen_r, fallen_d, short_r, short_d = fallen
        count += np.repeat(everywhere, LEAF)
        collateral += linear(fallen_r, full.raw)
        debt += linear(fallen_d, full.debt)
        bad_debt += linear(short_d, full.debt) - linear(short_r, full.raw)
        return Swept(
            liquidatable=count[used].astype(np.int64),
            unsure=unsure[used],
            collateral=collateral[used],
            debt=debt[used],
            bad_debt=bad_debt[used],
            hits=hits,
            evaluated=evaluated,
        )

    def worst(self, table: Table, block: Block) -> tuple[Floats, Counts]:
        """Return of each row its lowest ratio in the block and the first lane that has it."""
        full = padded(block)
        lowest, place = np.empty(len(table)), np.empty(len(table), dtype=np.int64)
        worst(*_legs(table), *_flat((full.collateral, full.debt)), block.lanes, np.empty(LEAF), lowest, place)
        return lowest, place

    def search(self, ranked: Ranked, prices: Prices) -> Searched:
        """Return what becomes of the ranked accounts of a pair of columns under scenarios."""
        lanes, size = len(prices.scale), len(ranked.ratio)
        liquidatable, unsure = np.empty(lanes, dtype=np.int64), np.zeros(lanes, dtype=np.int64)
        collateral, debt, bad_debt = (np.empty(lanes) for _ in range(3))
        hits, looked = (np.zeros(size + 1, dtype=np.int64) for _ in range(2))
        room = (np.empty(_TOGETHER, dtype=kind) for kind in (np.float64, np.float64, np.int64, np.int64))
        accounts = (ranked.ratio, ranked.collateral_amount, ranked.debt_amount, ranked.above, ranked.below)
        numbers = (ranked.widest, ranked.slack, ranked.weighted, ranked.raw, ranked.debt)
        lists = (prices.collateral, prices.debt, prices.scale)
        inward = (*accounts, ranked.raw_from, ranked.debt_from, *numbers, *lists)
        search(*inward, *room, liquidatable, unsure, collateral, debt, bad_debt, hits, looked)
        return Searched(
            liquidatable=liquidatable,
            unsure=unsure,
            collateral=collateral,
            debt=debt,
            bad_debt=bad_debt,
            hits=hits[:-1],
        )


def _legs(table: Table) -> tuple[Any, ...]:
    sides = (table.collateral, table.debt)
    return tuple(array for side in sides for array in (side.ptr, side.col, side.amount))


def _flat(tables: Sequence[Floats]) -> tuple[Floats, ...]:
    return tuple(table.reshape(-1) for table in tables)


COMPILED: Final = CompiledKernel()
