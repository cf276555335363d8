"""Which comptroller counts in which way: a row of flags per known one, which one arithmetic follows.

Sources: Comptroller, CToken and ExponentialNoError of compound-finance/compound-protocol at a3214f6; the facets,
ComptrollerLens, VToken, VAIController and Liquidator of `@venusprotocol/venus-protocol` 10.3.0; Comptroller and MToken
of moonwell-fi/moonwell-contracts-v2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.protocols.base import Exactness


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
    deprecates: bool = True
    """Who owes what no longer lends, and whose interest is all reserved, may be liquidated whatever his health is."""
    venus: bool = False
    """Liquidations ask for a threshold, not for the collateral factor, and only what counts as collateral is seized.

    Accounts may choose a pool with factors and incentives of its own, owe VAI, which the protocol mints, or be
    liquidated whatever their health is where that is said so. What was entered and is empty needs no price.
    """


_COMPOUND: Final = Revision(number="compound", release="Compound v2")
_MOONWELL: Final = Revision(number="moonwell", release="Moonwell", timed=True, deprecates=False)
_VENUS: Final = Revision(
    number="venus-10", release="Venus core pool 10", exactness=Exactness.VERIFIED, deprecates=False, venus=True
)

REVISIONS: Final[Mapping[str, Revision]] = {each.number: each for each in (_COMPOUND, _MOONWELL, _VENUS)}
"""By the names that `locating.revision` gives them."""
