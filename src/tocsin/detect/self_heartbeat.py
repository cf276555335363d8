"""The watchdog's own evaluation did not run when it was due: for that long nobody watched.

The process was stopped, starved of the processor, or its machine stood still. Unlike `self.loop_lag`, which measures
many short delays, this one tells of a single long one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import SelfView

ID = "self.heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatParams:
    """In evaluation ticks missed in a row, one a second; it clears after so many that came in time."""

    warning: Over | None = Over(over=5)
    clear: Under = Under(under=1, polls=60)


def self_heartbeat(view: SelfView, params: HeartbeatParams) -> Iterator[Finding]:
    """Yield a finding when ticks were missed just before this one; `value` is how many."""
    if view.missed_ticks >= params.clear.under:
        yield Finding(
            detector=ID,
            labels=view.labels,
            value=view.missed_ticks,
            unit="ticks",
            limits=Limits(warning=params.warning, clear=params.clear),
            sample=view.tick,
            summary=f"nobody watched for {view.missed_ticks} s: the watchdog was stopped or starved of the processor",
            grade=Grade.PROVEN,
        )


DETECTOR = SelfDetector(id=ID, params=HeartbeatParams, run=self_heartbeat)
