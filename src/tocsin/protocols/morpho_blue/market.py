"""A market and an account of Morpho Blue as values: what was read of them at one block.

A market lends one token against one other. Its oracle says what a unit of collateral is worth in units of the loan
token, with 36 decimals; shares are parts of what is lent or owed in all.
"""

from dataclasses import dataclass, replace

from tocsin.model.block import BlockRef

PRICE_SCALE = 10**36


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a market was created with and can never change: addresses of 20 bytes, and what names it."""

    id: bytes
    """32 bytes: the hash of all the others."""
    loan: bytes
    collateral: bytes
    oracle: bytes
    irm: bytes
    """The interest rate model; zeros where nobody pays interest."""
    lltv: int
    """The loan-to-value at which a position can be liquidated, with 18 decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a market has lent out and owes in all, as stored or at some time."""

    supply_assets: int
    supply_shares: int
    borrow_assets: int
    borrow_shares: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """A market at one block. Compared by identity: what is derived of a market is kept with it."""

    block: BlockRef
    terms: Terms
    totals: Totals
    """As they were stored at `updated_s`."""
    updated_s: int
    """When interest was added last; 0 for a market that was never created."""
    fee: int = 0
    """Which part of interest goes to the protocol, with 18 decimals."""
    price: int | None = None
    """What the oracle answers; None where it reverts."""
    rate: int | None = None
    """Of a second, with 18 decimals, as the interest rate model says at this block; None where it reverts."""
    loan_decimals: int = 0

    def with_price(self, price: int | None) -> "Market":
        """Return the market with another price of its collateral."""
        return replace(self, price=price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A position in a market. What somebody supplied to be lent is no collateral, and not in it."""

    address: bytes
    collateral: int = 0
    """Units of the collateral token."""
    shares: int = 0
    """Of what is owed in all."""
