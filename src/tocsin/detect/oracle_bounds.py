"""An answer at its bounds: those of the aggregator, or those that are configured.

An aggregator that has `minAnswer` and `maxAnswer` says no less and no more whatever the market does: in May 2022 feeds
went on saying 0.10 for a token that was worth a thousandth of that, and lending against it was drained. An answer near
a bound is a warning, at the bound it is no price any more. An answer of zero or less never is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tocsin.detect.base import ChainDetector
from tocsin.detect.oracle_base import feed_evidence, read_feeds
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.feed import FeedKind, FeedView
from tocsin.model.price import BPS, fraction, percent
from tocsin.model.view import ChainView

ID = "oracle.bounds"


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleBoundsParams:
    """In basis points of the way to a bound: 10,000 is at it, 5,000 is twice as far from zero as the lower one."""

    warning: Over | None = Over(over=9_000)
    critical: Over | None = Over(over=BPS)
    clear: Under = Under(under=8_500)


def oracle_bounds(view: ChainView, params: OracleBoundsParams) -> Iterator[Finding]:
    """Yield one finding per feed at its bounds; `value` in basis points of the way there."""
    for one, latest in read_feeds(view):
        if one.settings.kind is FeedKind.SEQUENCER:
            continue
        near, which = _nearest(fraction(latest.value), one)
        if near < params.clear.under:
            continue
        yield Finding(
            detector=ID,
            labels=one.labels,
            value=near,
            unit="basis points of the bound",
            limits=Limits(warning=params.warning, critical=params.critical, clear=params.clear),
            sample=one.seen.samples,
            summary=f"{one.settings.name} says {latest.value}, {_said(near, which)}",
            grade=latest.grade,
            block=latest.block,
            evidence={**feed_evidence(one), "bounds": dict(_bounds(one))},
        )


def _bounds(one: FeedView) -> Iterator[tuple[str, str]]:
    """Yield the bounds of a feed by what they are called."""
    for name, bound in (
        ("minAnswer", one.low),
        ("maxAnswer", one.high),
        ("low", one.settings.low),
        ("high", one.settings.high),
    ):
        if bound:
            yield name, bound


def _nearest(price: Fraction, one: FeedView) -> tuple[int, str]:
    """Return how near the price is to the bound that is nearest, and which that is."""
    if price <= 0:
        return BPS, "which is no price"
    found = [(0, "")]
    for name, text in _bounds(one):
        bound, is_low = fraction(text), name in ("minAnswer", "low")
        if bound > 0:
            found.append((min(BPS, int(BPS * (bound / price if is_low else price / bound))), f"{name} is {text}"))
    return max(found)


def _said(near: int, which: str) -> str:
    if near >= BPS:
        return which if which.startswith("which") else f"and its {which}: it can say no more"
    return f"{percent(BPS - near)} from its bound: {which}"


DETECTOR = ChainDetector(id=ID, params=OracleBoundsParams, run=oracle_bounds, everywhere=True)
