"""What a leg of an account can be at one block: an asset under a set of parameters, with its exact factors.

A factor turns one unit of what the book holds (a scaled balance, a share) into base units of the market. Prices,
indexes and thresholds are all in it, so the book changes only where somebody acts. Columns keep their places: new ones
come behind.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

NOTHING: Final = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One asset under one set of parameters. Factors in base units per unit of amount; None where they are unknown.

    A step is the most, in base units, by which a protocol's rounding moves the value of one leg: the unit that is lost
    of a token, at its price, and what divisions lose after that. An account with a leg whose factor is unknown, or
    whose price is zero or below, is never judged by floats.
    """

    asset: str
    """A name for what has one price; columns of one asset move together in scenarios."""
    parameters: str = ""
    """A name for the set of parameters, such as a category or a market."""
    collateral: Fraction | None
    """What it counts against debt."""
    raw: Fraction | None
    """What it is worth as collateral."""
    debt: Fraction | None
    """What one unit of it owes."""
    collateral_step: Fraction
    debt_step: Fraction
    is_counted: bool = True
    """False where the protocol leaves this collateral out, so being worth nothing is no sign of a missing price."""

    @property
    def name(self) -> str:
        return f"{self.asset}/{self.parameters}" if self.parameters else self.asset


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """How far the test of a protocol's version may be from that of real numbers, besides the steps of its legs.

    The derivation is in docs/explanation/risk-core.md.
    """

    constant: Fraction = NOTHING
    """Base units, for a whole account."""
    raw_share: Fraction = NOTHING
    """By which share of its raw collateral an account may be found less healthy: an average cut to whole bps."""
    limit: Fraction = Fraction(2**200)
    """From here on, in base units, a sum of collateral or debt is not judged by floats."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """All columns of a market at one block."""

    all: tuple[Column, ...]
    band: Band
    block_number: int
    block_hash: str
    time_s: int
    """For which time the factors hold."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.all)

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """Return the assets in the order in which columns first name them."""
        return tuple(dict.fromkeys(column.asset for column in self.all))
