"""An account of one's own with more in one asset, or in one market, than it should have."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import BPS, Own, money, owned, percent
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.market import PPM, AccountSample
from tocsin.model.view import ChainView

ID = "account.exposure"
_PPM_OF_BPS = 100
_DIGITS = 400
"""Of any amount of any token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureParams:
    """In basis points of what the account may have (`max_share`, `max_value`): 10000 is all of that."""

    warning: Over | None = Over(over=10_001)
    critical: Over | None = None
    clear: Under = Under(under=9_800, polls=2)


def account_exposure(view: ChainView, params: ExposureParams) -> Iterator[Finding]:
    """Yield one finding per account whose parts are known; `value` in basis points of what it may have, the worst."""
    limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
    for own in owned(view):
        if own.settings.most_asset_ppm and own.sample is not None and not _has_parts(own.sample):
            continue
        found = sorted(_used(own), reverse=True)
        value = found[0][0] if found else 0
        said = "; ".join(text for used, text in found if used > BPS) or "has no more than it may"
        yield own.finding(ID, value, "bps", limits, said)


def _has_parts(sample: AccountSample) -> bool:
    return bool(sample.held) or sample.collateral == "0"


def _used(own: Own) -> Iterator[tuple[int, str]]:
    """Yield how much of each limit is used, in basis points, cut upwards, and what that is."""
    sample = own.sample
    if sample is None:
        return
    total = int(sample.collateral)
    has = {one.asset.lower(): int(one.collateral) for one in sample.held}
    for asset, most_ppm in own.settings.most_asset_ppm:
        part = has.get(asset.lower(), 0)
        if part and total:
            share = percent(part * BPS // total)
            used = -(-part * PPM * BPS // (total * most_ppm))
            yield used, f"has {share} of its collateral in {asset}, may have {percent(most_ppm // _PPM_OF_BPS)}"
    most = _units(own.settings.most_market, own.market.seen.sample.base_decimals)
    if most is not None:
        of = own.market.seen.sample
        yield (
            -(-total * BPS // max(1, most)),
            f"has {money(of, total)} of collateral in this market, may have {money(of, most)}",
        )


def _units(amount: str | None, decimals: int) -> int | None:
    """Return an amount in the smallest unit of the base, cut."""
    if amount is None:
        return None
    with localcontext() as exact:
        exact.prec = _DIGITS
        return int(Decimal(amount).scaleb(decimals))


DETECTOR = ChainDetector(id=ID, params=ExposureParams, run=account_exposure, everywhere=True)
