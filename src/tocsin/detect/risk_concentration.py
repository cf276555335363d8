"""A market that hangs on one borrower, or on one asset: what happens to it happens to all who lend there."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import counted, percent, valued
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.market import MarketSample
from tocsin.model.view import ChainView

ID = "risk.concentration"
_PPM_OF_BPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcentrationParams:
    """In basis points: of all debt that one account owes or, with `asset`, of all collateral that one asset is.

    With fewer than `least_accounts` in debt nothing is said: a small market is always concentrated. Many have one
    collateral by design, so that `asset` has no limit unless it is given.
    """

    warning: Over | None = Over(over=3_000, polls=2)
    critical: Over | None = None
    asset: Over | None = None
    clear: Under = Under(under=2_700, polls=2)
    least_accounts: int = 10


def risk_concentration(view: ChainView, params: ConcentrationParams) -> Iterator[Finding]:
    """Yield one finding per market; `value` in basis points, of the borrower unless only an asset has too much."""
    for one in valued(view):
        sample = one.seen.sample
        few = sample.indebted < params.least_accounts
        share = 0 if few else sample.largest_ppm // _PPM_OF_BPS
        asset, part = sample.shares_ppm[0] if sample.shares_ppm and not few else ("", 0)
        part //= _PPM_OF_BPS
        limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
        value, said = share, f"{sample.largest} owes {percent(share)} of all debt"
        is_borrower = params.warning is not None and share >= params.warning.over
        if params.asset is not None and part >= params.asset.over and not is_borrower:
            limits = Limits(warning=params.asset, clear=params.clear)
            value, said = part, f"{asset} is {percent(part)} of all collateral"
        yield from counted(one, ID, value, limits, said, (), unit="bps", also=_also(sample))


def _also(sample: MarketSample) -> dict[str, object]:
    shares = [{"asset": name[:64], "share_ppm": share} for name, share in sample.shares_ppm[:10]]
    return {"largest": sample.largest, "largest_ppm": sample.largest_ppm, "shares": shares}


DETECTOR = ChainDetector(id=ID, params=ConcentrationParams, run=risk_concentration, everywhere=True)
