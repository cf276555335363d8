"""What a liquidation brings about, or why it is refused: checks in the order of the contracts.

A liquidation adds interest to the two tokens it is about, and to no other: health is asked for with the others as they
are stored. Whoever wants all counted lets interest be added to the others before, as anybody may.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.protocols.base import WAD, Liquidation, Refusal, UnknownStateError
from tocsin.protocols.compound_v2.accrual import Live, accrued, owed, stored, vai_index, vai_owed
from tocsin.protocols.compound_v2.market import Account, Market, VaiDebt
from tocsin.protocols.compound_v2.revisions import Revision
from tocsin.protocols.compound_v2.valuation import checked, position, priced

HEALTHY = Refusal(reason="INSUFFICIENT_SHORTFALL")
TOO_MUCH = Refusal(reason="TOO_MUCH_REPAY")
NOTHING = Refusal(reason="INVALID_CLOSE_AMOUNT_REQUESTED")
UNLISTED = Refusal(reason="MARKET_NOT_LISTED")
NOT_COLLATERAL = Refusal(reason="MARKET_NOT_COLLATERAL")
PROTOCOL_PAUSED = Refusal(reason="protocol is paused")
PAUSED = Refusal(reason="action is paused")
VAI_PAUSED = Refusal(reason="VAI is paused")
VAI_FIRST = Refusal(reason="VAIDebtTooHigh")
SEIZES_TOO_MUCH = Refusal(reason="LIQUIDATE_SEIZE_TOO_MUCH")
NO_BONUS = Refusal(reason="the pool has no incentive for the collateral")
"""Of which the one contract that all goes through cannot keep a share."""
SHORT_TOTAL = Refusal(reason="MATH_ERROR")
"""All that is owed to the market, each debt cut by itself, may come to a little less than one debt."""

VAI = -1
"""The place of VAI where a place of a token that is owed is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """An account, what is seized of it and what is repaid, with both as they are then."""

    revision: Revision
    market: Market
    account: Account
    lives: Sequence[Live]
    seized: int
    repaid: int
    """Place of the token that is owed, or `VAI`."""
    vai_at: int
    """The index of VAI by then."""
    owed: int

    @property
    def forced(self) -> bool:
        if self.repaid == VAI:
            return self.account.vai_forced or (self.market.vai is not None and self.market.vai.forced)
        return self.market.tokens[self.repaid].forced or self.repaid in self.account.forced

    @property
    def most(self) -> int:
        """Return the most that may be repaid at once."""
        return self.owed if self.forced else checked(self.market.close_factor * self.owed) // WAD

    @property
    def incentive(self) -> int:
        pool = 0 if self.repaid == VAI else self.account.pool
        return self.market.terms(self.seized, pool).incentive


def liquidation(
    revision: Revision,
    market: Market,
    account: Account,
    collateral: bytes,
    debt: bytes,
    amount: int | None,
    at_s: int,
) -> Liquidation | Refusal:
    """Return what a liquidator who offers `amount` of what is owed brings about. Tokens are named by their addresses.

    Raises UnknownStateError where the contracts revert for want of a price, or what is asked about was not read.
    """
    seized, repaid = _place(market, collateral), _place_owed(market, debt)
    if seized not in account.entered and not revision.venus:
        raise UnknownStateError(f"what the account has of 0x{collateral.hex()} was not read: it is not collateral")
    both = (seized,) if repaid == VAI else (seized, repaid)
    refused = blocked(revision, market, account, seized, repaid, at_s)
    if refused is not None:
        return refused
    grown = accrued(revision, market, at_s)
    lives = tuple(grown[at] if at in both else one for at, one in enumerate(stored(market)))
    vai_at = _vai_at(revision, market, repaid, at_s)
    due = vai_owed(account.vai, vai_at) if repaid == VAI else _owed(account, lives, repaid)
    case = _Case(
        revision=revision,
        market=market,
        account=account,
        lives=lives,
        seized=seized,
        repaid=repaid,
        vai_at=vai_at,
        owed=due,
    )
    return _allowed(case, amount)


def blocked(
    revision: Revision, market: Market, account: Account, seized: int, repaid: int, at_s: int
) -> Refusal | None:
    """Return why nobody can be liquidated by a pair of tokens now, whatever is owed; None if that can be."""
    for live in (accrued(revision, market, at_s)[at] for at in (seized, repaid) if at != VAI):
        if live.stuck:
            return Refusal(reason=live.stuck)
    if market.paused:
        return PROTOCOL_PAUSED
    seizing, vai = market.tokens[seized], market.vai
    if not seizing.listed or (repaid != VAI and not market.tokens[repaid].listed):
        return UNLISTED
    if repaid == VAI:
        if vai is None or vai.liquidation_paused:
            return PAUSED
        if vai.paused:
            return VAI_PAUSED
    elif market.tokens[repaid].liquidation_paused or market.tokens[repaid].repayment_paused:
        return PAUSED
    if seizing.seizure_paused or (market.liquidator is not None and seizing.transfer_paused):
        return PAUSED
    return _vai_first(revision, market, account, repaid, at_s)


