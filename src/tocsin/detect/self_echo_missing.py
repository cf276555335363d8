"""The self-test is not heard back: alerts leave this daemon, if at all, for nowhere that it can see."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over
from tocsin.model.selftest import EchoView
from tocsin.model.view import SelfView
from tocsin.units import span_text

ID = "self.echo_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoMissingParams:
    """In whole periods of the self-test (`self_test.every`) without an echo."""

    warning: Over | None = Over(over=3)
    critical: Over | None = None


_SURE = 2
"""Words that were said in vain, from which on the way is at fault; fewer may have been lost with a connection."""


def self_echo_missing(view: SelfView, params: EchoMissingParams) -> Iterator[Finding]:
    """Yield a finding while no echo comes; `value` in periods of the self-test."""
    seen = view.echo
    if seen is None or seen.silent_ns < 2 * seen.every_ns:
        return
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=seen.silent_ns // seen.every_ns,
        unit="periods",
        limits=Limits(warning=params.warning, critical=params.critical),
        sample=view.tick,
        summary=f"no self-test was heard back for {span_text(seen.silent_ns)}: {_why(seen)}",
        grade=Grade.PROVEN,
        evidence={"unanswered": seen.unanswered, "connected": seen.connected},
    )


def _why(seen: EchoView) -> str:
    if not seen.connected:
        return "the broker cannot be reached, and alerts wait"
    if seen.unanswered < _SURE:
        return "the broker was away, and the next one is on its way"
    return "the broker does not take it, or does not give it back; may the daemon read event/info/self.test there?"


DETECTOR = SelfDetector(id=ID, params=EchoMissingParams, run=self_echo_missing)
