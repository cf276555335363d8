"""How long it takes until an account can be liquidated if no price moves: debts grow faster than collateral."""

from typing import Any

from tocsin.protocols.base import Rules
from tocsin.protocols.prices import first_true

YEAR_S = 365 * 86_400


def seconds_to_liquidation(
    rules: Rules[Any, Any], market: Any, account: Any, at_s: int, most_s: int = 10 * YEAR_S
) -> int | None:
    """Return after how many seconds an account can first be liquidated at frozen prices; None if not within `most_s`.

    Looked at are spans that double, from a second on, and within the first that ends with it each half: health that
    falls and recovers within one span is not seen.
    """

    def falls(seconds: int) -> bool:
        return rules.verdict(market, account, at_s + seconds).liquidatable

    if falls(0):
        return 0
    before, after = 0, 1
    while not falls(after):
        if after == most_s:
            return None
        before, after = after, min(2 * after, most_s)
    return first_true(falls, before + 1, after)
