"""What a liquidation brings about: how much may be repaid, what is seized for it, what is refused or written off."""

from dataclasses import dataclass

from tocsin.protocols.aave_v3.growth import ray_mul
from tocsin.protocols.aave_v3.market import BPS, RAY, Account, Holding, Market
from tocsin.protocols.aave_v3.revisions import Revision
from tocsin.protocols.aave_v3.valuation import (
    AccountData,
    Live,
    account_data,
    debt_value,
    live_reserves,
    owed,
    stable_debt,
    supplied,
    variable_debt,
)
from tocsin.protocols.base import WAD, Liquidation, Refusal, UnknownStateError
from tocsin.protocols.integers import ceil_div, half_up_div

CLOSE_FACTOR = 5_000
"""Basis points of a debt that one liquidation repays at most, while health is above `CLOSE_HEALTH`."""
CLOSE_HEALTH = 95 * 10**16
SMALL = 2_000 * 10**8
"""Base units: a reserve's collateral or debt below it may be liquidated whole (since 3.3)."""
LEFTOVER = 1_000 * 10**8
"""Base units: less may not be left of both (since 3.3)."""
SENTINEL_HEALTH = 95 * 10**16
"""Below it a sentinel is not asked."""

HEALTHY = Refusal(reason="health factor not below threshold")
DUST = Refusal(reason="must not leave dust")
PAUSED = Refusal(reason="reserve paused")
INACTIVE = Refusal(reason="reserve inactive")
GRACE = Refusal(reason="liquidation grace period")
SENTINEL = Refusal(reason="price oracle sentinel")
NOT_COLLATERAL = Refusal(reason="collateral cannot be liquidated")
NOT_OWED = Refusal(reason="currency not borrowed by user")
NO_PRICE = Refusal(reason="no price of the collateral")
NOTHING = Refusal(reason="nothing is repaid")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A collateral and a debt of an account, valued for a liquidation."""

    collateral: Live
    debt: Live
    held: int
    held_shares: int
    owed: int
    owed_shares: int
    """Of what is owed at the variable rate."""
    stable: int
    collateral_price: int
    debt_price: int
    bonus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seizure:
    repaid: int
    taken: int
    """By the liquidator, without the fee."""
    fee: int
    value: int
    """Of both, in base units."""


def blocked(revision: Revision, market: Market, collateral: Live, debt: Live, health: int, at_s: int) -> Refusal | None:
    """Return why a pair of reserves cannot be liquidated now, whatever the account's debts; None if it can."""
    words = (collateral.reserve.configuration, debt.reserve.configuration)
    if not all(word.active for word in words):
        return INACTIVE
    if any(word.paused for word in words):
        return PAUSED
    if revision.sentinel and market.sentinel_allows is False and health >= SENTINEL_HEALTH:
        return SENTINEL
    if revision.grace and max(collateral.reserve.grace_until_s, debt.reserve.grace_until_s) >= at_s:
        return GRACE
    return None


def liquidation(
    revision: Revision,
    market: Market,
    account: Account,
    collateral: bytes,
    debt: bytes,
    amount: int | None,
    at_s: int,
) -> Liquidation | Refusal:
    """Return what a liquidator who offers `amount` of the debt's asset brings about; None for as much as is allowed.

    Raises UnknownStateError where the contracts revert for want of a price.
    """
    live = live_reserves(revision, market, at_s)
    seized, repaid = _live_of(live, collateral), _live_of(live, debt)
    data = account_data(revision, market, account, at_s)
    refused = blocked(revision, market, seized, repaid, data.health, at_s)
    if refused is not None:
        return refused
    if data.health >= WAD:
        return HEALTHY
    if not account.uses(seized.reserve.id) or (
        revision.skips_worthless and seized.reserve.configuration.threshold == 0
    ):
        return NOT_COLLATERAL
    _refuse_discounts(live, account)
    pair = _pair(revision, market, account, seized, repaid, at_s)
    if pair.owed == 0:
        return NOT_OWED
    if pair.collateral_price == 0 or pair.debt_price == 0:
        return NO_PRICE
    return _settle(revision, market, account, pair, data, amount, at_s)


