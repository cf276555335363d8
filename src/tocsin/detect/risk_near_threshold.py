"""Accounts of a market that are not liquidatable yet, and little above the line (`near` of the market)."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import accounts, counted, move, valued
from tocsin.model.alert import Exactness, Finding, Limits, Over, Under
from tocsin.model.marketrows import TEXT
from tocsin.model.view import ChainView

ID = "risk.near_threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class NearThresholdParams:
    """In accounts. A large market always has some: a limit that is worth a warning depends on it."""

    info: Over | None = Over(over=1, polls=2)
    warning: Over | None = None
    clear: Under = Under(under=1, polls=3)


def risk_near_threshold(view: ChainView, params: NearThresholdParams) -> Iterator[Finding]:
    """Yield one finding per market; `value` in accounts above the line that are near it."""
    limits = Limits(info=params.info, warning=params.warning, clear=params.clear)
    for one in valued(view):
        sample = one.seen.sample
        count = max(0, sample.near_count - sample.liquidatable - sample.unknown)
        near = [each for each in sample.near if each.liquidatable is False]
        said = f"{accounts(count)} within {one.settings.near_ppm // 10_000} % of the line"
        first = next(iter(near), None)
        if first is not None and first.distance_ppm is not None:
            said += f"; the nearest, {first.account}, gets there with {first.asset[:TEXT]} {move(first.distance_ppm)}"
        yield from counted(one, ID, count, limits, said, near, at_best=Exactness.SCREENED)


DETECTOR = ChainDetector(id=ID, params=NearThresholdParams, run=risk_near_threshold, everywhere=True)
