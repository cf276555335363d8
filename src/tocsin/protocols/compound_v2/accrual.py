"""Tokens as they are stored, and as they are once interest is added: simple interest since somebody acted last.

A rate is asked of the interest model when interest is added, of what is stored by then; nobody having acted in between,
it is what the model says now. So a token at any later block is known, whatever model it has.
"""

from dataclasses import dataclass
from functools import lru_cache

from tocsin.protocols.base import WAD, UnknownStateError
from tocsin.protocols.compound_v2.market import Borrow, Market, Token, Vai, VaiDebt
from tocsin.protocols.compound_v2.revisions import Revision

MOST = 2**256 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A token as it is at some block."""

    token: Token
    index: int
    borrows: int
    exchange_rate: int | None
    """None where the token itself can't say, which makes every account that entered it unknown."""
    stuck: str = ""
    """Why interest can't be added, which lets everything revert that adds it first."""


def moment(revision: Revision, market: Market, at_s: int) -> int:
    """Return the block that a time is in, or the time itself where interest is counted by it.

    Raises UnknownStateError for a time before the market's block.
    """
    if revision.timed:
        return at_s
    ahead = 0 if market.time_s is None else at_s - market.time_s
    if ahead < 0:
        raise UnknownStateError(f"block {market.block.number} is of {market.time_s}, after {at_s}")
    return market.block.number + ahead * 1_000 // market.pace_ms


@lru_cache(maxsize=64)
def stored(market: Market) -> tuple[Live, ...]:
    """Return tokens as the contracts' own views see them: without the interest since somebody acted."""
    return tuple(_live(one, one.borrow_index, one.borrows, one.reserves) for one in market.tokens)


@lru_cache(maxsize=64)
def accrued(revision: Revision, market: Market, at_s: int) -> tuple[Live, ...]:
    """Return tokens with all interest added up to a time. One that is stuck is as it is stored.

    Raises UnknownStateError for one whose interest was added up to a later block than the market's.
    """
    at = moment(revision, market, at_s)
    return tuple(_grown(revision, one, at) for one in market.tokens)


def _grown(revision: Revision, token: Token, at: int) -> Live:
    steps = at - token.accrued_at
    if steps < 0:
        raise UnknownStateError(f"0x{token.address.hex()} has its interest up to {token.accrued_at}, after {at}")
    if not steps:
        return _live(token, token.borrow_index, token.borrows, token.reserves)
    if token.rate is None:
        return _live(token, token.borrow_index, token.borrows, token.reserves, "the interest rate model reverts")
    if token.rate > revision.fastest:
        return _live(token, token.borrow_index, token.borrows, token.reserves, "borrow rate is absurdly high")
    factor = token.rate * steps
    interest = factor * token.borrows // WAD
    reserves = token.reserves + token.reserve_factor * interest // WAD
    index = token.borrow_index + factor * token.borrow_index // WAD
    return _live(token, index, token.borrows + interest, reserves)


def _live(token: Token, index: int, borrows: int, reserves: int, stuck: str = "") -> Live:
    rate = token.stored_exchange_rate
    if token.supply and rate is not None:
        backing = token.cash + borrows - reserves
        rate = backing * WAD // token.supply if 0 <= backing * WAD <= MOST else None
    return Live(token=token, index=index, borrows=borrows, exchange_rate=rate, stuck=stuck)


def owed(debt: Borrow, index: int) -> int:
    """Return what is owed at an index. Raises UnknownStateError where the index is before that of the debt."""
    if not debt.principal:
        return 0
    if index < debt.index:
        raise UnknownStateError(f"a debt of index {debt.index} is read with an index of {index}: it never falls")
    return debt.principal * index // debt.index


def owed_at_most(debt: Borrow, index: int) -> int:
    """Return what may be owed at an index: one unit more where what is known is cut, and interest was added since."""
    least = owed(debt, index)
    if not debt.is_cut or not debt.principal or index == debt.index:
        return least
    return ((debt.principal + 1) * index - 1) // debt.index


def vai_index(revision: Revision, market: Market, vai: Vai, at_s: int) -> int:
    """Return the index of VAI with all interest added up to a time that is known. Raises UnknownStateError."""
    if vai.accrued_at is None:
        return vai.index
    steps = moment(revision, market, at_s) - vai.accrued_at
    if steps < 0:
        raise UnknownStateError(f"VAI has its interest up to {vai.accrued_at}, after block {market.block.number}")
    if steps and vai.rate is None:
        raise UnknownStateError("the rate of VAI reverts: its interest cannot be added")
    return vai.index + (vai.rate or 0) * steps


def vai_owed(debt: VaiDebt | None, index: int) -> int:
    """Return what is owed of VAI at an index. Raises UnknownStateError where the index is before that of the debt."""
    if debt is None or not debt.minted:
        return 0
    if index < debt.index or debt.past_interest > debt.minted:
        raise UnknownStateError(f"a debt of VAI of index {debt.index} is read with an index of {index}")
    return debt.minted + (index - debt.index) * (debt.minted - debt.past_interest) // WAD