def _refuse_discounts(live: tuple[Live | None, ...], account: Account) -> None:
    """Raise UnknownStateError where interest is owed with a discount: health leaves it out, and liquidations do not."""
    for each in live:
        if each is not None and each.reserve.discounted and account.borrows(each.reserve.id):
            raise UnknownStateError(f"debts of 0x{each.reserve.asset.hex()} have a discount on interest")


def _live_of(live: tuple[Live | None, ...], asset: bytes) -> Live:
    for each in live:
        if each is not None and each.reserve.asset == asset:
            return each
    raise UnknownStateError(f"the market has no reserve of 0x{asset.hex()}")


def _pair(revision: Revision, market: Market, account: Account, collateral: Live, debt: Live, at_s: int) -> _Pair:
    of_collateral = account.holdings.get(collateral.reserve.id, Holding())
    of_debt = account.holdings.get(debt.reserve.id, Holding())
    terms, debt_price = collateral.terms(account.category), debt.own.price
    collateral_price = collateral.own.price
    category = market.categories.get(account.category)
    if not revision.bitmaps and category is not None and category.has_source:
        # The debt counts with the category's price whatever the asset: in a category nothing else can be borrowed.
        debt_price = category.price
        collateral_price = category.price if terms.inside else collateral_price
    if collateral_price is None or debt_price is None:
        raise UnknownStateError("the oracle has no price of what is seized or repaid: the contracts revert")
    return _Pair(
        collateral=collateral,
        debt=debt,
        held=supplied(revision, collateral, of_collateral),
        held_shares=of_collateral.supplied,
        owed=owed(revision, debt, of_debt, at_s),
        owed_shares=of_debt.borrowed,
        stable=stable_debt(revision, of_debt, at_s),
        collateral_price=collateral_price,
        debt_price=debt_price,
        bonus=terms.bonus,
    )


def _settle(
    revision: Revision, market: Market, account: Account, pair: _Pair, data: AccountData, amount: int | None, at_s: int
) -> Liquidation | Refusal:
    most = _most_repaid(revision, pair, data)
    offered = most if amount is None else min(amount, most)
    seizure = _seizure(revision, pair, offered)
    if revision.leftovers and _leaves_dust(revision, pair, seizure):
        return DUST
    nothing_left = revision.leftovers and _nothing_left(revision, pair, seizure, data)
    if _burns_nothing(revision, pair, pair.owed if nothing_left else seizure.repaid, seizure.taken):
        return NOTHING
    left, fee = _after_fee(revision, pair, seizure)
    deficits = _deficits(revision, market, account, pair, seizure.repaid, at_s) if nothing_left else ()
    return Liquidation(
        repaid=seizure.repaid,
        seized=seizure.taken + fee,
        fee=fee,
        deficits=deficits,
        debt_left=0 if nothing_left else _debt_left(revision, pair, seizure.repaid),
        collateral_left=supplied(revision, pair.collateral, Holding(supplied=left)),
    )


def _most_repaid(revision: Revision, pair: _Pair, data: AccountData) -> int:
    if data.health <= CLOSE_HEALTH:
        return pair.owed
    if not revision.leftovers:
        return half_up_div(pair.owed * CLOSE_FACTOR, BPS)
    owed_value = debt_value(revision, pair.owed, pair.debt_price, pair.debt.unit)
    held_value = pair.held * pair.collateral_price // pair.collateral.unit
    half = half_up_div(data.debt * CLOSE_FACTOR, BPS)
    if min(owed_value, held_value) < SMALL or owed_value <= half:
        return pair.owed
    return half * pair.debt.unit // pair.debt_price


def _seizure(revision: Revision, pair: _Pair, offered: int) -> _Seizure:
    base = pair.debt_price * offered * pair.collateral.unit // (pair.collateral_price * pair.debt.unit)
    wanted = base * pair.bonus // BPS if revision.directed_seizure else half_up_div(base * pair.bonus, BPS)
    taken, repaid = wanted, offered
    if wanted > pair.held:
        taken = pair.held
        worth = pair.collateral_price * taken * pair.debt.unit // (pair.debt_price * pair.collateral.unit)
        divide = ceil_div if revision.directed else half_up_div
        repaid = divide(worth * BPS, pair.bonus)
    value = taken * pair.collateral_price // pair.collateral.unit
    fee = _fee(revision, taken, pair.bonus, pair.collateral.reserve.configuration.protocol_fee)
    return _Seizure(repaid=repaid, taken=taken - fee, fee=fee, value=value)


