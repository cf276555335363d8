"""A registered consumer says nothing, or is far behind and stays there: whoever relies on it hears no alert."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over
from tocsin.model.view import ConsumerView, SelfView
from tocsin.units import span_text

ID = "self.consumer_silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSilentParams:
    """In `silent_after` of the consumer, whole ones; `behind` in messages that it lacks while its cursor stands."""

    warning: Over | None = Over(over=1)
    critical: Over | None = Over(over=6)
    behind: int = 1000


def self_consumer_silent(view: SelfView, params: ConsumerSilentParams) -> Iterator[Finding]:
    """Yield one finding per consumer that is missed; `value` in its `silent_after`."""
    for consumer in view.consumers:
        silent = consumer.silent_ns // consumer.silent_after_ns
        stuck = consumer.stuck_ns // consumer.silent_after_ns if consumer.lag >= params.behind else 0
        if value := max(silent, stuck):
            yield Finding(
                detector=ID,
                labels=consumer.labels,
                value=value,
                unit="silent_after",
                limits=Limits(warning=params.warning, critical=params.critical),
                sample=view.tick,
                summary=_said(consumer, is_silent=silent > 0),
                grade=Grade.PROVEN,
                evidence={
                    "lag": consumer.lag,
                    "silent_s": consumer.silent_ns // NS,
                    "stuck_s": consumer.stuck_ns // NS,
                },
            )


def _said(consumer: ConsumerView, *, is_silent: bool) -> str:
    if is_silent:
        silent, lag = span_text(consumer.silent_ns), consumer.lag
        return f"no ack of {consumer.name} was believed for {silent}; it lacks {lag} messages"
    return f"{consumer.name} lacks {consumer.lag} messages and has not moved for {span_text(consumer.stuck_ns)}"


DETECTOR = SelfDetector(id=ID, params=ConsumerSilentParams, run=self_consumer_silent)
