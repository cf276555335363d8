"""How one alert goes on after a look: what it becomes, and what is said about that."""

from dataclasses import dataclass

from tocsin.alerting.flap import STEADY, has_turned, is_quiet
from tocsin.alerting.reminders import is_due
from tocsin.alerting.saying import resolve, say
from tocsin.alerting.streaks import is_over, reached
from tocsin.alerting.tracked import Flap, Moment, Tracked
from tocsin.model.alert import Alert, AlertState, Severity
from tocsin.model.evolve import evolve

Outcome = tuple[Tracked | None, Alert] | None
"""The next state and its message, None in place of both when nothing is to be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look found of the subject of an alert, and what is remembered of the alert beside its state."""

    has_data: bool
    is_lost: bool
    """Whether there has been no data for so long that what was known is worth nothing any more."""
    activations: int = 0
    turns: tuple[int, ...] = ()


def transition(key: str, current: Tracked, look: Look, moment: Moment) -> Outcome:
    """Return how an alert goes on."""
    if current.state is AlertState.PENDING:
        waits = current.muted_by is not None or current.finding.fading
        worst = None if waits else reached(current, moment.now_ns)
        # Time alone makes nothing fire: what is late may be the node's answer that all is well again.
        return None if worst is None or not look.has_data else _fire(key, current, worst, look, moment)
    if look.has_data:
        told = _turned(key, current, look, moment) or _told(key, current, moment)
    elif current.state is not AlertState.UNKNOWN and look.is_lost:
        told = say(key, current, moment, state=AlertState.UNKNOWN, reason="data-missing")
    else:
        told = None
    return told or _unsilenced(key, current, moment)


def _turned(key: str, current: Tracked, look: Look, moment: Moment) -> Outcome:
    """Return what becomes of an alert whose condition has turned, or that has turned too often."""
    if current.flap is not None:
        return _calmed(key, current, current.flap, moment)
    ends, is_latched = is_over(current, moment.now_ns), current.finding.limits.latched
    if not is_latched and has_turned(look.turns, int(ends), moment.rules, moment.now_ns):
        flapping = evolve(current, flap=Flap(since_ns=moment.now_ns, is_clear=ends))
        return say(key, flapping, moment, state=AlertState.FIRING, reason="flapping")
    return resolve(key, current, moment, "acked" if is_latched else "cleared") if ends else None


def _calmed(key: str, current: Tracked, flap: Flap, moment: Moment) -> Outcome:
    """Return what becomes of a flapping alert."""
    if not is_quiet(flap, moment):
        return None
    if flap.is_clear:
        return resolve(key, current, moment, "cleared")
    return say(key, evolve(current, flap=None), moment, state=AlertState.FIRING, reason=STEADY)


def _told(key: str, current: Tracked, moment: Moment) -> Outcome:
    """Return what is new about an alert that goes on."""
    worst = reached(current, moment.now_ns)
    if worst is not None and current.severity is not None and worst.rank > current.severity.rank:
        raised = evolve(current, severity=worst, reminded=0)
        return say(key, raised, moment, state=AlertState.FIRING, reason="raised")
    if current.state is AlertState.UNKNOWN:
        return say(key, current, moment, state=AlertState.FIRING, reason="data-back")
    if current.finding.news != current.said and current.flap is None:
        return say(key, evolve(current, reminded=0), moment, state=AlertState.FIRING, reason="changed")
    if is_due(current, moment):
        again = evolve(current, reminded=current.reminded + 1)
        return say(key, again, moment, state=AlertState.FIRING, reason="reminder")
    return None


def _unsilenced(key: str, current: Tracked, moment: Moment) -> Outcome:
    """Return an alert of which people know nothing, or not how bad it is, since it was silenced until now."""
    finding, severity = current.finding, current.severity
    if not current.is_hushed or severity is None:
        return None
    if moment.silences.covers(finding.detector, severity, finding.labels):
        return None
    return say(key, current, moment, state=current.state, reason="unsilenced")


def _fire(key: str, current: Tracked, severity: Severity, look: Look, moment: Moment) -> Outcome:
    fired = evolve(current, severity=severity, started_wall_ns=moment.wall_ns, activation=look.activations + 1)
    return say(key, fired, moment, state=AlertState.FIRING, reason="fired")
