"""The exact integer price of one asset at which an account can be liquidated, all other prices as they are.

An asset is collateral or owed, so health is monotone in each price, and halving finds the one crossing.
"""

from tocsin.protocols.base import Region, UnknownStateError
from tocsin.protocols.comet.market import FACTOR, Account, Market
from tocsin.protocols.comet.valuation import Indexes, base_price, owed, price_of
from tocsin.protocols.prices import LEAST, falling, rising, whole


def critical_price(market: Market, account: Account, asset: bytes, at: Indexes) -> Region:
    """Return at which of a feed's prices an account can be liquidated. Raises UnknownStateError."""
    due, place = owed(account, at), market.place_of(asset)
    if place is None and asset != market.base:
        raise UnknownStateError(f"0x{asset.hex()} is no asset of the market")
    weighted = sum(_counts(market, account, one, None) for one in account.balances if one != place)
    if place is None:
        return rising(asset, lambda price: weighted < due * price // market.base_scale)
    debt = due * base_price(market) // market.base_scale if due else 0

    def falls(price: int) -> bool:
        return weighted + _counts(market, account, place, price) < debt

    held = account.balances.get(place, 0) and market.assets[place].liquidate_factor
    return falling(asset, falls) if held else whole(asset, holds=falls(LEAST))


def _counts(market: Market, account: Account, place: int, price: int | None) -> int:
    asset = market.assets[place]
    worth = account.balances.get(place, 0) * (price_of(asset) if price is None else price) // asset.scale
    return worth * asset.liquidate_factor // FACTOR
