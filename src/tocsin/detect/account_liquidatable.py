"""An account of one's own that can be liquidated, at this block."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import Own, money, owned
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.marketrows import ratio
from tocsin.model.view import ChainView

ID = "account.liquidatable"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLiquidatableParams:
    """1 where it is below the line. While nobody can liquidate it, for a pause or a grace period, it is a warning."""

    warning: Over | None = Over(over=1)
    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)


def account_liquidatable(view: ChainView, params: AccountLiquidatableParams) -> Iterator[Finding]:
    """Yield one finding per account of which it is known how it stands; `value` 1 where it can be liquidated."""
    for own in owned(view):
        sample = own.sample
        is_below = sample is not None and sample.liquidatable is True
        is_blocked = sample is not None and bool(sample.blocked)
        limits = Limits(warning=params.warning, critical=None if is_blocked else params.critical, clear=params.clear)
        yield own.finding(ID, int(is_below), "accounts", limits, _said(own))


def _said(own: Own) -> str:
    sample, of = own.sample, own.market.seen.sample
    if sample is None or sample.health_ppm is None:
        return "owes nothing"
    owes = f"with a health of {ratio(sample.health_ppm)} it owes {money(of, int(sample.debt))}"
    if not sample.liquidatable:
        return f"is above the line: {owes}"
    blocked = f", but not now: {sample.blocked}" if sample.blocked else ""
    return f"can be liquidated{blocked}; {owes} on {money(of, int(sample.collateral))}"


DETECTOR = ChainDetector(id=ID, params=AccountLiquidatableParams, run=account_liquidatable, everywhere=True)
