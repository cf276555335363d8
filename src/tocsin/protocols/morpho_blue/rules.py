# ruff: noqa: ARG002 - the methods are those of all protocols
"""Morpho Blue's rules, in the shape that every protocol's have. Values are in the smallest unit of the loan token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.base import (
    WAD,
    Exactness,
    Liquidation,
    Plan,
    Reading,
    Refusal,
    Region,
    UnknownStateError,
    Verdict,
)
from tocsin.protocols.morpho_blue import reading
from tocsin.protocols.morpho_blue.accrual import accrued
from tocsin.protocols.morpho_blue.arithmetic import VIRTUAL_ASSETS, VIRTUAL_SHARES
from tocsin.protocols.morpho_blue.critical import critical_price
from tocsin.protocols.morpho_blue.liquidation import liquidation
from tocsin.protocols.morpho_blue.market import PRICE_SCALE, Account, Market
from tocsin.protocols.morpho_blue.valuation import worth
from tocsin.protocols.places import Base, Difference, Parts, Target, Unread
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.table import Legs

NAME: Final = "morpho-blue"
REVISION: Final = "1.0"
DEBT: Final = "debt"
"""The parameter set of what is owed: its asset may be the collateral as well."""

_HELD, _OWED = 0, 1
_CUT_TWICE: Final = Fraction(2)
"""Base units: one is lost where collateral is valued, one where the loan-to-value is taken of it."""
_LIMIT: Final = Fraction(2**256, PRICE_SCALE)
"""Base units of collateral from which on its product with a price overflows, and the contracts revert."""


@dataclass(frozen=True, slots=True)
class MorphoRules:
    """The rules of the one revision that there is: its code never changes."""

    @property
    def kind(self) -> str:
        return NAME

    @property
    def revision(self) -> str:
        return REVISION

    @property
    def exactness(self) -> Exactness:
        return Exactness.VERIFIED

    @property
    def plan(self) -> Plan:
        return reading.PLAN

    # -- what is read

    def parts(self, target: Target) -> Reading[Parts]:
        """Find tokens, oracle and interest rate model. Raises UnknownStateError for a market that is not there."""
        return reading.parts(target)

    def market(self, parts: Parts, block: BlockRef) -> Reading[Market]:
        """Read a market, its price and its rate. Raises UnknownStateError for one that is not there."""
        return reading.market(parts, block)

    def accounts(self, parts: Parts, market: Market, addresses: Sequence[bytes]) -> Reading[Sequence[Account | Unread]]:
        """Read what accounts owe and have as collateral."""
        return reading.accounts(parts, addresses)

    def view(self, parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
        """Read what is stored of accounts: Morpho Blue has no view that says how healthy one is."""
        return reading.positions(parts, addresses)

    # -- what was read

    def base(self, parts: Parts, market: Market) -> Base:
        """Return the loan token."""
        return Base(name=parts.name(market.terms.loan), decimals=market.loan_decimals)

    def prices(self, market: Market) -> Mapping[bytes, int | None]:
        """Return units of the loan token for a unit of each, with 36 decimals; its own price is always one."""
        return {market.terms.loan: PRICE_SCALE, market.terms.collateral: market.price}

    def parameters(self, parts: Parts, market: Market) -> tuple[tuple[str, str], ...]:
        """Return the terms, which nobody can change, and the fee, which governance sets."""
        terms = market.terms
        places = (("oracle", terms.oracle), ("interest rate model", terms.irm))
        tokens = (("collateral token", terms.collateral), ("loan token", terms.loan))
        numbers = (("lltv", terms.lltv), ("fee", market.fee))
        return (
            *((name, str(number)) for name, number in numbers),
            *((name, f"0x{place.hex()}") for name, place in (*places, *tokens)),
        )

    def doubt(self, before: Market, after: Market) -> str:
        """Say what went back or changed that cannot."""
        if after.terms != before.terms:
            return "the terms of the market changed, which never do"
        if after.updated_s < before.updated_s:
            return f"interest was last added at {before.updated_s}, and now at {after.updated_s}"
        return ""

    def view_verdict(self, answer: Value) -> Verdict:
        """Raise UnknownStateError: what is stored says nothing of health."""
        raise UnknownStateError("Morpho Blue has no view that says how healthy an account is")

    def differs(self, market: Market, account: Account, answer: Value, at_s: int) -> tuple[Difference, ...]:
        """Return in what an account differs from what is stored of it."""
        stored = reading.account(account.address, answer)
        pairs = (
            ("borrowShares", account.shares, stored.shares),
            ("collateral", account.collateral, stored.collateral),
        )
        return tuple(
            Difference(what=what, ours=str(ours), chain=str(chain)) for what, ours, chain in pairs if ours != chain
        )

    # -- what is counted

    def columns(self, market: Market, at_s: int) -> Columns:
        """Return two columns, of what is held and of what is owed. Raises UnknownStateError."""
        totals, terms = accrued(market, at_s), market.terms
        raw = None if market.price is None else Fraction(market.price, PRICE_SCALE)
        share = Fraction(totals.borrow_assets + VIRTUAL_ASSETS, totals.borrow_shares + VIRTUAL_SHARES)
        held = Column(
            asset=f"0x{terms.collateral.hex()}",
            collateral=None if raw is None else raw * Fraction(terms.lltv, WAD),
            raw=raw,
            debt=Fraction(0),
            collateral_step=_CUT_TWICE,
            debt_step=Fraction(0),
        )
        owed = Column(
            asset=f"0x{terms.loan.hex()}",
            parameters=DEBT,
            collateral=Fraction(0),
            raw=Fraction(0),
            debt=share,
            collateral_step=Fraction(0),
            debt_step=Fraction(1),
            is_counted=False,
        )
        return Columns(
            all=(held, owed),
            band=Band(limit=_LIMIT),
            block_number=market.block.number,
            block_hash=market.block.hash,
            time_s=at_s,
        )

    def legs(self, market: Market, account: Account, at_s: int) -> Legs:
        """Return collateral, and shares of what is owed in all."""
        return Legs(collateral={_HELD: account.collateral}, debt={_OWED: account.shares})

    def verdict(self, market: Market, account: Account, at_s: int) -> Verdict:
        """Return what a liquidation in a block of this time would find. Raises UnknownStateError where it reverts.

        Nothing in Morpho Blue holds up the liquidation of who can be liquidated: no pause, no grace period. What does
        is an oracle or an interest rate model that reverts, and then nobody's health is known.
        """
        found = worth(market, account, at_s)
        return Verdict(
            liquidatable=found.falls,
            health_wad=found.health_wad,
            collateral_base=found.collateral,
            debt_base=found.owed,
            details={"maxBorrow": found.most, "borrowShares": account.shares, "collateral": account.collateral},
        )

    def critical_price(self, market: Market, account: Account, asset: bytes, at_s: int) -> Region:
        """Return at which prices of the collateral the account can be liquidated. Raises UnknownStateError."""
        return critical_price(market, account, asset, at_s)

    def liquidation(
        self,
        market: Market,
        account: Account,
        collateral: bytes,
        debt: bytes,
        amount: int | None,
        at_s: int,
    ) -> Liquidation | Refusal:
        """Return what a liquidation brings about, or why it is refused. Raises UnknownStateError."""
        return liquidation(market, account, collateral, debt, amount, at_s)
