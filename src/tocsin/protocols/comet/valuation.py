"""What an account owes and what its collateral counts for: the sums of `isLiquidatable`, cut as they are there.

Debt is negative in the contract and divided towards zero: its size is cut down, as everything else.
"""

from dataclasses import dataclass

from tocsin.protocols.base import WAD, UnknownStateError
from tocsin.protocols.comet.market import FACTOR, INDEX, Account, Asset, Market

_MOST = 2**255 - 1
_MOST_INDEX = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexes:
    """The two indexes at some time."""

    supply: int
    borrow: int


def stored(market: Market) -> Indexes:
    """Return the indexes that the contract's own views of health use: without the interest since somebody acted."""
    return Indexes(supply=market.supply_index, borrow=market.borrow_index)


def accrued(market: Market, at_s: int) -> Indexes:
    """Return the indexes with all interest added up to a time, as everything does that changes anything.

    Raises UnknownStateError for a time before that of the last interest.
    """
    seconds = at_s - market.accrued_s
    if seconds < 0:
        raise UnknownStateError(f"interest is added up to {market.accrued_s}, after {at_s}")
    return Indexes(
        supply=_grown(market.supply_index, market.supply_rate * seconds),
        borrow=_grown(market.borrow_index, market.borrow_rate * seconds),
    )


def _grown(index: int, factor: int) -> int:
    found = index + index * factor // FACTOR
    if found > _MOST_INDEX:
        raise UnknownStateError("an index of more than 64 bits: the contract reverts")
    return found


def owed(account: Account, at: Indexes) -> int:
    """Return what an account owes of the base token; 0 if it owes nothing."""
    return max(-account.principal, 0) * at.borrow // INDEX


def supplied(principal: int, at: Indexes) -> int:
    """Return what a principal of supplies comes to."""
    return principal * at.supply // INDEX


def value(amount: int, price: int, scale: int) -> int:
    """Return an amount in the unit of prices. Raises UnknownStateError for more than the contract can hold."""
    if amount * price > _MOST:
        raise UnknownStateError("a value of more than 255 bits: the contract reverts")
    return amount * price // scale


def base_price(market: Market) -> int:
    """Return the price of the base token. Raises UnknownStateError where there is none."""
    if market.base_price is None:
        raise UnknownStateError("the feed of the base token has no price: BadPrice")
    return market.base_price


def price_of(asset: Asset) -> int:
    """Return the price of an asset. Raises UnknownStateError where there is none."""
    if asset.price is None:
        raise UnknownStateError(f"the feed of 0x{asset.asset.hex()} has no price: BadPrice")
    return asset.price


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What an account comes to, in the unit of prices."""

    debt: int
    weighted: int
    """What counts against a liquidation."""
    lending: int
    """What counts where something is borrowed."""
    collateral: int
    whole: bool = True
    """Whether all collateral is in it; what comes behind enough of it needs no price."""

    @property
    def falls(self) -> bool:
        return self.weighted < self.debt

    @property
    def health_wad(self) -> int | None:
        """Return what counts by what is owed, cut; below 1e18 just where the account can be liquidated."""
        return self.weighted * WAD // self.debt if self.debt else None


def position(market: Market, account: Account, at: Indexes) -> Position:
    """Return what an account comes to. Raises UnknownStateError where a price is missing that the contract asks for.

    It asks for one asset after the other, until there is enough.
    """
    debt = value(owed(account, at), base_price(market), market.base_scale) if account.principal < 0 else 0
    weighted = lending = collateral = 0
    whole = True
    for place in sorted(account.balances):
        asset = market.assets[place]
        if asset.price is None and weighted >= debt:
            whole = False
            continue
        worth = value(account.balances[place], price_of(asset), asset.scale)
        collateral += worth
        weighted += worth * asset.liquidate_factor // FACTOR
        lending += worth * asset.borrow_factor // FACTOR
    return Position(debt=debt, weighted=weighted, lending=lending, collateral=collateral, whole=whole)
