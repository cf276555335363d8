"""Absorptions, by which a Comet takes an account's collateral and its debt, and sales of what was absorbed."""

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.protocols.base import Liquidation, Refusal, UnknownStateError
from tocsin.protocols.comet.market import FACTOR, INDEX, PAUSED_ABSORB, PAUSED_BUY, Account, Market
from tocsin.protocols.comet.valuation import (
    Indexes,
    accrued,
    base_price,
    owed,
    position,
    price_of,
    supplied,
    value,
)

PAUSED = Refusal(reason="Paused")
HEALTHY = Refusal(reason="NotLiquidatable")
BAD_PRICE = Refusal(reason="BadPrice")
NOT_FOR_SALE = Refusal(reason="NotForSale")
SHORT = Refusal(reason="InsufficientReserves")


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorption:
    """What an absorption does: the protocol pays the debt out of its reserves and has the collateral for it."""

    paid_out: int
    """Of the base token: the debt, and what the account is left with."""
    credited: int
    """What the account has supplied of it afterwards, as a principal."""
    deficit: int
    """How much more is owed than is credited for the collateral."""
    seized: Mapping[int, int]
    """Of each asset, by its place."""


def blocked(market: Market, account: Account) -> str:
    """Return why nobody can absorb an account now, whatever it owes; empty if that can be."""
    if market.pauses & PAUSED_ABSORB:
        return PAUSED.reason
    if market.base_price is None or any(market.assets[at].price is None for at in account.balances):
        return BAD_PRICE.reason
    return ""


def absorption(market: Market, account: Account, at_s: int) -> Absorption | Refusal:
    """Return what an absorption does at a time, or why it is refused. Raises UnknownStateError."""
    if market.pauses & PAUSED_ABSORB:
        return PAUSED
    at = accrued(market, at_s)
    if not position(market, account, at).falls:
        return HEALTHY
    if blocked(market, account):
        return BAD_PRICE
    credited = _credited(market, account)
    debt = owed(account, at)
    left = max(credited - debt, 0)
    return Absorption(
        paid_out=left + debt,
        credited=left * INDEX // at.supply,
        deficit=max(debt - credited, 0),
        seized=dict(account.balances),
    )


def _credited(market: Market, account: Account) -> int:
    """Return what is credited for all collateral, in the base token."""
    total = 0
    for place, balance in account.balances.items():
        asset = market.assets[place]
        total += value(balance, price_of(asset), asset.scale) * asset.liquidation_factor // FACTOR
    return total * market.base_scale // base_price(market)


def liquidation(
    market: Market, account: Account, collateral: bytes, debt: bytes, amount: int | None, at_s: int
) -> Liquidation | Refusal:
    """Return what an absorption does to one of the collaterals; it takes all of all, whatever amount is offered.

    The deficit is what the protocol's reserves lose. Raises UnknownStateError for assets that the market has not.
    """
    place = market.place_of(collateral)
    if place is None or debt != market.base:
        raise UnknownStateError(f"the market lends 0x{market.base.hex()} alone, against its assets of collateral")
    if amount == 0:
        return Refusal(reason="nothing is offered")
    found = absorption(market, account, at_s)
    if isinstance(found, Refusal):
        return found
    return Liquidation(
        repaid=found.paid_out,
        seized=found.seized.get(place, 0),
        deficits=((market.base, found.deficit),) if found.deficit else (),
    )


# -- what was absorbed is for sale


def reserves(market: Market, at_s: int) -> int:
    """Return what the Comet has beyond what it owes suppliers, of the base token; below zero is bad debt."""
    at = accrued(market, at_s)
    return market.base_balance - supplied(market.supply_principal, at) + _borrowed(market, at)


def _borrowed(market: Market, at: Indexes) -> int:
    return market.borrow_principal * at.borrow // INDEX


def quote(market: Market, asset: bytes, amount: int) -> int:
    """Return how much of an asset is sold for an amount of the base token. Raises UnknownStateError."""
    place = market.place_of(asset)
    if place is None:
        raise UnknownStateError(f"0x{asset.hex()} is no collateral of the market")
    sold = market.assets[place]
    discount = market.store_front_factor * (FACTOR - sold.liquidation_factor) // FACTOR
    price = price_of(sold) * (FACTOR - discount) // FACTOR
    if not price:
        raise UnknownStateError("the discounted price is zero: the contract divides by it")
    return base_price(market) * amount * sold.scale // price // market.base_scale


def purchase(market: Market, asset: bytes, amount: int, at_s: int) -> int | Refusal:
    """Return how much collateral is had for an amount of the base token, or why it is not sold."""
    if market.pauses & PAUSED_BUY:
        return PAUSED
    has = reserves(market, at_s)
    if has >= 0 and has >= market.target_reserves:
        return NOT_FOR_SALE
    found = quote(market, asset, amount)
    place = market.place_of(asset)
    held = None if place is None else market.assets[place].reserves
    if held is None:
        raise UnknownStateError(f"how much of 0x{asset.hex()} is for sale could not be read")
    return SHORT if found > held else found
