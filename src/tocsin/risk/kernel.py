"""What a backend computes. All of them give the same bits where it counts: sums go through a row's legs one by one.

Verdicts under scenarios are signs of such sums, so the number of accounts that fall is the same for every backend,
block size, order and number of threads. Totals of values add up accounts in another order, and agree to some 1e-12.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from tocsin.risk.amounts import Counts, Floats
from tocsin.risk.factors import Factors
from tocsin.risk.ranked import Prices, Ranked, Searched
from tocsin.risk.scenarios import Block
from tocsin.risk.table import Table

UNIT: Final = 2.0**-53 * (1 + 2.0**-20)
"""The most that one rounding changes, relatively; with room for the rounding of what is computed with it."""

Values = tuple[Floats, Floats, Floats, Floats]
"""Of each row: weighted collateral, raw collateral, debt, band."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Banded:
    """Rows that a sweep goes through, all in debt, with their finite bands at today's prices; shape (rows,)."""

    table: Table
    above: Floats
    """By how much collateral has to exceed debt to be surely enough."""
    below: Floats
    """By how much debt has to exceed collateral to be surely too much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Swept:
    """What becomes of rows in a block of scenarios: by scenario, shape (lanes,), and by row."""

    liquidatable: Counts
    unsure: Counts
    """How many are within the band; those of them below the line are in `liquidatable` as well."""
    collateral: Floats
    """What all collateral of the liquidatable ones is worth in the scenario."""
    debt: Floats
    """What they owe."""
    bad_debt: Floats
    """What they owe above all that they have."""
    hits: Counts
    """Of each row, in how many scenarios it is liquidatable."""
    evaluated: int
    """Pairs of row and scenario that were valued one by one; bounds decided the others."""


class Kernel(Protocol):
    """The loops over a whole book. A backend has no state and may be used by many threads."""

    @property
    def name(self) -> str:
        """Return what it is called where people read which one runs."""

    def values(self, rows: Table, factors: Factors) -> Values:
        """Return what each row is worth and owes, and its band; shape (rows,), base units."""

    def sweep(self, rows: Banded, block: Block) -> Swept:
        """Return what becomes of rows in a block of scenarios."""

    def worst(self, table: Table, block: Block) -> tuple[Floats, Counts]:
        """Return of each row its lowest ratio in the block and the first lane that has it."""

    def search(self, ranked: Ranked, prices: Prices) -> Searched:
        """Return what becomes of the ranked accounts of a pair of columns under scenarios."""
