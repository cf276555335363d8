"""The outbox is full, or not on disk: alerts that wait are about to be given up, or may be lost by a crash."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.event import DeliverySampled
from tocsin.model.view import SelfView

ID = "self.outbox_saturated"

_ALL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSaturatedParams:
    """In per cent of what the outbox may hold; `critical` of critical rows alone, and where rows are not on disk."""

    warning: Over | None = Over(over=95)
    critical: Over | None = Over(over=95)
    clear: Under = Under(under=80, polls=5)


def self_outbox_saturated(view: SelfView, params: OutboxSaturatedParams) -> Iterator[Finding]:
    """Yield a finding while the outbox is nearly full or not durable; `value` in per cent of its bound."""
    seen = view.delivery
    if seen is None or (seen.durable and seen.filled < params.clear.under):
        return
    grave = params.critical is not None and (not seen.durable or seen.critical_filled >= params.critical.over)
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=seen.filled if seen.durable else max(seen.filled, _ALL),
        unit="%",
        limits=Limits(warning=params.warning, critical=params.critical if grave else None, clear=params.clear),
        sample=view.tick,
        summary=_said(seen),
        grade=Grade.PROVEN,
        evidence={
            "waiting": seen.waiting,
            "owed": seen.owed,
            "unsaved": seen.unsaved,
            "critical_filled": seen.critical_filled,
            "connected": seen.connected,
        },
    )


def _said(seen: DeliverySampled) -> str:
    if not seen.durable:
        return f"alerts cannot be written to disk: {seen.unsaved} are in memory alone, and a crash loses them"
    why = "the broker cannot be reached" if not seen.connected else "it or a consumer does not keep up"
    return f"the outbox is {seen.filled} % full: {seen.waiting} wait for the broker, {seen.owed} for consumers; {why}"


DETECTOR = SelfDetector(id=ID, params=OutboxSaturatedParams, run=self_outbox_saturated)
