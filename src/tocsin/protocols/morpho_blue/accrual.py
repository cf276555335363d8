"""What is owed in a market at a time: interest since it was last added, and the part of it that is the protocol's."""

from dataclasses import replace
from functools import lru_cache

from tocsin.protocols.base import UnknownStateError
from tocsin.protocols.morpho_blue.arithmetic import (
    RevertError,
    compounded,
    half_word,
    stored,
    to_shares_down,
    w_mul_down,
    word,
)
from tocsin.protocols.morpho_blue.market import Market, Totals

NO_IRM = bytes(20)


@lru_cache(maxsize=64)
def accrued(market: Market, at_s: int) -> Totals:
    """Return a market's totals in a block of this time.

    The rate is the one that the interest rate model said at the market's block, so that totals are those of the
    contract at the time of that block. At later times they are what they would be at the same rate. A model whose rate
    moves with time says another one then: the adaptive curve's may move by a factor of e^(50 x years) at most.

    Raises UnknownStateError for a time before the last update, RevertError where the contracts revert: the market was
    never created, the model reverts, a total does not fit.
    """
    if market.updated_s == 0:
        raise RevertError("market not created")
    seconds = at_s - market.updated_s
    if seconds < 0:
        raise UnknownStateError(f"the market was updated at {market.updated_s}, after {at_s}")
    if seconds == 0 or market.terms.irm == NO_IRM:
        return market.totals
    if market.rate is None:
        raise RevertError("the interest rate model reverts")
    gain = compounded(market.rate, seconds)
    return _with_interest(market, half_word(w_mul_down(market.totals.borrow_assets, gain)))


def _with_interest(market: Market, interest: int) -> Totals:
    before = market.totals
    after = replace(
        before,
        borrow_assets=stored(before.borrow_assets + interest),
        supply_assets=stored(before.supply_assets + interest),
    )
    if not market.fee:
        return after
    fee = w_mul_down(interest, market.fee)
    shares = to_shares_down(fee, word(after.supply_assets - fee), before.supply_shares)
    return replace(after, supply_shares=stored(before.supply_shares + half_word(shares)))
