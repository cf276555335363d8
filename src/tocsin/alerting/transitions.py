"""How one alert goes on after a look: what it becomes, and what is said about that."""

from collections.abc import Mapping
from dataclasses import replace

from tocsin.alerting.inhibition import CAP_NS
from tocsin.alerting.saying import resolve, say
from tocsin.alerting.streaks import is_over, reached
from tocsin.alerting.tracked import Moment, Tracked
from tocsin.model.alert import Alert, AlertState, Finding, Labels, Severity, Subject


def transition(
    key: str,
    current: Tracked,
    finding: Finding | None,
    subjects: Mapping[Labels, Subject],
    activations: int,
    moment: Moment,
) -> tuple[Tracked | None, Alert] | None:
    """Return the next state and its message, or None when nothing is to be said."""
    is_muted = current.muted_since_ns is not None and moment.now_ns - current.muted_since_ns < CAP_NS
    worst = None if is_muted else reached(current, moment.now_ns)
    subject = subjects.get(current.finding.labels)
    has_data = finding is not None or (subject is not None and subject.sample is not None)
    if current.state is AlertState.PENDING:
        # Time alone makes nothing fire: what is late may be the node's answer that all is well again.
        return None if worst is None or not has_data else _fire(key, current, worst, activations, moment)
    if not has_data:
        if current.state is AlertState.UNKNOWN or (subject is not None and not subject.lost):
            return None
        return say(key, current, moment, state=AlertState.UNKNOWN, reason="data-missing")
    if is_over(current, moment.now_ns):
        return resolve(key, current, moment, "acked" if current.finding.limits.latched else "cleared")
    if worst is not None and current.severity is not None and worst.rank > current.severity.rank:
        raised = replace(current, severity=worst)
        return say(key, raised, moment, state=AlertState.FIRING, reason="raised")
    if current.state is AlertState.UNKNOWN:
        return say(key, current, moment, state=AlertState.FIRING, reason="data-back")
    return None


def _fire(key: str, current: Tracked, severity: Severity, activations: int, moment: Moment) -> tuple[Tracked, Alert]:
    fired = replace(
        current, severity=severity, started_wall_ns=moment.wall_ns, activation=activations + 1, muted_since_ns=None
    )
    return say(key, fired, moment, state=AlertState.FIRING, reason="fired")
