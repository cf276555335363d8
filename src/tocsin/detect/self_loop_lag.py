"""Our own event loop is late: what is measured meanwhile says little about the nodes."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import SelfView

ID = "self.loop_lag"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLagParams:
    """In milliseconds of the worst delay since the previous tick."""

    warning: Over | None = Over(over=250, polls=3)
    clear: Under = Under(under=100, polls=5)


def self_loop_lag(view: SelfView, params: LoopLagParams) -> Iterator[Finding]:
    """Yield a finding while the loop is late; `value` in ms."""
    lag_ms = view.loop_lag_ns // 10**6
    if lag_ms >= params.clear.under:
        yield Finding(
            detector=ID,
            labels=view.labels,
            value=lag_ms,
            unit="ms",
            limits=Limits(warning=params.warning, clear=params.clear),
            sample=view.tick,
            summary=f"the event loop of the watchdog is {lag_ms} ms late; the host is overloaded or was suspended",
            grade=Grade.PROVEN,
        )


DETECTOR = SelfDetector(id=ID, params=LoopLagParams, run=self_loop_lag)