def _vai_first(revision: Revision, market: Market, account: Account, repaid: int, at_s: int) -> Refusal | None:
    way, vai = market.liquidator, market.vai
    if way is None or vai is None or not way.vai_first or repaid == VAI or vai.liquidation_paused:
        return None
    if market.tokens[repaid].forced or repaid in account.forced:
        return None
    due = vai_owed(account.vai, vai_index(revision, market, vai, at_s))
    return VAI_FIRST if due >= way.least_vai else None


def _place(market: Market, address: bytes) -> int:
    at = market.place_of(address)
    if at is None:
        raise UnknownStateError(f"the market has no token 0x{address.hex()}")
    return at


def _place_owed(market: Market, address: bytes) -> int:
    return VAI if market.vai is not None and address == market.vai.controller else _place(market, address)


def _owed(account: Account, lives: Sequence[Live], at: int) -> int:
    return owed(account.borrows[at], lives[at].index) if at in account.borrows else 0


def _vai_at(revision: Revision, market: Market, repaid: int, at_s: int) -> int:
    """Return the index of VAI in the test of health: the contract that all goes through adds its interest first."""
    if market.vai is None:
        return 0
    added = repaid == VAI or market.liquidator is not None
    return vai_index(revision, market, market.vai, at_s) if added else market.vai.index


def _allowed(case: _Case, amount: int | None) -> Liquidation | Refusal:
    if not case.forced:
        found = position(case.revision, case.market, case.account, case.lives, case.vai_at)
        if not found.falls:
            return HEALTHY
    offered = _offer(case) if amount is None else amount
    if offered > case.most:
        return TOO_MUCH
    if not offered:
        return NOTHING
    return _repaid(case, offered)


def _offer(case: _Case) -> int:
    """Return the most that is allowed and for which there is enough to seize."""
    held, ratio = case.account.balances.get(case.seized, 0), _ratio(case)
    enough = ((held + 1) * WAD - 1) // ratio if ratio else case.most
    return min(case.most, enough)


def _ratio(case: _Case) -> int:
    """Return what is seized for one unit that is repaid, with 18 decimals."""
    price = WAD if case.repaid == VAI else priced(case.lives[case.repaid])
    rate = case.lives[case.seized].exchange_rate
    if rate is None:
        raise UnknownStateError(f"0x{case.lives[case.seized].token.address.hex()} has no exchange rate")
    worth = checked(case.incentive * price) // WAD
    costs = checked(priced(case.lives[case.seized]) * rate) // WAD
    if not costs:
        raise UnknownStateError("what is seized is worth nothing: the contracts divide by zero")
    return checked(worth * WAD) // costs


def _repaid(case: _Case, offered: int) -> Liquidation | Refusal:
    if case.repaid == VAI:
        repaid, left = _vai_repaid(case, offered)
    else:
        repaid, left = offered, case.owed - offered
        if repaid > case.lives[case.repaid].borrows:
            return SHORT_TOTAL
    seized = checked(_ratio(case) * repaid) // WAD
    held = case.account.balances.get(case.seized, 0)
    if seized > held:
        return SEIZES_TOO_MUCH
    if case.revision.venus and case.seized not in case.account.entered:
        return NOT_COLLATERAL
    if case.market.liquidator is not None and case.market.terms(case.seized, case.account.pool).incentive < WAD:
        return NO_BONUS
    return Liquidation(
        repaid=repaid, seized=seized, fee=_fee(case, seized), debt_left=left, collateral_left=held - seized
    )


def _vai_repaid(case: _Case, offered: int) -> tuple[int, int]:
    """Return what is burnt and paid as interest, each cut by itself, and what is owed then: its index is kept."""
    debt = case.account.vai
    if debt is None:
        return 0, 0
    interest = debt.past_interest + case.owed - debt.minted
    if offered >= case.owed:
        burnt, paid, past = case.owed - interest, interest, debt.past_interest
    else:
        part = offered * WAD // case.owed
        burnt = (case.owed - interest) * part // WAD
        paid = interest * part // WAD
        past = debt.past_interest * part // WAD
    left = VaiDebt(minted=debt.minted - burnt - past, past_interest=debt.past_interest - past, index=debt.index)
    return burnt + paid, vai_owed(left, case.vai_at)


def _fee(case: _Case, seized: int) -> int:
    """Return what the protocol keeps of what is seized."""
    way = case.market.liquidator
    if way is None:
        return seized * case.market.tokens[case.seized].seize_share // WAD
    whole = case.market.terms(case.seized, case.account.pool).incentive
    bonus = seized * (whole - WAD) // whole
    return bonus * way.treasury_share // WAD
