"""A market and an account of Aave v3 as values: what was read of them at one block.

Indexes and rates are in ray (27 decimals), prices in the oracle's base unit per whole token, factors in basis points.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.model.block import BlockRef

RAY = 10**27
BPS = 10**4


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The configuration word of a reserve."""

    ltv: int = 0
    threshold: int = 0
    bonus: int = 0
    """10,500 for 5 %."""
    decimals: int = 18
    active: bool = True
    frozen: bool = False
    borrowing: bool = True
    paused: bool = False
    reserve_factor: int = 0
    borrow_cap: int = 0
    supply_cap: int = 0
    protocol_fee: int = 0
    """Of the bonus of a liquidation."""
    category: int = 0
    """The eMode category, until 3.1."""
    debt_ceiling: int = 0
    """In US dollars with two decimals; other than 0 for an asset that is collateral in isolation only, until 3.6."""
    virtual_accounting: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """One asset of the market."""

    id: int
    asset: bytes
    configuration: Configuration
    liquidity_index: int
    liquidity_rate: int
    variable_index: int
    variable_rate: int
    updated_s: int
    price: int | None
    """What the oracle answers; None where it does not, as where a feed says zero or less and none stands in for it."""
    grace_until_s: int = 0
    """No liquidation up to and including this time, since 3.1."""
    supply_token: bytes = b""
    debt_token: bytes = b""
    stable_token: bytes = b""
    """The contracts that keep what accounts have of it."""
    discounted: bool = False
    """Whether its debt token gives some accounts a discount on interest, as GHO's first one did."""

    @property
    def unit(self) -> int:
        """One whole token."""
        return int(10**self.configuration.decimals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """An eMode category. The bitmaps (since 3.2) have the bit of a reserve's id set."""

    number: int
    ltv: int
    threshold: int
    bonus: int
    price: int = 0
    """What the oracle answers for the category's own source, until 3.1; 0 where it has none."""
    has_source: bool = False
    """Whether it has a source of its own, which liquidations ask even where it answers 0."""
    collateral: int = 0
    borrowable: int = 0
    zero_ltv: int = 0
    isolated: bool = False
    """Since 3.7: other assets than its own have an ltv of 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """A pool at one block. Compared by identity: what is derived of a market is kept with it."""

    block: BlockRef
    reserves: tuple[Reserve | None, ...]
    """By their id; None where one was dropped."""
    categories: Mapping[int, Category] = field(default_factory=dict)
    sentinel_allows: bool | None = None
    """Whether the oracle's sentinel lets liquidations happen; None where there is none."""
    base_currency: bytes = bytes(20)
    """What prices are in: a token, or zeros for US dollars."""
    base_unit: int = 10**8
    """One whole of it."""

    def reserve_of(self, asset: bytes) -> Reserve | None:
        """Return the reserve of an asset, None where there is none."""
        return next((reserve for reserve in self.reserves if reserve is not None and reserve.asset == asset), None)

    def with_price(self, asset: bytes, price: int) -> "Market":
        """Return the market with another price of an asset."""
        changed = [
            replace(each, price=price) if each is not None and each.asset == asset else each for each in self.reserves
        ]
        return replace(self, reserves=tuple(changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What an account has of one reserve: shares (scaled balances), and a debt at a stable rate of its own."""

    supplied: int = 0
    borrowed: int = 0
    stable: int = 0
    """The principal, in units of the asset, as of `stable_since_s`."""
    stable_rate: int = 0
    stable_since_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of a pool. `flags` is its configuration word: two bits per reserve id (borrows, is collateral)."""

    address: bytes
    flags: int
    category: int = 0
    holdings: Mapping[int, Holding] = field(default_factory=dict)
    """By the reserve's id."""

    def borrows(self, reserve: int) -> bool:
        return bool(self.flags >> 2 * reserve & 1)

    def uses(self, reserve: int) -> bool:
        """Tell whether what it has supplied of a reserve is collateral."""
        return bool(self.flags >> 2 * reserve + 1 & 1)


def doubt(before: Market, after: Market) -> str:
    """Return which index or time of a reserve went back, of two readings of one chain; empty where none did.

    A reserve that was dropped and listed again has tokens of its own, and begins anew.
    """
    known = {each.supply_token: each for each in before.reserves if each is not None}
    for each in after.reserves:
        was = None if each is None else known.get(each.supply_token)
        if each is None or was is None:
            continue
        for name in ("liquidity_index", "variable_index", "updated_s"):
            old, new = getattr(was, name), getattr(each, name)
            if new < old:
                what = name.replace("_", " ").removesuffix(" s")
                return f"reserve {each.id}: its {what} went back from {old} to {new}"
    return ""
