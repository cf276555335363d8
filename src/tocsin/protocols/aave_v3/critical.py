"""The exact integer price of one asset at which an account can be liquidated, all other prices as they are.

What the account has of other assets is added up once. Where an asset is on one side only and health comes from the sum,
health is monotone in its price, and halving finds the one crossing. Until 3.4 it comes from an average threshold that
is cut to a basis point: at each step of that average health falls back a little, so there may be several crossings, and
each stretch of one average is looked at by itself. Where an asset is on both sides, roundings make health shake near
the line, and each price there is tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.protocols.aave_v3.market import BPS, Account, Market
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.aave_v3.valuation import debt_value, health, live_reserves, owed, priced, supplied, used
from tocsin.protocols.base import WAD, Region, UnknownStateError
from tocsin.protocols.integers import half_up_div
from tocsin.protocols.prices import (
    LEAST,
    MOST,
    Test,
    between,
    falling,
    falling_between,
    first_true,
    last_true,
    rising,
    scanned,
    whole,
)

_TRIED = 2**16
"""Prices that are tried one by one: a tenth of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """An account as a function of one price: what the others come to, and its own amounts of the asset."""

    revision: Revision
    collateral: int
    weighted: int
    debt: int
    held: int
    threshold: int
    owed: int
    unit: int

    def sums(self, price: int) -> tuple[int, int, int]:
        """Return collateral, weighted collateral and debt at a price."""
        value = self.held * price // self.unit
        more = debt_value(self.revision, self.owed, price, self.unit)
        return self.collateral + value, self.weighted + value * self.threshold, self.debt + more

    def falls(self, price: int) -> bool:
        """Tell whether the account can be liquidated at a price."""
        return health(self.revision, *self.sums(price)) < WAD

    @property
    def slope(self) -> int:
        """By how much weighted collateral gains on debt when one unit of the price is won, times the asset's unit."""
        return self.threshold * self.held - BPS * self.owed


def exposure(revision: Revision, market: Market, account: Account, asset: bytes, at_s: int) -> Exposure:
    """Return an account as a function of the oracle's price of an asset. Raises UnknownStateError."""
    collateral = weighted = debt = held = threshold = due = 0
    unit = 1
    for live, holding in used(live_reserves(revision, market, at_s), account):
        at, terms = live.reserve.id, live.terms(account.category)
        amount = supplied(revision, live, holding) if account.uses(at) and terms.counts else 0
        owes = owed(revision, live, holding, at_s) if account.borrows(at) else 0
        replaced = terms.inside and not revision.bitmaps and market.categories[account.category].price
        if live.unknown:
            raise UnknownStateError(live.unknown)
        if live.reserve.asset == asset and not replaced:
            held, threshold, due, unit = amount, terms.threshold, owes, live.unit
            continue
        value = amount * priced(live, terms) // live.unit
        collateral += value
        weighted += value * terms.threshold
        debt += debt_value(revision, owes, priced(live, terms), live.unit)
    return Exposure(
        revision=revision,
        collateral=collateral,
        weighted=weighted,
        debt=debt,
        held=held,
        threshold=threshold,
        owed=due,
        unit=unit,
    )


def critical_price(revision: Revision, market: Market, account: Account, asset: bytes, at_s: int) -> Region:
    """Return at which of the oracle's prices of an asset an account can be liquidated. Raises UnknownStateError."""
    return region(asset, exposure(revision, market, account, asset, at_s))


def region(asset: bytes, of: Exposure) -> Region:
    """Return at which prices an exposure falls."""
    revision = of.revision
    if not of.held and not of.owed:
        return whole(asset, holds=of.falls(LEAST))
    if not of.held:
        return rising(asset, of.falls)
    if not of.owed and revision.directed:
        return falling(asset, of.falls) if of.threshold else whole(asset, holds=of.falls(LEAST))
    if not of.owed and of.threshold > 1:
        return _by_average(asset, of)
    return _shaking(asset, of)


# -- health by an average that is cut


def _by_average(asset: bytes, of: Exposure) -> Region:
    """Return the region of collateral whose weight is counted by a cut average: C * floor(S / C) is in (S - C, S]."""
    if not of.debt:
        return whole(asset, holds=False)
    sure = last_true(lambda price: _falls(of, _at_most(of, price)), LEAST, MOST)
    healthy = first_true(lambda price: not _falls(of, _at_least(of, price)), LEAST, MOST)
    low, high = (sure or LEAST - 1) + 1, (MOST if healthy is None else healthy - 1)
    return falling_between(asset, _spans(of, low, high), sure)


def _at_most(of: Exposure, price: int) -> int:
    _, weighted, _ = of.sums(price)
    return half_up_div(weighted, BPS)


def _at_least(of: Exposure, price: int) -> int:
    collateral, weighted, _ = of.sums(price)
    return half_up_div(max(weighted - collateral + 1, 0), BPS)


def _falls(of: Exposure, counted: int) -> bool:
    return half_up_div(counted * WAD, of.debt) < WAD


def _average(of: Exposure, price: int) -> int:
    collateral, weighted, _ = of.sums(price)
    return weighted // collateral if collateral else 0


def _spans(of: Exposure, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield the prices between two at which the account falls, as spans: those of one average, to where it holds."""
    if low > high:
        return
    rises = _average(of, low) <= _average(of, high)
    while low <= high:
        average = _average(of, low)
        end = last_true(_same_average(of, average, rises=rises), low, high)
        end = low if end is None else end
        fallen = last_true(of.falls, low, end)
        if fallen is not None:
            yield low, fallen
        low = end + 1


def _same_average(of: Exposure, average: int, *, rises: bool) -> Test:
    return lambda price: _average(of, price) <= average if rises else _average(of, price) >= average


# -- an asset on both sides


def _shaking(asset: bytes, of: Exposure) -> Region:
    """Return the region of an asset on both sides, whose roundings do not move together."""
    slope, margin = of.slope, of.weighted - BPS * of.debt
    if not slope:
        return _level(asset, of)
    # Off by a base unit at the threshold and one of debt, half a unit each where a product and health are rounded.
    shake = BPS * 3 // 2 + of.threshold + of.debt // 10**17 + 1
    cut = 0 if of.revision.directed else 1
    near = [(shake - margin) * of.unit // slope, (-shake - margin) * of.unit // slope]
    if cut:
        flatter = slope - of.held
        if (flatter > 0) != (slope > 0) or not flatter:
            return _level(asset, of)
        near.append((shake - margin + of.collateral) * of.unit // flatter)
    low, high = max(min(near) - 1, LEAST), min(max(near) + 1, MOST)
    is_below = slope > 0
    if low > high:
        return whole(asset, holds=of.falls(LEAST if high < LEAST else MOST))
    if high - low < _TRIED:
        return scanned(asset, of.falls, low, high, is_below=is_below)
    return between(asset, low, high, is_below=is_below)


def _level(asset: bytes, of: Exposure) -> Region:
    """Return what can be said where no price changes health but by its roundings: as it is at both ends."""
    ends = of.falls(LEAST), of.falls(MOST)
    if ends[0] == ends[1]:
        return Region(asset=asset, reach=whole(asset, holds=ends[0]).reach, exact=False)
    return between(asset, LEAST, MOST, is_below=ends[0])
