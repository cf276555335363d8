"""What is published of an alert when it changes."""

from tocsin.alerting.streaks import limit_of
from tocsin.alerting.tracked import Moment, Tracked
from tocsin.model.alert import Alert, AlertState, Severity
from tocsin.model.evolve import evolve

WORSE = ("fired", "raised", "changed")
"""Reasons after which there is more to know than before: what is said so under a silence is said again at its end."""


def say(key: str, current: Tracked, moment: Moment, *, state: AlertState, reason: str) -> tuple[Tracked, Alert]:
    """Return an alert in a state that it may have had before, and the message about it."""
    finding = current.finding
    severity = current.severity or Severity.INFO
    is_silenced = moment.silences.covers(finding.detector, severity, finding.labels)
    if state is AlertState.RESOLVED:
        # Who was told that it fires is told that it ended, and nobody else is.
        is_silenced = not current.was_heard
    after = evolve(
        current,
        state=state,
        count=current.count + 1,
        told_ns=moment.now_ns,
        said=finding.news,
        was_heard=not is_silenced or (current.was_heard and reason != "fired"),
        is_hushed=is_silenced and (current.is_hushed or reason in WORSE),
    )
    limit = limit_of(finding.limits, severity) or (finding.limits.critical if finding.limits.at_most else None)
    alert = Alert(
        fingerprint=key,
        activation=current.activation,
        detector=finding.detector,
        severity=severity,
        state=state,
        labels=finding.labels,
        summary=finding.summary,
        value=finding.value,
        limit=limit.over if limit is not None else None,
        unit=finding.unit,
        grade=finding.grade,
        block=finding.block,
        evidence=finding.evidence,
        whole=finding.whole,
        exactness=finding.exactness,
        started_wall_ns=current.started_wall_ns,
        updated_wall_ns=moment.wall_ns,
        resolved_wall_ns=moment.wall_ns if state is AlertState.RESOLVED else None,
        count=after.count,
        reason=reason,
        acked_by=current.acked_by,
        previous=None if reason == "fired" else current.state,
        inhibited_by=current.muted_by,
        silenced=is_silenced,
        flapping=current.flap is not None and state is not AlertState.RESOLVED,
    )
    return after, alert


def resolve(key: str, current: Tracked, moment: Moment, reason: str) -> tuple[None, Alert]:
    """Return the message that an alert is over; nothing is left of it to track."""
    _, alert = say(key, current, moment, state=AlertState.RESOLVED, reason=reason)
    return None, alert
