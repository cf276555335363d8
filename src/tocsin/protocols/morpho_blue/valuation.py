"""What an account has and owes at a time, and whether Morpho Blue lets it be liquidated."""

from dataclasses import dataclass

from tocsin.protocols.base import WAD
from tocsin.protocols.morpho_blue.accrual import accrued
from tocsin.protocols.morpho_blue.arithmetic import RevertError, mul_div_down, to_assets_up, w_mul_down
from tocsin.protocols.morpho_blue.market import PRICE_SCALE, Account, Market, Totals

NO_PRICE = "the oracle reverts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What an account comes to, in units of the loan token."""

    collateral: int
    most: int
    """What may be owed against it."""
    owed: int

    @property
    def falls(self) -> bool:
        """Whether it can be liquidated."""
        return self.most < self.owed

    @property
    def health_wad(self) -> int | None:
        """What may be owed by what is, below 1e18 just where it can be liquidated. None without debt."""
        return health(self.most, self.owed)


def health(most: int, due: int) -> int | None:
    """Return a quotient of 18 decimals, cut; None without debt."""
    return most * WAD // due if due else None


def priced(market: Market) -> int:
    """Return the price of the collateral. Raises RevertError where the oracle reverts."""
    if market.price is None:
        raise RevertError(NO_PRICE)
    return market.price


def owed(account: Account, totals: Totals) -> int:
    """Return what an account owes, rounded up. Raises RevertError."""
    return to_assets_up(account.shares, totals.borrow_assets, totals.borrow_shares)


def worth(market: Market, account: Account, at_s: int) -> Worth:
    """Return what an account comes to in a block of this time; what is not there needs no price.

    Raises UnknownStateError where the contracts revert, or where what nobody owes against has no price.
    """
    totals = accrued(market, at_s)
    if not account.collateral and not account.shares:
        return Worth(collateral=0, most=0, owed=0)
    return worth_of(account, totals, priced(market), market.terms.lltv)


def worth_of(account: Account, totals: Totals, price: int, lltv: int) -> Worth:
    """Return what an account comes to at a price. Raises RevertError."""
    collateral = mul_div_down(account.collateral, price, PRICE_SCALE)
    return Worth(collateral=collateral, most=w_mul_down(collateral, lltv), owed=owed(account, totals))
