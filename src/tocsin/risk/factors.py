"""The columns of one block as vectors of floats, each made once of its exact fraction."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import Floats
from tocsin.risk.columns import Band, Column, Columns

T = TypeVar("T", bound=np.generic)

UNKNOWN: Final = math.nan
"""A factor that nobody knows: it reaches every sum that it is in, and no comparison with it holds."""
NEVER_SURE: Final = math.inf
"""The step of a leg that floats do not judge."""

_LEAST: Final = 2.0**-900
_LARGEST: Final = 2.0**700
"""Factors outside of this have lost digits, or may overflow with an amount of 256 bits and a shock."""
_UP: Final = 1 + 2.0**-40
_UNDERFLOW: Final = 2.0**-960
"""More than products lose that are smaller than the least float of full precision."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    """Vectors for one block, shape (columns,), read-only; base units per unit of amount."""

    collateral: Floats
    raw: Floats
    debt: Floats
    collateral_step: Floats
    debt_step: Floats
    asset: npt.NDArray[np.intp]
    """Of each column the place of its asset in `assets`."""
    assets: tuple[str, ...]
    names: tuple[str, ...]
    constant: float
    raw_share: float
    limit: float
    """`Band`, rounded up (`limit`: down)."""
    block_number: int
    block_hash: str
    time_s: int
    provenance: str
    """Hash of the exact columns and the band that this was made of."""

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return len(self.collateral)

    def only(self, columns: npt.NDArray[np.intp]) -> "Factors":
        """Return some columns, in this order, for what is computed on a part of a book; assets keep their places."""
        return replace(
            self,
            collateral=_frozen(self.collateral[columns]),
            raw=_frozen(self.raw[columns]),
            debt=_frozen(self.debt[columns]),
            collateral_step=_frozen(self.collateral_step[columns]),
            debt_step=_frozen(self.debt_step[columns]),
            asset=_frozen(self.asset[columns]),
            names=tuple(self.names[at] for at in columns),
        )

    @classmethod
    def of(cls, columns: Columns) -> "Factors":
        """Round exact columns to floats, each once."""
        places = {asset: at for at, asset in enumerate(columns.assets)}
        return cls(
            collateral=_vector(_nearest(one.collateral) for one in columns.all),
            raw=_vector(_nearest(one.raw) for one in columns.all),
            debt=_vector(_nearest(one.debt) for one in columns.all),
            collateral_step=_vector(_collateral_step(one) for one in columns.all),
            debt_step=_vector(_debt_step(one) for one in columns.all),
            asset=_frozen(np.array([places[one.asset] for one in columns.all], dtype=np.intp)),
            assets=columns.assets,
            names=columns.names,
            constant=_above(columns.band.constant),
            raw_share=_above(columns.band.raw_share),
            limit=_below(columns.band.limit),
            block_number=columns.block_number,
            block_hash=columns.block_hash,
            time_s=columns.time_s,
            provenance=provenance(columns),
        )


def provenance(columns: Columns) -> str:
    """Return a hash of the exact numbers, the same in every process."""
    found = hashlib.sha256(b"tocsin columns 1\n")
    found.update(f"{columns.block_number} {columns.block_hash} {columns.time_s} {_told(columns.band)}\n".encode())
    for column in columns.all:
        exact = (column.collateral, column.raw, column.debt, column.collateral_step, column.debt_step)
        told = " ".join("unknown" if one is None else str(one) for one in exact)
        found.update(f"{len(column.asset)} {column.asset} {column.parameters} {told} {column.is_counted}\n".encode())
    return "0x" + found.hexdigest()


def _told(band: Band) -> str:
    return f"{band.constant} {band.raw_share} {band.limit}"


def _vector(values: Iterable[float]) -> Floats:
    return _frozen(np.fromiter(values, dtype=np.float64))


def _frozen(array: npt.NDArray[T]) -> npt.NDArray[T]:
    array.setflags(write=False)
    return array


def _nearest(value: Fraction | None) -> float:
    if value is None or value < 0:
        return UNKNOWN
    try:
        found = float(value)
    except OverflowError:
        return UNKNOWN
    return found if not value or _LEAST <= found <= _LARGEST else UNKNOWN


def _above(value: Fraction) -> float:
    """Return a float that is certainly not below."""
    try:
        return float(value) * _UP + _UNDERFLOW
    except OverflowError:
        return NEVER_SURE


def _below(value: Fraction) -> float:
    try:
        return float(value) / _UP
    except OverflowError:
        return _LARGEST


def _collateral_step(column: Column) -> float:
    worthless = column.raw is None or (column.raw <= 0 and column.is_counted)
    unsure = worthless or math.isnan(_nearest(column.collateral)) or math.isnan(_nearest(column.raw))
    return NEVER_SURE if unsure else _above(column.collateral_step)


def _debt_step(column: Column) -> float:
    factor = _nearest(column.debt)
    return _above(column.debt_step) if factor > 0 else NEVER_SURE
