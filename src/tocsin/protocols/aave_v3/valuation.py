"""What an account has and owes at a time: the six numbers of `getUserAccountData`, by a revision's own roundings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from tocsin.protocols.aave_v3.growth import compound, debt_index, ray_mul, supply_index
from tocsin.protocols.aave_v3.market import BPS, RAY, Account, Category, Holding, Market, Reserve
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.base import WAD, UnknownStateError
from tocsin.protocols.integers import ceil_div, fitting, half_up_div

_NOTHING = Holding()
_MOST = 2**256


@dataclass(frozen=True, slots=True)
class Terms:
    """How a reserve counts for accounts of one category: basis points, and the price they are valued at."""

    threshold: int
    ltv: int
    bonus: int
    price: int | None
    counts: bool
    """Whether it counts as collateral at all."""
    inside: bool
    """Whether the category's terms are taken, not its own."""


@dataclass(frozen=True, slots=True)
class Live:
    """A reserve at a time."""

    reserve: Reserve
    supply_index: int
    debt_index: int
    unit: int
    own: Terms
    by_category: Mapping[int, Terms]
    unknown: str = ""
    """Why it cannot be valued at this time: the contracts revert for whoever uses or owes it, and for nobody else."""

    def terms(self, category: int) -> Terms:
        return self.by_category.get(category, self.own)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountData:
    """What an account comes to. The first six are what the pool itself answers; `health` is 2^256 - 1 without debt."""

    collateral: int
    debt: int
    available: int
    threshold: int
    ltv: int
    health: int
    weighted: int
    """Each collateral times its threshold, in base units times basis points."""


NO_DEBT = _MOST - 1


@lru_cache(maxsize=64)
def live_reserves(revision: Revision, market: Market, at_s: int) -> tuple[Live | None, ...]:
    """Return a market's reserves as they are at a time. Raises UnknownStateError for one before they were updated.

    One whose indexes overflow is there, without a price.
    """
    return tuple(None if each is None else _live(revision, market, each, at_s) for each in market.reserves)


def _live(revision: Revision, market: Market, reserve: Reserve, at_s: int) -> Live:
    seconds = at_s - reserve.updated_s
    if seconds < 0:
        raise UnknownStateError(f"reserve {reserve.id} was updated at {reserve.updated_s}, after {at_s}")
    own = _own(revision, reserve)
    by_category = {number: _terms(revision, reserve, each) for number, each in market.categories.items() if number}
    try:
        supply = supply_index(reserve.liquidity_index, reserve.liquidity_rate, seconds)
        debt = debt_index(revision.growth, reserve.variable_index, reserve.variable_rate, seconds)
    except UnknownStateError as error:
        unpriced = {number: replace(terms, price=None) for number, terms in by_category.items()}
        return Live(reserve, 0, 0, reserve.unit, replace(own, price=None), unpriced, f"reserve {reserve.id}: {error}")
    return Live(reserve, supply, debt, reserve.unit, own, by_category)


def _own(revision: Revision, reserve: Reserve) -> Terms:
    word = reserve.configuration
    counts = word.threshold != 0 or not revision.skips_worthless
    return Terms(word.threshold, word.ltv, word.bonus, reserve.price, counts, inside=False)


def _terms(revision: Revision, reserve: Reserve, category: Category) -> Terms:
    own = _own(revision, reserve)
    if not is_in(revision, reserve, category):
        ltv = 0 if revision.isolated_categories and category.isolated else own.ltv
        return Terms(own.threshold, ltv, own.bonus, own.price, own.counts, inside=False)
    if revision.category_ltv:
        ltv = 0 if category.zero_ltv >> reserve.id & 1 else category.ltv
    else:
        ltv = category.ltv if own.ltv else 0
    price = category.price or own.price if not revision.bitmaps else own.price
    return Terms(category.threshold, ltv, category.bonus, price, own.counts, inside=True)


def is_in(revision: Revision, reserve: Reserve, category: Category) -> bool:
    """Tell whether a reserve is collateral of a category."""
    if revision.bitmaps:
        return bool(category.collateral >> reserve.id & 1)
    return reserve.configuration.category == category.number


