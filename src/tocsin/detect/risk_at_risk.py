"""How much of a market becomes liquidatable if prices fall: one point of its at-risk curve.

All prices but those of what the market counts in fall by as much at once: what a crash does to assets that move
together. It is a number of a model, and is never called exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import BPS, MOST_VALUE, accounts, counted, money, percent, valued
from tocsin.model.alert import Exactness, Finding, Limits, Over, Under
from tocsin.model.market import AtRisk, MarketSample
from tocsin.model.view import ChainView

ID = "risk.at_risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRiskParams:
    """In basis points of all collateral or, with `amounts`, in whole units of what the market counts in.

    `fall` is by how many basis points prices fall: the nearest of the market's `shocks` is taken.
    """

    fall: int = 1_000
    amounts: bool = False
    warning: Over | None = Over(over=1_000)
    critical: Over | None = Over(over=2_500)
    clear: Under = Under(under=900, polls=2)


def risk_at_risk(view: ChainView, params: AtRiskParams) -> Iterator[Finding]:
    """Yield one finding per market with a curve; `value` in basis points of its collateral, or in whole units."""
    limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
    for one in valued(view):
        sample = one.seen.sample
        point = min(sample.curve, key=lambda each: (abs(each.shock_bps + params.fall), each.shock_bps), default=None)
        if point is None:
            continue
        share = min(MOST_VALUE, int(point.collateral) * BPS // max(1, int(sample.collateral)))
        whole = int(point.collateral) // 10**sample.base_decimals
        value, unit = (whole, sample.base or "units") if params.amounts else (share, "bps")
        said = _said(sample, point, share)
        below = [each for each in sample.near if each.liquidatable is not None]
        also = {"shock_bps": point.shock_bps, "collateral": point.collateral, "debt": point.debt, "share_bps": share}
        yield from counted(one, ID, value, limits, said, below, unit=unit, at_best=Exactness.SCREENED, also=also)


def _said(sample: MarketSample, point: AtRisk, share: int) -> str:
    return (
        f"if prices fall by {percent(-point.shock_bps)}, {money(sample, int(point.collateral))} of collateral "
        f"({percent(share)}) of {accounts(point.accounts)} can be liquidated, "
        f"and {money(sample, int(point.bad_debt))} of debt is not covered"
    )


DETECTOR = ChainDetector(id=ID, params=AtRiskParams, run=risk_at_risk, everywhere=True)
