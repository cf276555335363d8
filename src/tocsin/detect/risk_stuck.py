"""A market that is not valued: nobody is warned of what happens there meanwhile.

Its log index is not complete, nodes do not answer, a price is missing, its contracts are of a revision that cannot be
read. While the chain itself stands still there is nothing to value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import finding
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.market import MarketView
from tocsin.model.view import ChainView

ID = "risk.stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStuckParams:
    """In seconds since the newest block that is valued. One that never was is a warning at most."""

    warning: Over | None = Over(over=120)
    critical: Over | None = Over(over=900)
    clear: Under = Under(under=60)


def risk_stuck(view: ChainView, params: MarketStuckParams) -> Iterator[Finding]:
    """Yield one finding per market that was looked at; `value` in seconds for which nothing new was valued."""
    for one in view.markets:
        sample, lag_s = one.seen.sample, _lag_ns(view, one) // NS
        critical = params.critical if one.seen.number else None
        at = "" if sample.block is None else f" since block {sample.block.number}"
        why = f": {sample.problem}" if sample.problem else ""
        yield finding(
            one,
            ID,
            lag_s,
            "s",
            Limits(warning=params.warning, critical=critical, clear=params.clear),
            f"not valued{at}, for {lag_s} s{why}",
            sample=view.tick,
            exactness=None,
            evidence={"reason": sample.problem, "lag_blocks": one.lag_blocks, "index": one.settings.index},
        )


def _lag_ns(view: ChainView, one: MarketView) -> int:
    """Return for how long: by blocks where one was valued, so that it is none while the chain stands still."""
    watched_ns = max(0, view.now_ns - view.started_ns)
    if one.seen.sample.is_known:
        return min(one.lag_blocks * view.settings.block_time_ns, watched_ns)
    since_ns = one.seen.stuck_ns
    return 0 if since_ns is None else min(max(0, view.now_ns - since_ns), watched_ns)


DETECTOR = ChainDetector(id=ID, params=MarketStuckParams, run=risk_stuck, everywhere=True)
