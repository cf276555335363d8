"""An account of one's own that comes near to liquidation: below the health that it should have, or by price or time.

Said before it can be liquidated, not when it can: that is `account.liquidatable`. The distance is that of the one price
that brings it there soonest, all others as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector
from tocsin.detect.market_base import Own, move, owned
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.marketrows import TEXT, ratio
from tocsin.model.view import ChainView
from tocsin.units import span_text

ID = "account.health"
_PPM_OF_BPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHealthParams:
    """In millionths of health below `health_floor` of the account, at least 1 where price or time are short.

    `price` and `urgent_price` are basis points by which a price has to move, `within` and `urgent_within` how long
    interest takes; the urgent ones are critical. 0 is none.
    """

    warning: Over | None = Over(over=1)
    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1, polls=3)
    price: int = 500
    urgent_price: int = 200
    within_ns: int = 86_400 * NS
    urgent_within_ns: int = 3_600 * NS


def account_health(view: ChainView, params: AccountHealthParams) -> Iterator[Finding]:
    """Yield one finding per account of which it is known how it stands; `value` in millionths of health."""
    for own in owned(view):
        short, urgent = _signs(own, params)
        limits = Limits(warning=params.warning, critical=params.critical if urgent else None, clear=params.clear)
        value = max(1, _missing(own)) if short else 0
        yield own.finding(ID, value, "ppm", limits, ", ".join(short) or "is well")


def _missing(own: Own) -> int:
    floor, sample = own.settings.health_floor_ppm, own.sample
    if floor is None or sample is None or sample.health_ppm is None:
        return 0
    return max(0, floor - sample.health_ppm)


def _signs(own: Own, params: AccountHealthParams) -> tuple[list[str], bool]:
    """Return what speaks of trouble, and whether that is urgent."""
    sample, floor = own.sample, own.settings.health_floor_ppm
    if sample is None or sample.health_ppm is None:
        return [], False
    health = f"has a health of {ratio(sample.health_ppm)}"
    short = [f"{health}, below {ratio(floor)}"] if floor is not None and sample.health_ppm < floor else []
    urgent = bool(sample.liquidatable)
    if sample.liquidatable:
        return [*short, "is below the line"] if short else [f"{health}: it is below the line"], urgent
    far = None if sample.distance_ppm is None else abs(sample.distance_ppm) // _PPM_OF_BPS
    if far is not None and far < max(params.price, params.urgent_price):
        short.append(f"can be liquidated with {sample.asset[:TEXT]} {move(sample.distance_ppm or 0)}")
        urgent = urgent or far < params.urgent_price
    left_ns = None if sample.seconds_left is None else sample.seconds_left * NS
    if left_ns is not None and left_ns < max(params.within_ns, params.urgent_within_ns):
        short.append(f"by interest alone in {span_text(left_ns)}")
        urgent = urgent or left_ns < params.urgent_within_ns
    return short, urgent


DETECTOR = ChainDetector(id=ID, params=AccountHealthParams, run=account_health, everywhere=True)
