"""A systemd unit that should run: it failed, it was stopped, it is not there, or it is restarted again and again."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.host import UNIT, UnitRecord, labels_of
from tocsin.model.view import SelfView

ID = "host.unit"
_FAILED = "failed"
_WELL = ("active", "reloading", "activating")
"""A unit that comes up again and again is always activating when it is looked at: its restarts tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitParams:
    """In samples of that state, and in automatic restarts within a time."""

    critical: Over | None = Over(over=1, polls=2)
    """It failed."""
    stopped: Over | None = Over(over=1, polls=2)
    """It does not run, or is not known to systemd: a warning, since somebody may have wanted that."""
    restarts: Over | None = Over(over=2)
    """A warning."""
    within_ns: int = 3600 * NS
    """How far back restarts count."""
    clear_polls: int = 2


def host_unit(view: SelfView, params: UnitParams) -> Iterator[Finding]:
    """Yield one finding per unit that does not run as it should; `value` is 1, or the number of restarts."""
    if view.host is None:
        return
    for unit, record in view.host.record.units.items():
        sample = record.sample
        if sample.problem:
            continue
        recent = sum(count for at_ns, count in record.restarts if view.now_ns - at_ns <= params.within_ns)
        if sample.active == _FAILED:
            said = f"{unit} has failed ({sample.result or 'no reason given'})"
            yield _finding(view, record, 1, "failure", Limits(critical=params.critical, clear=_clear(params)), said)
        elif sample.load == "not-found":
            limits = Limits(warning=params.stopped, clear=_clear(params))
            yield _finding(view, record, 1, "absence", limits, f"{unit} is not known to systemd")
        elif sample.active not in _WELL:
            limits = Limits(warning=params.stopped, clear=_clear(params))
            yield _finding(view, record, 1, "stop", limits, f"{unit} does not run: it is {sample.active}")
        elif recent:
            limits = Limits(warning=params.restarts, clear=_clear(params))
            said = f"{unit} was restarted {recent} times within {params.within_ns // (60 * NS)} minutes"
            yield _finding(view, record, recent, "restarts", limits, said)


def _clear(params: UnitParams) -> Under:
    return Under(under=1, polls=params.clear_polls)


def _finding(view: SelfView, record: UnitRecord, value: int, unit: str, limits: Limits, said: str) -> Finding:
    sample = record.sample
    return Finding(
        detector=ID,
        labels=labels_of(view.labels, (UNIT, sample.unit)),
        value=value,
        unit=unit,
        limits=limits,
        sample=record.number,
        summary=said,
        grade=Grade.PROVEN,
        evidence={
            "load": sample.load,
            "active": sample.active,
            "sub": sample.sub,
            "result": sample.result,
            "restarts": sample.restarts,
        },
    )


DETECTOR = SelfDetector(id=ID, params=UnitParams, run=host_unit)
