"""Aave v3's rules at one revision, in the shape that every protocol's have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from tocsin.chain.abi import Value
from tocsin.model.block import BlockRef
from tocsin.protocols.aave_v3 import assembly, view
from tocsin.protocols.aave_v3.critical import critical_price
from tocsin.protocols.aave_v3.liquidation import blocked, liquidation
from tocsin.protocols.aave_v3.locating import parts
from tocsin.protocols.aave_v3.market import BPS, RAY, Account, Market, doubt
from tocsin.protocols.aave_v3.parameters import parameters
from tocsin.protocols.aave_v3.reading import plan
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.aave_v3.valuation import (
    NO_DEBT,
    AccountData,
    Live,
    Terms,
    account_data,
    live_reserves,
    stable_debt,
    used,
)
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
    asked_view,
)
from tocsin.protocols.places import Base, Difference, Parts, Target, Unread
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.table import Legs

NAME = "aave-v3"
STABLE = "stable"
"""The parameter set of debts at a stable rate."""

_LIMIT = 2 * WAD
"""Base units of debt from which on the division of health, which rounds to the nearest, could lift it over the line."""

_Places = Mapping[tuple[int, str], int]


@dataclass(frozen=True, slots=True)
class AaveRules:
    """The rules of one revision."""

    of: Revision

    @property
    def kind(self) -> str:
        return NAME

    @property
    def revision(self) -> str:
        """What `POOL_REVISION()` answers."""
        return self.of.number

    @property
    def exactness(self) -> Exactness:
        return self.of.exactness

    @property
    def plan(self) -> Plan:
        return plan(self.of)

    def parts(self, target: Target) -> Reading[Parts]:
        """Find the contracts of a market, from its pool. Raises UnknownStateError."""
        return parts(self.of, target)

    def market(self, parts: Parts, block: BlockRef) -> Reading[Market]:
        """Read the pool, with all reserves, prices and categories. Raises UnknownStateError."""
        return assembly.market(self.of, parts, block)

    def accounts(self, parts: Parts, market: Market, addresses: Sequence[bytes]) -> Reading[Sequence[Account | Unread]]:
        """Read accounts: what they have of the reserves that they use or owe."""
        return assembly.accounts(self.of, parts, market, addresses)

    def view(self, parts: Parts, addresses: Sequence[bytes]) -> Reading[Sequence[Value | Unread]]:
        """Ask `getUserAccountData` of each account."""
        return asked_view(self.plan, parts, addresses)

    def base(self, parts: Parts, market: Market) -> Base:
        """Return US dollars, or the token that the oracle counts in. Raises UnknownStateError for no power of ten."""
        decimals = len(str(market.base_unit)) - 1
        if market.base_unit != 10**decimals:
            raise UnknownStateError(f"the oracle's unit is {market.base_unit}, which is no power of ten")
        name = parts.name(market.base_currency) if any(market.base_currency) else "USD"
        return Base(name=name, decimals=decimals)

    def prices(self, market: Market) -> Mapping[bytes, int | None]:
        """Return each reserve's price, in base units per whole token."""
        return {each.asset: each.price for each in market.reserves if each is not None}

    def parameters(self, parts: Parts, market: Market) -> tuple[tuple[str, str], ...]:
        """Return what governance sets."""
        return parameters(self.of, parts, market)

    def doubt(self, before: Market, after: Market) -> str:
        """Say which index went back, of a reserve that is the same: they only grow."""
        return doubt(before, after)

    def view_verdict(self, answer: Value) -> Verdict:
        """Return what the pool's six numbers say."""
        return view.verdict(answer)

    def differs(self, market: Market, account: Account, answer: Value, at_s: int) -> tuple[Difference, ...]:
        """Return which of the six numbers differ. Raises UnknownStateError where the pool should have reverted."""
        return view.differences(account_data(self.of, market, account, at_s), answer)

    def columns(self, market: Market, at_s: int) -> Columns:
        """Return the columns of all reserves under all their parameter sets. Raises UnknownStateError."""
        share = Fraction(0) if self.of.directed else Fraction(1, BPS)
        return Columns(
            all=tuple(_columns(self.of, market, at_s)),
            band=Band(constant=Fraction(2), raw_share=share, limit=Fraction(_LIMIT)),
            block_number=market.block.number,
            block_hash=market.block.hash,
            time_s=at_s,
        )

    def legs(self, market: Market, account: Account, at_s: int) -> Legs:
        """Return an account's shares by column. Raises UnknownStateError."""
        places = _places(self.of, market)
        collateral: dict[int, int] = {}
        debt: dict[int, int] = {}
        always = False
        for live, holding in used(live_reserves(self.of, market, at_s), account):
            at, terms = live.reserve.id, live.terms(account.category)
            mine = places[at, str(account.category) if terms.inside else ""]
            if account.uses(at) and terms.counts:
                collateral[mine] = holding.supplied
            if account.borrows(at):
                debt[mine] = holding.borrowed
                stable = stable_debt(self.of, holding, at_s)
                if stable:
                    always = True
                    debt[places[at, STABLE]] = stable
        return Legs(collateral=collateral, debt=debt, always_exact=always)

    def verdict(self, market: Market, account: Account, at_s: int) -> Verdict:
        """Return what the pool would say in a block of this time. Raises UnknownStateError where it would revert."""
        data = account_data(self.of, market, account, at_s)
        falls = data.health < WAD
        return Verdict(
            liquidatable=falls,
            health_wad=None if data.health == NO_DEBT else data.health,
            collateral_base=data.collateral,
            debt_base=data.debt,
            blocked=self._blocked(market, account, data, at_s) if falls else "",
            details={
                "availableBorrowsBase": data.available,
                "currentLiquidationThreshold": data.threshold,
                "ltv": data.ltv,
            },
        )

    def _blocked(self, market: Market, account: Account, data: AccountData, at_s: int) -> str:
        """Return why none of its pairs can be liquidated now: the reason of the last, empty if one can be."""
        live = tuple(each for each, _ in used(live_reserves(self.of, market, at_s), account))
        reason = "no collateral"
        for held in live:
            if not account.uses(held.reserve.id) or not held.own.counts:
                continue
            for owed in live:
                if account.borrows(owed.reserve.id):
                    refused = blocked(self.of, market, held, owed, data.health, at_s)
                    if refused is None:
                        return ""
                    reason = refused.reason
        return reason

    def critical_price(self, market: Market, account: Account, asset: bytes, at_s: int) -> Region:
        """Return at which prices of an asset the account can be liquidated. Raises UnknownStateError."""
        return critical_price(self.of, market, account, asset, at_s)

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
        return liquidation(self.of, market, account, collateral, debt, amount, at_s)