def _fee(revision: Revision, taken: int, bonus: int, share: int) -> int:
    if share == 0:
        return 0
    if revision.directed_seizure:
        return ceil_div((taken - taken * BPS // bonus) * share, BPS)
    return half_up_div((taken - half_up_div(taken * BPS, bonus)) * share, BPS)


def _leaves_dust(revision: Revision, pair: _Pair, seizure: _Seizure) -> bool:
    debt_left = pair.owed - seizure.repaid
    held_left = pair.held - seizure.taken - seizure.fee
    if debt_left <= 0 or held_left <= 0:
        return False
    held_value = held_left * pair.collateral_price // pair.collateral.unit
    return min(debt_value(revision, debt_left, pair.debt_price, pair.debt.unit), held_value) < LEFTOVER


def _nothing_left(revision: Revision, pair: _Pair, seizure: _Seizure, data: AccountData) -> bool:
    """Tell whether no collateral is left in base units, so that debts are written off."""
    if not revision.directed_seizure:
        return seizure.value == data.collateral
    index = pair.collateral.supply_index
    shares = min(ceil_div(seizure.taken * RAY, index) + ceil_div(seizure.fee * RAY, index), pair.held_shares)
    return (shares * index // RAY) * pair.collateral_price // pair.collateral.unit == data.collateral


def _burns_nothing(revision: Revision, pair: _Pair, repaid: int, taken: int) -> bool:
    """Tell whether no share would be burnt of either side, which the tokens refuse."""
    debt_index, supply_index = pair.debt.debt_index, pair.collateral.supply_index
    if revision.directed:
        return repaid * RAY // debt_index == 0 or taken == 0
    burnt = repaid if pair.stable and repaid > pair.owed - pair.stable else half_up_div(repaid * RAY, debt_index)
    return burnt == 0 or half_up_div(taken * RAY, supply_index) == 0


def _after_fee(revision: Revision, pair: _Pair, seizure: _Seizure) -> tuple[int, int]:
    """Return the shares that are left, and what of the fee is paid: no more than the liquidator has left."""
    index = pair.collateral.supply_index
    divide = ceil_div if revision.directed else half_up_div
    left = pair.held_shares - divide(seizure.taken * RAY, index)
    fee_shares = divide(seizure.fee * RAY, index)
    if fee_shares <= left:
        return left - fee_shares, seizure.fee
    return 0, left * index // RAY if revision.directed else ray_mul(left, index)


def _debt_left(revision: Revision, pair: _Pair, repaid: int) -> int:
    """Return what is owed once shares are burnt for what was repaid: of the variable debt first."""
    variable = pair.owed - pair.stable
    if repaid >= variable and pair.stable:
        return pair.stable - (repaid - variable)
    divide = int.__floordiv__ if revision.directed else half_up_div
    burnt = divide(repaid * RAY, pair.debt.debt_index)
    left = Holding(borrowed=pair.owed_shares - burnt)
    return variable_debt(revision, pair.debt, left) + pair.stable


def _deficits(
    revision: Revision, market: Market, account: Account, pair: _Pair, repaid: int, at_s: int
) -> tuple[tuple[bytes, int], ...]:
    """Return what is written off: the rest of the repaid debt, and all of every other."""
    found = []
    for live in live_reserves(revision, market, at_s):
        if live is None or not account.borrows(live.reserve.id) or not live.reserve.configuration.active:
            continue
        amount = owed(revision, live, account.holdings.get(live.reserve.id, Holding()), at_s)
        amount -= repaid if live.reserve.asset == pair.debt.reserve.asset else 0
        if amount:
            found.append((live.reserve.asset, amount))
    return tuple(found)
