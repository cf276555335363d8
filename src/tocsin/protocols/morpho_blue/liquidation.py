"""What a liquidation brings about: what is repaid, what is seized for it, what lenders lose, or why it is refused."""

from dataclasses import dataclass, replace

from tocsin.protocols.base import WAD, Liquidation, Refusal
from tocsin.protocols.morpho_blue.accrual import accrued
from tocsin.protocols.morpho_blue.arithmetic import (
    RevertError,
    half_word,
    mul_div_down,
    mul_div_up,
    stored,
    to_assets_down,
    to_assets_up,
    to_shares_down,
    to_shares_up,
    w_div_down,
    w_div_up,
    w_mul_down,
    word,
)
from tocsin.protocols.morpho_blue.market import PRICE_SCALE, Account, Market, Totals
from tocsin.protocols.morpho_blue.valuation import owed, priced, worth_of

CURSOR = 3 * 10**17
"""How much of what a loan-to-value leaves free a liquidator may have."""
MOST_INCENTIVE = 115 * 10**16

HEALTHY = Refusal(reason="position is healthy")
NOTHING = Refusal(reason="inconsistent input")
"""Nothing is offered, or both collateral and shares are named."""
NOT_HERE = Refusal(reason="no such pair in the market")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a liquidator asks for: one of both."""

    seized: int = 0
    """Units of collateral."""
    shares: int = 0
    """Of debt, to repay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A liquidation with what the contract stores after it."""

    repaid: int
    repaid_shares: int
    seized: int
    bad_assets: int
    """What lenders lose: written off as soon as no collateral is left."""
    bad_shares: int
    account: Account
    totals: Totals


def incentive(lltv: int) -> int:
    """Return what a liquidator gets for one whole that is repaid, with 18 decimals. Raises RevertError."""
    return min(MOST_INCENTIVE, w_div_down(WAD, word(WAD - w_mul_down(CURSOR, word(WAD - lltv)))))


def settle(market: Market, account: Account, at_s: int, *, seized: int = 0, shares: int = 0) -> Settled | Refusal:
    """Return what `liquidate` does in a block of this time for just so much collateral, or so many shares of debt.

    Raises UnknownStateError for a time before the market's last update.
    """
    if (seized == 0) == (shares == 0):
        return NOTHING
    try:
        totals = accrued(market, at_s)
        price = priced(market)
        if not worth_of(account, totals, price, market.terms.lltv).falls:
            return HEALTHY
        if seized:
            shares = _shares_for(market, totals, price, seized)
        else:
            seized = seized_for(market, totals, price, shares)
        return _settled(account, totals, seized, shares)
    except RevertError as error:
        return Refusal(reason=str(error))


def _shares_for(market: Market, totals: Totals, price: int, seized: int) -> int:
    quoted = mul_div_up(seized, price, PRICE_SCALE)
    assets = w_div_up(quoted, incentive(market.terms.lltv))
    return to_shares_up(assets, totals.borrow_assets, totals.borrow_shares)


def seized_for(market: Market, totals: Totals, price: int, shares: int) -> int:
    """Return what is seized for shares of debt. Raises RevertError."""
    assets = to_assets_down(shares, totals.borrow_assets, totals.borrow_shares)
    return mul_div_down(w_mul_down(assets, incentive(market.terms.lltv)), PRICE_SCALE, price)


def _settled(account: Account, totals: Totals, seized: int, shares: int) -> Settled:
    repaid = to_assets_up(shares, totals.borrow_assets, totals.borrow_shares)
    after = replace(
        account,
        shares=stored(account.shares - half_word(shares)),
        collateral=stored(account.collateral - half_word(seized)),
    )
    left = replace(
        totals,
        borrow_shares=stored(totals.borrow_shares - shares),
        borrow_assets=max(totals.borrow_assets - repaid, 0),
    )
    bad_assets = bad_shares = 0
    if not after.collateral:
        bad_shares = after.shares
        bad_assets = min(left.borrow_assets, owed(after, left))
        after = replace(after, shares=0)
        left = replace(
            left,
            borrow_assets=left.borrow_assets - bad_assets,
            supply_assets=stored(left.supply_assets - bad_assets),
            borrow_shares=stored(left.borrow_shares - bad_shares),
        )
    return Settled(
        repaid=repaid,
        repaid_shares=shares,
        seized=seized,
        bad_assets=bad_assets,
        bad_shares=bad_shares,
        account=after,
        totals=left,
    )


def liquidation(
    market: Market, account: Account, collateral: bytes, debt: bytes, amount: int | None, at_s: int
) -> Liquidation | Refusal:
    """Return what a liquidator who offers `amount` of the loan token brings about; None for as much as is allowed.

    Raises UnknownStateError for a time before the market's last update.
    """
    if (collateral, debt) != (market.terms.collateral, market.terms.loan):
        return NOT_HERE
    asked = asked_for(market, account, amount, at_s)
    found = settle(market, account, at_s, seized=asked.seized, shares=asked.shares)
    if isinstance(found, Refusal):
        return found
    return Liquidation(
        repaid=found.repaid,
        seized=found.seized,
        deficits=((debt, found.bad_assets),) if found.bad_assets else (),
        debt_left=owed(found.account, found.totals),
        collateral_left=found.account.collateral,
    )


def asked_for(market: Market, account: Account, amount: int | None, at_s: int) -> Asked:
    """Return what a liquidator asks for who has so much of the loan token; None: who has enough.

    The contract takes shares of debt, or collateral, never an amount. So it is the most shares that the amount pays
    for, and where those would seize more collateral than there is, all collateral. That never costs more shares: they
    seize a unit more at least, so what there is is quoted at no more than they are worth with the incentive, which is
    whole, and roundings up bring that back to them at most.
    """
    shares = account.shares if amount is None else _shares_of(market, account, amount, at_s)
    if shares and _takes_too_much(market, account, shares, at_s):
        return Asked(seized=account.collateral)
    return Asked(shares=shares)


def _shares_of(market: Market, account: Account, amount: int, at_s: int) -> int:
    """Return the most shares that an amount pays for, none where the contracts revert."""
    try:
        totals = accrued(market, at_s)
        return min(account.shares, to_shares_down(amount, totals.borrow_assets, totals.borrow_shares))
    except RevertError:
        return account.shares


def _takes_too_much(market: Market, account: Account, shares: int, at_s: int) -> bool:
    """Tell whether more would be seized for these shares than there is; all, where the price is 0."""
    try:
        return seized_for(market, accrued(market, at_s), priced(market), shares) > account.collateral
    except RevertError:
        return market.price == 0
