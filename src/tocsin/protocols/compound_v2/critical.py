"""The exact integer price of one token's asset at which an account can be liquidated, all other prices as they are.

What the account has in other markets is added up once. Where it has or owes the asset, and not both, what counts of it
is monotone in the price, and halving finds the one crossing. Where it has and owes it, both are cut, and near the line
health shakes: prices there are tried one by one, if they are few.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.protocols.base import WAD, Region
from tocsin.protocols.compound_v2.accrual import Live, vai_owed
from tocsin.protocols.compound_v2.market import Account, Market
from tocsin.protocols.compound_v2.revisions import Revision
from tocsin.protocols.compound_v2.valuation import checked, counted, legs, priced
from tocsin.protocols.prices import LEAST, between, falling, rising, scanned, whole

MOST = 2**176
"""Prices have 36 decimals less those of the asset, so that one of two decimals at a billion is below 2**143."""
_TRIED = 2**16
"""Prices that are tried one by one: a tenth of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """An account as a function of one price: what the others come to, and its own amounts of the asset."""

    weighted: int
    debt: int
    per_token: int
    balance: int
    owed: int

    def falls(self, price: int) -> bool:
        """Tell whether the account has a shortfall at a price."""
        counts = self.per_token * price // WAD * self.balance // WAD
        return self.weighted + counts < self.debt + price * self.owed // WAD

    @property
    def slope(self) -> int:
        """By how much what counts gains on debt when one unit of the price is won, times 1e36."""
        return self.per_token * self.balance - WAD * self.owed


def critical_price(
    revision: Revision, market: Market, account: Account, token: bytes, lives: Sequence[Live], vai_at: int
) -> Region:
    """Return at which of the oracle's prices of a token's asset an account has a shortfall. Raises UnknownStateError.

    Where debts were read cut, it is what they come to at least.
    """
    weighted = per_token = balance = due = 0
    debt = vai_owed(account.vai, vai_at)
    for leg in legs(revision, market, account, lives):
        if leg.live.token.address == token:
            per_token, balance, due = leg.per_token, leg.balance, leg.owed
            continue
        price = priced(leg.live)
        weighted += counted(leg.per_token, price, leg.balance)
        debt += checked(price * leg.owed) // WAD
    return region(token, Exposure(weighted=weighted, debt=debt, per_token=per_token, balance=balance, owed=due))


def region(token: bytes, of: Exposure) -> Region:
    """Return at which prices an exposure falls."""
    counts = of.per_token and of.balance
    if not counts and not of.owed:
        return whole(token, holds=of.falls(LEAST))
    if not of.owed:
        return falling(token, of.falls, MOST)
    if not counts:
        return rising(token, of.falls, MOST)
    return _shaking(token, of)


def _shaking(token: bytes, of: Exposure) -> Region:
    """Return the region of an asset on both sides, each of which is cut by itself."""
    slope, margin = of.slope, of.weighted - of.debt
    # What counts is cut behind the price, which the balance multiplies, and once more; what is owed is cut once.
    shake = of.balance // WAD + 3
    if not slope:
        return _level(token, of)
    near = [(bound - margin) * WAD * WAD // slope for bound in (shake, -shake)]
    low, high = max(min(near) - 1, LEAST), min(max(near) + 1, MOST)
    is_below = slope > 0
    if low > high:
        return whole(token, holds=of.falls(LEAST if high < LEAST else MOST))
    if high - low < _TRIED:
        return scanned(token, of.falls, low, high, is_below=is_below, most=MOST)
    return between(token, low, high, is_below=is_below)


def _level(token: bytes, of: Exposure) -> Region:
    """Return what can be said where no price changes health but by how it is cut: as it is at both ends."""
    ends = of.falls(LEAST), of.falls(MOST)
    if ends[0] == ends[1]:
        return Region(asset=token, reach=whole(token, holds=ends[0]).reach, exact=False)
    return between(token, LEAST, MOST, is_below=ends[0])