def supplied(revision: Revision, live: Live, holding: Holding) -> int:
    """Return what an account has supplied of a reserve, in units of the asset."""
    if not revision.directed:
        return ray_mul(holding.supplied, live.supply_index)
    return fitting(holding.supplied * live.supply_index) // RAY


def variable_debt(revision: Revision, live: Live, holding: Holding) -> int:
    """Return what it owes at the variable rate."""
    if not revision.directed:
        return ray_mul(holding.borrowed, live.debt_index)
    return ceil_div(fitting(holding.borrowed * live.debt_index), RAY)


def stable_debt(revision: Revision, holding: Holding, at_s: int) -> int:
    """Return what it owes at its own stable rate."""
    if not revision.stable_debt or not holding.stable:
        return 0
    return ray_mul(holding.stable, compound(revision.growth, holding.stable_rate, at_s - holding.stable_since_s))


def owed(revision: Revision, live: Live, holding: Holding, at_s: int) -> int:
    """Return all that it owes of a reserve."""
    return variable_debt(revision, live, holding) + stable_debt(revision, holding, at_s)


def debt_value(revision: Revision, amount: int, price: int, unit: int) -> int:
    """Return a debt in base units."""
    value = fitting(amount * price)
    return ceil_div(value, unit) if revision.directed else value // unit


def used(market_live: tuple[Live | None, ...], account: Account) -> Iterator[tuple[Live, Holding]]:
    """Yield the reserves that an account uses as collateral or owes, in their order."""
    flags, at = account.flags, 0
    while flags and at < len(market_live):
        live = market_live[at]
        if flags & 3 and live is not None:
            yield live, account.holdings.get(at, _NOTHING)
        flags >>= 2
        at += 1


def account_data(revision: Revision, market: Market, account: Account, at_s: int) -> AccountData:
    """Return what `getUserAccountData` answers in a block of this time. Raises UnknownStateError where it reverts."""
    collateral = debt = weighted = lent = 0
    for live, holding in used(live_reserves(revision, market, at_s), account):
        at, terms = live.reserve.id, live.terms(account.category)
        price = priced(live, terms)
        if account.uses(at) and terms.counts:
            value = fitting(supplied(revision, live, holding) * price) // live.unit
            collateral += value
            weighted = fitting(weighted + value * terms.threshold)
            lent = fitting(lent + value * terms.ltv)
        if account.borrows(at):
            debt += debt_value(revision, owed(revision, live, holding, at_s), price, live.unit)
    threshold = weighted // collateral if collateral else 0
    ltv = lent // collateral if collateral else 0
    return AccountData(
        collateral=collateral,
        debt=debt,
        available=_available(revision, collateral, debt, ltv),
        threshold=threshold,
        ltv=ltv,
        health=health(revision, collateral, weighted, debt),
        weighted=weighted,
    )


def priced(live: Live, terms: Terms) -> int:
    """Return the price that a reserve counts with. Raises UnknownStateError where it has none, or no indexes."""
    if live.unknown:
        raise UnknownStateError(live.unknown)
    if terms.price is None:
        raise UnknownStateError(f"the oracle has no price of 0x{live.reserve.asset.hex()}: the contracts revert")
    return terms.price


def health(revision: Revision, collateral: int, weighted: int, debt: int) -> int:
    """Return the health factor with 18 decimals, 2^256 - 1 without debt."""
    if debt == 0:
        return NO_DEBT
    if revision.directed:
        return half_up_div(_over(weighted * WAD, debt), debt) // BPS
    counted = half_up_div(_over(collateral * (weighted // collateral), BPS), BPS) if collateral else 0
    return half_up_div(_over(counted * WAD, debt), debt)


def _over(number: int, by: int) -> int:
    """Return a number to which half of a divisor can be added within 256 bits. Raises UnknownStateError."""
    return fitting(number + by // 2) - by // 2


def _available(revision: Revision, collateral: int, debt: int, ltv: int) -> int:
    limit = collateral * ltv // BPS if revision.directed else half_up_div(collateral * ltv, BPS)
    return max(limit - debt, 0)
