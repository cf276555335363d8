"""A lending market as data: assets with prices, thresholds and indexes, and what accounts have and owe of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tocsin.model.block import BlockRef

RAY: Final = 10**27
BPS: Final = 10**4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One asset at a block. `price` in base units per whole token, indexes in ray, the threshold in basis points."""

    address: bytes
    decimals: int
    price: int | None
    """None where there is none, zero and below included."""
    threshold: int
    """What share of it counts against debt; 0 for what is no collateral."""
    supply_index: int = RAY
    debt_index: int = RAY

    @property
    def unit(self) -> int:
        """One whole token."""
        return int(10**self.decimals)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlainMarket:
    """A market at one block."""

    block: BlockRef
    assets: tuple[Asset, ...]

    def with_price(self, asset: bytes, price: int) -> "PlainMarket":
        """Return the market with another price of an asset."""
        changed = (replace(each, price=price) if each.address == asset else each for each in self.assets)
        return replace(self, assets=tuple(changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainAccount:
    """What an account has and owes: shares, by the asset's place in the market."""

    address: bytes
    supplied: Mapping[int, int] = field(default_factory=dict)
    owed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Worth:
    """What an account comes to, in base units. It can be liquidated where `counted` is less than `debt`."""

    collateral: int
    counted: int
    """What of its collateral counts against debt."""
    debt: int


Adds = Callable[[PlainMarket, PlainAccount, int], Worth]
"""Adds an account up in a block of this time, with the contracts' own roundings.

Each leg may be off by less than a unit of its token and a base unit, and what it counts by one base unit more: this
is what the band allows for. Worth has to rise and fall with prices as real numbers do, but for roundings. All prices
are there, and above zero.
"""
