"""Protocols that are plain: data, and one function that adds an account up with the contracts' own roundings.

All else follows from both: columns and legs for the book, verdicts, critical prices, and what is read
(`tocsin.protocols.plainmarket`, `tocsin.protocols.plainreading`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.base import (
    WAD,
    Event,
    Exactness,
    Liquidation,
    Plan,
    Reading,
    Refusal,
    Region,
    Rules,
    UnknownStateError,
    Verdict,
    asked_view,
)
from tocsin.protocols.chainrules import ChainRules
from tocsin.protocols.kind import Kind, answers_with
from tocsin.protocols.places import Base, Difference, Parts, Target, Unread
from tocsin.protocols.plainmarket import BPS, RAY, Adds, Asset, PlainAccount, PlainMarket, Worth
from tocsin.protocols.plainprices import region
from tocsin.protocols.plainreading import Sources, accounts, market, parts
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.table import Legs


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRules:
    """The rules of one revision."""

    kind: str
    revision: str
    exactness: Exactness
    plan: Plan
    sources: Sources
    unit: Base
    adds: Adds

    def parts(self, target: Target) -> Reading[Parts]:
        return parts(self.sources, target)

    def market(self, parts: Parts, block: BlockRef) -> Reading[PlainMarket]:
        return market(self.sources, parts, block)

    def accounts(
        self, parts: Parts, market: PlainMarket, addresses: Sequence[bytes]
    ) -> Reading[Sequence[PlainAccount | Unread]]:
        return accounts(self.sources, parts, market, addresses)

    def view(self, parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
        return asked_view(self.plan, parts, addresses)

    def base(self, parts: Parts, market: PlainMarket) -> Base:
        del parts, market
        return self.unit

    def prices(self, market: PlainMarket) -> Mapping[bytes, int | None]:
        return {each.address: each.price for each in market.assets}

    def parameters(self, parts: Parts, market: PlainMarket) -> tuple[tuple[str, str], ...]:
        return tuple((f"{parts.name(each.address)} threshold", f"{each.threshold} bps") for each in market.assets)

    def doubt(self, before: PlainMarket, after: PlainMarket) -> str:
        """Say which index went back: they only grow."""
        was = {each.address: each for each in before.assets}
        for each in after.assets:
            old = was.get(each.address, each)
            if each.supply_index < old.supply_index or each.debt_index < old.debt_index:
                return f"0x{each.address.hex()}: an index went back"
        return ""

    def view_verdict(self, answer: Value) -> Verdict:
        return _says(answer)

    def differs(self, market: PlainMarket, account: PlainAccount, answer: Value, at_s: int) -> tuple[Difference, ...]:
        ours, said = self._added(market, account, at_s), _worth(answer)
        return tuple(
            Difference(what=name, ours=str(getattr(ours, name)), chain=str(getattr(said, name)))
            for name in Worth.__slots__
            if getattr(ours, name) != getattr(said, name)
        )

    def columns(self, market: PlainMarket, at_s: int) -> Columns:
        return Columns(
            all=tuple(map(_column, market.assets)),
            band=Band(constant=Fraction(2)),
            block_number=market.block.number,
            block_hash=market.block.hash,
            time_s=at_s,
        )

    def legs(self, market: PlainMarket, account: PlainAccount, at_s: int) -> Legs:
        del market, at_s
        return Legs(collateral=account.supplied, debt=account.owed)

    def verdict(self, market: PlainMarket, account: PlainAccount, at_s: int) -> Verdict:
        """Return what the contracts would say. Raises UnknownStateError where a price is missing."""
        return _verdict(self._added(market, account, at_s))

    def critical_price(self, market: PlainMarket, account: PlainAccount, asset: bytes, at_s: int) -> Region:
        """Return at which prices of an asset the account can be liquidated. Raises UnknownStateError."""

        def falls(price: int) -> bool:
            worth = self._added(market.with_price(asset, price), account, at_s)
            return worth.counted < worth.debt

        return region(asset, falls, tuple(_sides(market, account)))

    def liquidation(
        self,
        market: PlainMarket,
        account: PlainAccount,
        collateral: bytes,
        debt: bytes,
        amount: int | None,
        at_s: int,
    ) -> Liquidation | Refusal:
        """Raise UnknownStateError: what a liquidation does is not among the data."""
        del market, account, collateral, debt, amount, at_s
        raise UnknownStateError(f"what a liquidation does is not known of {self.kind}")

    def _added(self, market: PlainMarket, account: PlainAccount, at_s: int) -> Worth:
        for at in (*account.supplied, *account.owed):
            asset = market.assets[at]
            if asset.price is None or asset.price <= 0:
                raise UnknownStateError(f"there is no price of 0x{asset.address.hex()}")
        return self.adds(market, account, at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A protocol that is a plain market: what its package has to say."""

    name: str
    sources: Sources
    base: Base
    revisions: Mapping[str, tuple[Adds, Exactness]]
    """By what the pool says of itself, how accounts are added up, and how that is known."""
    owes: tuple[Event, ...]
    touches: tuple[Event, ...]
    changes: tuple[Event, ...] = ()

    @property
    def kind(self) -> Kind:
        """What the package has as `KIND`."""
        return Kind(
            name=self.name, rules=self.rules, revision=self._revision, owes=self.owes, revisions=tuple(self.revisions)
        )

    def rules(self, revision: str) -> Rules[Any, Any]:
        """Return the rules of a revision; of an unknown one those that ask the pool."""
        if revision not in self.revisions:
            return ChainRules(kind=self.name, revision=revision, plan=self._plan, finds=self._finds, says=_says)
        adds, exactness = self.revisions[revision]
        return PlainRules(
            kind=self.name,
            revision=revision,
            exactness=exactness,
            plan=self._plan,
            sources=self.sources,
            unit=self.base,
            adds=adds,
        )

    def _revision(self, target: Target) -> Reading[str]:
        return answers_with(self.sources.revision, target)

    def _finds(self, target: Target) -> Reading[Parts]:
        return parts(self.sources, target)

    @property
    def _plan(self) -> Plan:
        return Plan(
            revision=self.sources.revision,
            market=self.sources.market,
            account=(self.sources.supplied, self.sources.owed),
            view=self.sources.view,
            owes=self.owes,
            touches=self.touches,
            changes=self.changes,
        )


