"""This host's clock is not where time servers say it should be: whatever sets it has stopped doing so.

A host that is synchronised is within some milliseconds, so a tenth of a second is early news. From half a second on the
verdicts of the watchdog suffer, which is `self.clock_skew`. Without a majority of servers nothing is known.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import MS, NS
from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.host import ClockRecord
from tocsin.model.view import SelfView
from tocsin.units import span_text

ID = "host.clock"
_MINUTE_NS = 60 * NS


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockParams:
    """In milliseconds that are certain: what the way to the servers may add is taken off."""

    warning: Over | None = Over(over=100, polls=3)
    clear: Under = Under(under=50, for_ns=130 * NS)


def certain_ns(clock: ClockRecord) -> int:
    """Return by how much the clock is off at least, with the sign of the servers' offset; 0 where that is unknown."""
    offset = clock.offset_ns or 0
    least = max(0, abs(offset) - clock.distance_ns)
    return least if offset >= 0 else -least


def clock_evidence(clock: ClockRecord) -> dict[str, object]:
    """Return what each server said."""
    return {
        "offset_ns": clock.offset_ns,
        "distance_ns": clock.distance_ns,
        "falsetickers": list(clock.false),
        "servers": {
            one.server: one.problem or {"offset_ns": one.offset_ns, "distance_ns": one.distance_ns}
            for one in clock.samples
        },
    }


def off(offset_ns: int) -> str:
    """Say where our clock is against the right time."""
    span_ns = abs(offset_ns)
    span = f"{span_ns // MS} ms" if span_ns < _MINUTE_NS else span_text(span_ns)
    return f"{span} {'behind' if offset_ns > 0 else 'ahead'}"


def host_clock(view: SelfView, params: ClockParams) -> Iterator[Finding]:
    """Yield a finding while the clock is off; `value` in ms. Nothing without servers that agree."""
    if view.host is None or view.host.record.clock.offset_ns is None:
        return
    clock = view.host.record.clock
    sure = certain_ns(clock)
    if abs(sure) // MS < params.clear.under:
        return
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=abs(sure) // MS,
        unit="ms",
        limits=Limits(warning=params.warning, clear=params.clear),
        sample=clock.number,
        summary=f"this host's clock is {off(sure)}, by {len(clock.samples) - len(clock.false)} time servers",
        grade=Grade.PROVEN,
        evidence=clock_evidence(clock),
    )


DETECTOR = SelfDetector(id=ID, params=ClockParams, run=host_clock)
