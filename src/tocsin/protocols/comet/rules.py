"""A Comet's rules, in the shape that every protocol's have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.base import (
    Exactness,
    Liquidation,
    Plan,
    Reading,
    Refusal,
    Region,
    UnknownStateError,
    Verdict,
    asked_view,
)
from tocsin.protocols.comet import assembly, reading
from tocsin.protocols.comet.critical import critical_price
from tocsin.protocols.comet.liquidation import blocked, liquidation
from tocsin.protocols.comet.market import FACTOR, INDEX, Account, Asset, Market, doubt
from tocsin.protocols.comet.valuation import accrued, position, stored
from tocsin.protocols.places import Base, Difference, Parts, Target, Unread
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.table import Legs

NAME: Final = "comet"
KNOWN: Final = "0"
"""What `version()` of every Comet answers so far. Source: CometExt.sol of compound-finance/comet at d5a30b0."""
_PAUSES: Final = ("supply", "transfer", "withdraw", "absorb", "buy")


@dataclass(frozen=True, slots=True)
class CometRules:
    """The rules of Comet, with assets in its code or in a list of their own.

    Health is asked for with interest added up to the time: an absorption adds it first. The contract's own view does
    not, and is held against what is stored.
    """

    @property
    def kind(self) -> str:
        return NAME

    @property
    def revision(self) -> str:
        """What `version()` answers."""
        return KNOWN

    @property
    def exactness(self) -> Exactness:
        return Exactness.SOURCE

    @property
    def plan(self) -> Plan:
        return reading.PLAN

    # -- reading

    def parts(self, target: Target) -> Reading[Parts]:
        """Find the contracts of a market. Raises UnknownStateError."""
        return assembly.parts(target)

    def market(self, parts: Parts, block: BlockRef) -> Reading[Market]:
        """Read the Comet, with all assets and prices. Raises UnknownStateError."""
        return assembly.market(parts, block)

    def accounts(self, parts: Parts, market: Market, addresses: Sequence[bytes]) -> Reading[Sequence[Account | Unread]]:
        """Read accounts: what they owe, and the collateral whose bits are set."""
        return assembly.accounts(parts, market, addresses)

    def view(self, parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
        """Ask `isLiquidatable` of each account."""
        return asked_view(self.plan, parts, addresses)

    # -- what was read

    def base(self, parts: Parts, market: Market) -> Base:
        """Return US dollars, or the base token where feeds count in it; prices have 8 decimals."""
        name = "USD" if parts.numbers.get(assembly.IN_DOLLARS) else parts.name(market.base)
        return Base(name=name, decimals=8)

    def prices(self, market: Market) -> Mapping[bytes, int | None]:
        """Return the price of each asset and of the base token, per whole token."""
        return {market.base: market.base_price, **{one.asset: one.price for one in market.assets}}

    def parameters(self, parts: Parts, market: Market) -> tuple[tuple[str, str], ...]:
        """Return what governance sets: all of it is in the code, but for the pauses."""
        return tuple(_parameters(parts, market))

    def doubt(self, before: Market, after: Market) -> str:
        """Say which index went back: they only grow."""
        return doubt(before, after)

    def view_verdict(self, answer: Value) -> Verdict:
        """Return what the view says: yes or no, and no values. Raises UnknownStateError for another answer."""
        falls = _yes_or_no(answer)
        return Verdict(liquidatable=falls, health_wad=0 if falls else None, collateral_base=0, debt_base=0)

    def differs(self, market: Market, account: Account, answer: Value, at_s: int) -> tuple[Difference, ...]:  # noqa: ARG002
        """Return whether the view differs. Raises UnknownStateError where it should have reverted."""
        ours, said = position(market, account, stored(market)).falls, _yes_or_no(answer)
        return () if ours == said else (Difference(what="isLiquidatable", ours=str(ours), chain=str(said)),)

    # -- what is counted

    def columns(self, market: Market, at_s: int) -> Columns:
        """Return a column for each asset and one for debts of the base token. Raises UnknownStateError."""
        per_unit = None if market.base_price is None else Fraction(market.base_price, market.base_scale)
        debt = Column(
            asset=f"0x{market.base.hex()}",
            collateral=Fraction(0),
            raw=Fraction(0),
            debt=None if per_unit is None else per_unit * Fraction(accrued(market, at_s).borrow, INDEX),
            collateral_step=Fraction(0),
            debt_step=(per_unit or Fraction(0)) + 1,
            is_counted=False,
        )
        return Columns(
            all=(debt, *(_column(one) for one in market.assets)),
            band=Band(constant=Fraction(1)),
            block_number=market.block.number,
            block_hash=market.block.hash,
            time_s=at_s,
        )

    def legs(self, market: Market, account: Account, at_s: int) -> Legs:  # noqa: ARG002
        """Return the principal of a debt, and collateral by asset behind it: new assets come last."""
        collateral = {at + 1: balance for at, balance in account.balances.items()}
        return Legs(collateral=collateral, debt={0: max(-account.principal, 0)})

    def verdict(self, market: Market, account: Account, at_s: int) -> Verdict:
        """Return what the contract would say in a block of this time, once interest is added.

        Raises UnknownStateError where it would revert.
        """
        found, view = position(market, account, accrued(market, at_s)), position(market, account, stored(market))
        return Verdict(
            liquidatable=found.falls,
            health_wad=found.health_wad,
            collateral_base=found.collateral,
            debt_base=found.debt,
            blocked=blocked(market, account) if found.falls else "",
            details={"isLiquidatable": int(view.falls), "isBorrowCollateralized": int(view.lending >= view.debt)},
        )

    def critical_price(self, market: Market, account: Account, asset: bytes, at_s: int) -> Region:
        """Return at which prices of an asset the account can be liquidated. Raises UnknownStateError."""
        return critical_price(market, account, asset, accrued(market, at_s))

    def liquidation(
        self,
        market: Market,
        account: Account,
        collateral: bytes,
        debt: bytes,
        amount: int | None,
        at_s: int,
    ) -> Liquidation | Refusal:
        """Return what an absorption brings about, or why it is refused. Raises UnknownStateError."""
        return liquidation(market, account, collateral, debt, amount, at_s)


def _yes_or_no(answer: Value) -> bool:
    if not isinstance(answer, bool):
        raise UnknownStateError("isLiquidatable() answers yes or no, and this is another answer")
    return answer


def _column(asset: Asset) -> Column:
    worth = None if asset.price is None else Fraction(asset.price, asset.scale)
    return Column(
        asset=f"0x{asset.asset.hex()}",
        collateral=None if worth is None else worth * Fraction(asset.liquidate_factor, FACTOR),
        raw=worth,
        debt=Fraction(0),
        # Cut to a unit of prices, and once more behind the factor.
        collateral_step=Fraction(2),
        debt_step=Fraction(0),
    )


# -- what governance sets


def _parameters(parts: Parts, market: Market) -> Iterator[tuple[str, str]]:
    yield "version", KNOWN
    yield "base token price feed", f"0x{market.base_feed.hex()}"
    yield "store front price factor", _percent(market.store_front_factor)
    yield "minimum borrow", str(market.borrow_min)
    yield "target reserves", str(market.target_reserves)
    for at, name in enumerate(_PAUSES):
        yield f"{name} paused", "yes" if market.pauses >> at & 1 else "no"
    yield from ((name, str(value)) for name, value in market.rates)
    for one in market.assets:
        name = parts.name(one.asset)
        yield f"{name} borrow collateral factor", _percent(one.borrow_factor)
        yield f"{name} liquidate collateral factor", _percent(one.liquidate_factor)
        yield f"{name} liquidation factor", _percent(one.liquidation_factor)
        yield f"{name} supply cap", str(one.supply_cap)
        yield f"{name} price feed", f"0x{one.feed.hex()}"


def _percent(factor: int) -> str:
    return f"{Decimal(factor).scaleb(-16).normalize():f} %"
