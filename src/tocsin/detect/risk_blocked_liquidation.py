"""Accounts below the line that nobody can liquidate: a pause, a grace period, a sentinel.

What falls meanwhile is the lenders' loss. It is how most bad debt began that was more than dust.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import accounts, counted, money, valued
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "risk.blocked_liquidation"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedLiquidationParams:
    """In accounts that are below the line and cannot be liquidated."""

    warning: Over | None = Over(over=1, polls=2)
    critical: Over | None = None
    clear: Under = Under(under=1)


def risk_blocked_liquidation(view: ChainView, params: BlockedLiquidationParams) -> Iterator[Finding]:
    """Yield one finding per market; `value` in accounts that are blocked, by exact rules or the chain's own word."""
    limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
    for one in valued(view):
        sample = one.seen.sample
        blocked = [each for each in sample.near if each.liquidatable and each.blocked]
        why = "; ".join(sorted({each.blocked for each in blocked}))[:300]
        owed = money(sample, sum(int(each.debt) for each in blocked))
        said = f"{accounts(sample.blocked)} below the line cannot be liquidated" + (f" ({why}): {owed}" if why else "")
        yield from counted(one, ID, sample.blocked, limits, said, blocked)


DETECTOR = ChainDetector(id=ID, params=BlockedLiquidationParams, run=risk_blocked_liquidation, everywhere=True)