@lru_cache(maxsize=8)
def _places(revision: Revision, market: Market) -> _Places:
    """Return the place of each column by reserve and parameter set."""
    return {key: place for place, key in enumerate(_keys(revision, market))}


def _keys(revision: Revision, market: Market) -> Iterator[tuple[int, str]]:
    """Yield reserve and parameter set of each column: its own, those of categories that say otherwise, stable debt."""
    at_s = max((each.updated_s for each in market.reserves if each is not None), default=0)
    for live in live_reserves(revision, market, at_s):
        if live is not None:
            yield live.reserve.id, ""
            yield from (
                (live.reserve.id, str(number)) for number in sorted(live.by_category) if live.by_category[number].inside
            )
            if revision.stable_debt:
                yield live.reserve.id, STABLE


def _columns(revision: Revision, market: Market, at_s: int) -> Iterator[Column]:
    live = live_reserves(revision, market, at_s)
    for at, name in _keys(revision, market):
        of = live[at]
        if of is not None:
            terms = of.by_category[int(name)] if name not in ("", STABLE) else of.own
            yield _column(of, terms, name)


def _column(live: Live, terms: Terms, name: str) -> Column:
    per_unit = None if terms.price is None else Fraction(terms.price, live.unit)
    is_counted = terms.counts and name != STABLE
    raw, debt = _times(per_unit, Fraction(live.supply_index, RAY)), _times(per_unit, Fraction(live.debt_index, RAY))
    raw = raw if is_counted else Fraction(0)
    # A unit of the token may be lost to the shares, at its price, and a base unit to the division by the token's unit.
    step = (per_unit or Fraction(0)) + 1
    return Column(
        asset=f"0x{live.reserve.asset.hex()}",
        parameters=name,
        collateral=_times(raw, Fraction(terms.threshold, BPS)),
        raw=raw,
        debt=per_unit if name == STABLE else debt,
        collateral_step=step,
        debt_step=step,
        is_counted=is_counted,
    )


def _times(factor: Fraction | None, by: Fraction) -> Fraction | None:
    return None if factor is None else factor * by
