"""Legs of accounts in columns: rows of collateral and debt, each a range of legs sorted by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import MOST, ROUNDINGS, Floats, floats, ints, narrowed, widened, words
from tocsin.risk.layers import Layers, layers
from tocsin.wire.multicall import Words

Rows = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

MOST_COLUMNS: Final = 2**16
PER_ROW: Final = ROUNDINGS + 9
"""Roundings besides the sums: of amount, factor, shock, both products, the difference, and some to spare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """What one account holds and owes: exact amounts by column. Raises ValueError for amounts that no chain can hold.

    Amounts of zero are no legs and are left out. `always_exact` marks an account that its columns do not describe in
    full, so that no float may judge it.
    """

    collateral: Mapping[int, int]
    debt: Mapping[int, int]
    always_exact: bool = False

    def __post_init__(self) -> None:
        for name in ("collateral", "debt"):
            legs: Mapping[int, int] = getattr(self, name)
            for column, amount in legs.items():
                if not 0 <= column < MOST_COLUMNS:
                    raise ValueError(f"{name}: column {column} is not within 0 and {MOST_COLUMNS - 1}")
                if not 0 <= amount <= MOST:
                    raise ValueError(f"{name}: an amount of {amount} in column {column} is not one of 256 bits")
            object.__setattr__(self, name, {column: legs[column] for column in sorted(legs) if legs[column]})


NO_LEGS = Legs(collateral={}, debt={})


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """The legs of one side; all arrays are read-only."""

    ptr: npt.NDArray[np.int64]
    """Where the legs of each row begin, the first at 0, and one end behind; shape (rows + 1,)."""
    col: npt.NDArray[np.uint16]
    """Of each leg its column, rising within a row."""
    amount: Floats
    """Of each leg its amount, rounded (`amounts.floats`)."""
    exact: Words
    """The same, exact: limbs, the highest first; as many as the widest amount here needs."""

    def __post_init__(self) -> None:
        for array in (self.ptr, self.col, self.amount, self.exact):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.ptr) - 1

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Return how many legs each row has."""
        return np.diff(self.ptr)

    @cached_property
    def row(self) -> Rows:
        """Return of each leg its row."""
        return np.repeat(np.arange(len(self), dtype=np.intp), self.counts)

    @cached_property
    def place(self) -> Rows:
        """Return of each leg its column as numpy indexes fastest."""
        return self.col.astype(np.intp)

    @cached_property
    def layers(self) -> Layers:
        """Return the legs as numpy adds them up fastest; 16 bytes a leg that are kept with the side."""
        return layers(self.ptr, self.col.astype(np.intp), self.amount)

    @property
    def nbytes(self) -> int:
        """Return the size of what is always there, without what is derived."""
        return self.ptr.nbytes + self.col.nbytes + self.amount.nbytes + self.exact.nbytes

    @classmethod
    def of(cls, ptr: npt.NDArray[np.int64], col: npt.NDArray[np.uint16], exact: Words) -> "Side":
        """Make the floats of exact amounts."""
        limbs = narrowed(exact)
        return cls(ptr=ptr, col=col, amount=floats(limbs), exact=limbs)

    def take(self, rows: Rows) -> "Side":
        """Return these rows, in this order."""
        counts = self.counts[rows]
        ptr = _ends(counts)
        legs = np.repeat(self.ptr[rows] - ptr[:-1], counts) + np.arange(ptr[-1])
        return Side(ptr=ptr, col=self.col[legs], amount=self.amount[legs], exact=self.exact[legs])


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows with both sides."""

    collateral: Side
    debt: Side
    always_exact: Bools

    def __post_init__(self) -> None:
        self.always_exact.setflags(write=False)

    def __len__(self) -> int:
        return len(self.always_exact)

    @cached_property
    def is_indebted(self) -> Bools:
        """Return whether a row may owe anything, by exact amounts: who does not is safe at any price."""
        return (self.debt.counts > 0) | self.always_exact

    @cached_property
    def roundings(self) -> Floats:
        """Return how often at most floats round on the way to a row's sums, as floats."""
        return (self.collateral.counts + self.debt.counts + PER_ROW).astype(np.float64)

    @property
    def nbytes(self) -> int:
        return self.collateral.nbytes + self.debt.nbytes + self.always_exact.nbytes

    def take(self, rows: Rows) -> "Table":
        """Return these rows, in this order."""
        return Table(
            collateral=self.collateral.take(rows),
            debt=self.debt.take(rows),
            always_exact=self.always_exact[rows],
        )

    @property
    def used(self) -> Rows:
        """Return the columns that have a leg, rising."""
        return np.union1d(self.collateral.place, self.debt.place)

    def within(self, columns: Rows) -> "Table":
        """Return the same rows with legs numbered by their places in these columns, which rise and hold all of them."""
        return replace(self, collateral=_renumbered(self.collateral, columns), debt=_renumbered(self.debt, columns))

    def legs(self, row: int) -> Legs:
        """Return one row, exact."""
        return Legs(
            collateral=_of_row(self.collateral, row),
            debt=_of_row(self.debt, row),
            always_exact=bool(self.always_exact[row]),
        )


def table(rows: Sequence[Legs]) -> Table:
    """Put accounts into columns, in this order."""
    return Table(
        collateral=_side([legs.collateral for legs in rows]),
        debt=_side([legs.debt for legs in rows]),
        always_exact=np.array([legs.always_exact for legs in rows], dtype=np.bool_),
    )


def joined(first: Table, second: Table) -> Table:
    """Return the rows of both, one behind the other."""
    return Table(
        collateral=_joined(first.collateral, second.collateral),
        debt=_joined(first.debt, second.debt),
        always_exact=np.concatenate((first.always_exact, second.always_exact)),
    )


def _renumbered(side: Side, columns: Rows) -> Side:
    return replace(side, col=np.searchsorted(columns, side.col).astype(np.uint16))


def _of_row(side: Side, row: int) -> dict[int, int]:
    legs = slice(int(side.ptr[row]), int(side.ptr[row + 1]))
    return dict(zip(side.col[legs].tolist(), ints(side.exact[legs]), strict=True))


def _side(rows: Sequence[Mapping[int, int]]) -> Side:
    counts = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    columns = np.fromiter((column for row in rows for column in row), dtype=np.uint16)
    return Side.of(_ends(counts), columns, words([amount for row in rows for amount in row.values()]))


def _joined(first: Side, second: Side) -> Side:
    width = max(first.exact.shape[1], second.exact.shape[1])
    return Side(
        ptr=np.concatenate((first.ptr, second.ptr[1:] + first.ptr[-1])),
        col=np.concatenate((first.col, second.col)),
        amount=np.concatenate((first.amount, second.amount)),
        exact=np.concatenate((widened(first.exact, width), widened(second.exact, width))),
    )


def _ends(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    found = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=found[1:])
    return found