def _verdict(worth: Worth) -> Verdict:
    return Verdict(
        liquidatable=worth.counted < worth.debt,
        health_wad=worth.counted * WAD // worth.debt if worth.debt else None,
        collateral_base=worth.collateral,
        debt_base=worth.debt,
    )


def _says(answer: Value) -> Verdict:
    return _verdict(_worth(answer))


def _worth(answer: Any) -> Worth:
    """Return what a view says: collateral, what of it counts, debt. Raises UnknownStateError for another answer."""
    if not isinstance(answer, tuple) or len(answer) != len(Worth.__slots__):
        raise UnknownStateError("the view is expected to answer collateral, what of it counts, and debt")
    return Worth(*answer)


def _column(asset: Asset) -> Column:
    per_unit = None if asset.price is None or asset.price <= 0 else Fraction(asset.price, asset.unit)
    raw = None if per_unit is None else per_unit * Fraction(asset.supply_index, RAY)
    return Column(
        asset=f"0x{asset.address.hex()}",
        collateral=None if raw is None else raw * Fraction(asset.threshold, BPS),
        raw=raw,
        debt=None if per_unit is None else per_unit * Fraction(asset.debt_index, RAY),
        collateral_step=(per_unit or 0) + Fraction(2),
        debt_step=(per_unit or 0) + Fraction(1),
        is_counted=asset.threshold > 0,
    )


def _sides(market: PlainMarket, account: PlainAccount) -> Iterator[tuple[bytes, int | None, Fraction, Fraction]]:
    """Yield of each leg its asset and price, what it adds to the margin per unit of the price, and one token unit."""
    for at, shares in account.supplied.items():
        asset = market.assets[at]
        amount = Fraction(shares * asset.supply_index, RAY * asset.unit)
        yield asset.address, asset.price, amount * Fraction(asset.threshold, BPS), Fraction(1, asset.unit)
    for at, shares in account.owed.items():
        asset = market.assets[at]
        amount = Fraction(shares * asset.debt_index, RAY * asset.unit)
        yield asset.address, asset.price, -amount, Fraction(1, asset.unit)
