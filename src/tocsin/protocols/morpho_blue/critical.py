"""The highest price of collateral at which an account can be liquidated: closed, for both roundings go one way.

With a price of P the account may owe floor(floor(collateral x P / 1e36) x lltv / 1e18). It may owe `d` from the price
on at which the inner number is ceil(d x 1e18 / lltv), and that is reached at ceil(that x 1e36 / collateral).
"""

from tocsin.protocols.base import WAD, Reach, Region
from tocsin.protocols.integers import ceil_div
from tocsin.protocols.morpho_blue.accrual import accrued
from tocsin.protocols.morpho_blue.market import PRICE_SCALE, Account, Market
from tocsin.protocols.morpho_blue.valuation import owed, worth
from tocsin.protocols.prices import never, whole

_WORD = 2**256


def critical_price(market: Market, account: Account, asset: bytes, at_s: int) -> Region:
    """Return at which prices of an asset an account can be liquidated. Raises UnknownStateError.

    The oracle has one price, of the collateral in units of the loan token; no other asset has one that could move.
    A price of 0 is one: it counts all collateral as nothing. A price with which the contracts overflow is none.
    """
    if asset != market.terms.collateral:
        return whole(asset, holds=worth(market, account, at_s).falls)
    due = owed(account, accrued(market, at_s))
    if not due:
        return never(asset)
    if not account.collateral or not market.terms.lltv:
        return whole(asset, holds=True)
    enough = ceil_div(due * WAD, market.terms.lltv)
    healthy = ceil_div(enough * PRICE_SCALE, account.collateral)
    if account.collateral * healthy >= _WORD:
        return whole(asset, holds=True)
    return Region(asset=asset, reach=Reach.BELOW, edge=healthy - 1, solid=healthy - 1)
