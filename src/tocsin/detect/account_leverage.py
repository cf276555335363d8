"""An account of one's own with more leverage than it should have: collateral by what is left of it after debt."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import BPS, Own, owned
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.market import PPM
from tocsin.model.view import ChainView

ID = "account.leverage"
MOST = 1_000
"""What owes as much as it has, or more, has this: no number tells more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageParams:
    """In basis points of `max_leverage` of the account: 10000 is what it may have."""

    warning: Over | None = Over(over=10_001)
    critical: Over | None = Over(over=15_000)
    clear: Under = Under(under=9_800, polls=2)


def account_leverage(view: ChainView, params: LeverageParams) -> Iterator[Finding]:
    """Yield one finding per account; `value` in basis points of what it may have, 0 where nothing is said of that."""
    limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
    for own in owned(view):
        most, (collateral, left) = own.settings.most_leverage_ppm, _leverage(own)
        value = 0 if most is None else -(-collateral * PPM * BPS // (left * most))
        said = f"has a leverage of {_times(collateral * PPM // left)}"
        said += "" if most is None else f", may have {_times(most)}"
        yield own.finding(ID, value, "bps", limits, said)


def _leverage(own: Own) -> tuple[int, int]:
    """Return collateral, and what is left of it after debt: together they are the leverage."""
    if own.sample is None:
        return 0, 1
    collateral, debt = int(own.sample.collateral), int(own.sample.debt)
    if debt >= collateral:
        return (MOST if debt else 0), 1
    return min((collateral, collateral - debt), (MOST * (collateral - debt), collateral - debt))


def _times(ppm: int) -> str:
    return f"{ppm // PPM}.{ppm % PPM // 10_000:02d}"


DETECTOR = ChainDetector(id=ID, params=LeverageParams, run=account_leverage, everywhere=True)
