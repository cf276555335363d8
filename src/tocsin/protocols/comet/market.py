"""A Comet and an account of it as values: what was read of them at one block.

Indexes have 15 decimals, factors and rates by second 18, prices 8. An account's debt is a principal: what is owed by
the borrow index.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.model.block import BlockRef

FACTOR = 10**18
INDEX = 10**15

PAUSED_ABSORB, PAUSED_BUY = 1 << 3, 1 << 4
"""Bits of the pause flags; those before them are of supplies, transfers and withdrawals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An asset that is collateral. Its place among them is that of its bit in an account's word."""

    asset: bytes
    feed: bytes
    scale: int
    """One whole token."""
    price: int | None
    """None where the feed answers zero, less, or not at all: everything that needs it reverts."""
    borrow_factor: int
    liquidate_factor: int
    liquidation_factor: int
    """What is credited of its value when it is absorbed."""
    supply_cap: int = 0
    reserves: int | None = None
    """What was absorbed and not yet sold; None where that does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """A Comet at one block. Compared by identity."""

    block: BlockRef
    base: bytes
    base_feed: bytes
    base_scale: int
    base_price: int | None
    assets: tuple[Asset, ...]
    supply_index: int
    borrow_index: int
    supply_principal: int
    borrow_principal: int
    """Of all accounts."""
    supply_rate: int
    borrow_rate: int
    """Per second, at the utilization that is stored: what interest is added by next."""
    accrued_s: int
    pauses: int = 0
    base_balance: int = 0
    """Of the Comet itself."""
    store_front_factor: int = 0
    """How much of what a liquidation keeps back is a discount for whoever buys collateral."""
    borrow_min: int = 0
    target_reserves: int = 0
    """From these reserves on collateral is not for sale."""
    rates: tuple[tuple[str, int], ...] = ()
    """What rates are made of, by the contract's names."""

    def place_of(self, asset: bytes) -> int | None:
        """Return the place of an asset of collateral, None where it is none."""
        return next((at for at, one in enumerate(self.assets) if one.asset == asset), None)

    def with_price(self, asset: bytes, price: int | None) -> "Market":
        """Return the market with another price of an asset, or of the base token."""
        if asset == self.base:
            return replace(self, base_price=price)
        return replace(
            self, assets=tuple(replace(one, price=price) if one.asset == asset else one for one in self.assets)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What an account has: a principal that is below zero where it owes, and collateral by its place."""

    address: bytes
    principal: int
    balances: Mapping[int, int] = field(default_factory=dict)
    """Of those assets whose bit is set, which are all that count."""


def doubt(before: Market, after: Market) -> str:
    """Say which index went back; empty if none did. They only grow."""
    for name, old, new in (
        ("supply", before.supply_index, after.supply_index),
        ("borrow", before.borrow_index, after.borrow_index),
    ):
        if new < old:
            return f"the base {name} index went back from {old} to {new}"
    return ""
