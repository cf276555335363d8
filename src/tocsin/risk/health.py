"""What each account is worth and owes at one block, and on which side of the line it surely is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import Floats
from tocsin.risk.book import Book
from tocsin.risk.table import Bools, Legs, Rows

Flags = npt.NDArray[np.uint8]


class Flag(IntEnum):
    """On which side of the line an account is. Closed: stands in arrays."""

    SAFE = 0
    LIQUIDATABLE = 1
    UNSURE = 2
    """Within the band: only exact rules can tell."""
    UNKNOWN = 3
    """Exact rules were asked and cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Health:
    """Of each row of a book, in base units of its market; shape (rows,)."""

    collateral: Floats
    """What counts against debt."""
    raw: Floats
    """What all collateral is worth."""
    debt: Floats
    band: Floats
    """How far `collateral - debt` may be from what exact rules compare; infinite where no float may judge."""
    raw_share: float
    """By which share of `raw` exact rules may, besides, find an account less healthy."""
    is_indebted: Bools
    """Whether it may owe anything, by exact amounts."""

    def __len__(self) -> int:
        return len(self.debt)

    def band_above(self) -> Floats:
        """Return by how much collateral has to exceed debt to be surely enough; below the line it is `band`."""
        return self.band + self.raw_share * self.raw if self.raw_share else self.band

    def ratio(self) -> Floats:
        """Return collateral by debt; infinite without debt, NaN where neither is known."""
        found = np.full(len(self), np.inf)
        with np.errstate(all="ignore"):
            np.divide(self.collateral, self.debt, out=found, where=self.is_indebted)
        return found


def screen(health: Health) -> Flags:
    """Return a `Flag` for each row: safe or liquidatable where that is certain, unsure for everything else.

    Whatever is not a number fails both comparisons and is unsure. Who owes nothing is safe at any price.
    """
    with np.errstate(invalid="ignore"):
        margin = health.collateral - health.debt
        is_safe = (margin > health.band_above()) | ~health.is_indebted
        np.negative(margin, out=margin)
        is_liquidatable = (margin > health.band) & health.is_indebted
    # No row is both, since no band is below zero; to subtract is many times as fast as to set where a mask is true.
    found = np.full(len(health), Flag.UNSURE, dtype=np.uint8)
    found -= is_safe.view(np.uint8) * np.uint8(Flag.UNSURE - Flag.SAFE)
    found -= is_liquidatable.view(np.uint8) * np.uint8(Flag.UNSURE - Flag.LIQUIDATABLE)
    return found


def confirm(book: Book, flags: Flags, exact: Callable[[bytes, Legs], bool | None]) -> Flags:
    """Return flags with the verdict of `exact(account, legs)` in each unsure row: liquidatable, or None for unknown."""
    found = flags.copy()
    for row in np.flatnonzero(flags == Flag.UNSURE):
        verdict = exact(book.account(int(row)), book.legs(int(row)))
        found[row] = Flag.UNKNOWN if verdict is None else Flag.LIQUIDATABLE if verdict else Flag.SAFE
    return found


def nearest(health: Health, below: float) -> Rows:
    """Return the indebted rows with a ratio below a limit, the lowest ratio first; those that are unknown come last.

    Only the few are sorted: sorting a book costs more than valuing it.
    """
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(~(health.collateral >= below * health.debt) & health.is_indebted)
        ratios = health.collateral[rows] / health.debt[rows]
    return rows[np.argsort(ratios, kind="stable")]
