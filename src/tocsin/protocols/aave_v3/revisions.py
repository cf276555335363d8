"""Which release of Aave v3 counts in which way: a row of flags per `POOL_REVISION`, which one arithmetic follows.

Sources: `@aave/core-v3` 1.19.3 (revision 1); GenericLogic, LiquidationLogic, MathUtils, ValidationLogic and
PoolInstance of aave-dao/aave-v3-origin at its tags v3.1.0 to v3.6.0 and at fd1fbd9 (v3.7). Revisions 2 and 3 are in
none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tocsin.protocols.base import Exactness


class Growth(StrEnum):
    """The series by which debt compounds."""

    BINOMIAL = "binomial"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Revision:
    """How one revision of the pool counts. The defaults are the oldest ways. Compared by identity."""

    number: str
    release: str
    exactness: Exactness = Exactness.SOURCE
    growth: Growth = Growth.BINOMIAL
    directed: bool = False
    """Balances and values are rounded against the account, health comes from the sum of what counts.

    Else they are rounded to the nearest or down, and health comes from an average threshold cut to a basis point.
    """
    bitmaps: bool = False
    """Which assets a category has is said by bitmaps of the category; else by each asset, and it may have a price."""
    stable_debt: bool = True
    skips_worthless: bool = True
    """Collateral whose own threshold is 0 does not count, not even where its category's threshold is another."""
    category_ltv: bool = False
    """The category's ltv holds though the asset's own is 0, unless the category says that it is 0."""
    isolated_categories: bool = False
    grace: bool = False
    sentinel: bool = True
    leftovers: bool = False
    """Small positions may be liquidated whole, dust may not be left, debts without collateral are written off."""
    directed_seizure: bool = False
    """Of what is seized the bonus is rounded down, the fee up, and what is left is judged by shares."""


_3_0 = Revision(number="1", release="3.0", exactness=Exactness.VERIFIED)
_3_1 = Revision(number="4", release="3.1.0", grace=True)
_3_2 = replace(_3_1, number="5", release="3.2.0", bitmaps=True, stable_debt=False)
_3_2_1 = replace(_3_2, number="6", release="3.2.1")
_3_3 = replace(_3_2, number="7", release="3.3.0", leftovers=True)
_3_4 = replace(_3_3, number="8", release="3.4.0", growth=Growth.EXPONENTIAL)
_3_5 = replace(_3_4, number="9", release="3.5.0", directed=True)
_3_6 = replace(
    _3_5,
    number="10",
    release="3.6.0",
    skips_worthless=False,
    category_ltv=True,
    exactness=Exactness.VERIFIED,
)
_3_7 = replace(
    _3_6,
    number="11",
    release="3.7.0",
    isolated_categories=True,
    sentinel=False,
    directed_seizure=True,
    exactness=Exactness.SOURCE,
)

REVISIONS: Final[Mapping[str, Revision]] = {
    each.number: each for each in (_3_0, _3_1, _3_2, _3_2_1, _3_3, _3_4, _3_5, _3_6, _3_7)
}
"""By what `POOL_REVISION()` answers."""
