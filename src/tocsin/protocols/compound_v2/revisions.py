"""Which comptroller counts in which way: a row of flags per known one, which one arithmetic follows.

Sources: Comptroller, CToken and ExponentialNoError of compound-finance/compound-protocol at a3214f6; the facets,
ComptrollerLens, VToken, VAIController and Liquidator of `@venusprotocol/venus-protocol` 10.3.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.protocols.base import Exactness

PERCENT: Final = 10**16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Revision:
    """How one comptroller and its tokens count. The defaults are Compound's. Compared by identity."""

    number: str
    release: str
    exactness: Exactness = Exactness.SOURCE
    timed: bool = False
    """Interest is counted by seconds, not by blocks."""
    fastest: int = 5 * 10**12
    """Above this rate per block, with 18 decimals, no interest can be added, and all that adds it first reverts."""
    thresholds: bool = False
    """A liquidation asks for a threshold of its own; else for the collateral factor."""
    pools: bool = False
    """An account may choose a pool with its own factors and incentives."""
    skips_empty: bool = False
    """A market that was entered, and in which there is nothing, needs no price."""
    forced: bool = False
    """Liquidation may be allowed whatever an account's health is; else of markets that are deprecated alone."""
    asks_membership: bool = False
    """Only what counts as collateral can be seized."""
    vai: bool = False
    """A debt of the stablecoin that the protocol mints itself."""
    seize_share: int = 0
    """Of what is seized, which share with 18 decimals stays with the protocol."""


_COMPOUND: Final = Revision(
    number="compound",
    release="Compound v2",
    seize_share=28 * PERCENT // 10,
)
_VENUS: Final = Revision(
    number="venus-10",
    release="Venus core pool 10",
    thresholds=True,
    pools=True,
    skips_empty=True,
    forced=True,
    asks_membership=True,
    vai=True,
)

REVISIONS: Final[Mapping[str, Revision]] = {each.number: each for each in (_COMPOUND, _VENUS)}
"""By the names that `reading.revision_of` gives them."""
