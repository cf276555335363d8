"""Alerts after a break: a new life takes them over, a pause is left out, and what a lost state knew is adopted."""

from tocsin.alerting.saying import resolve, say
from tocsin.alerting.tracked import Alerts, Moment, Streak, Tracked
from tocsin.model.alert import Alert, AlertState, Finding, Grade, Limits, Severity
from tocsin.model.event import Orphan
from tocsin.model.evolve import evolve


def revived(alerts: Alerts, now_ns: int) -> Alerts:
    """Return the alerts as a new life takes them over: open ones stay open, whatever had begun begins anew.

    Nobody looked meanwhile, so the time between was neither time over the limit nor time below it.
    """
    tracked = {
        key: evolve(
            current,
            rising={},
            falling=None,
            clear_since_ns=None,
            flap=None if current.flap is None else evolve(current.flap, since_ns=now_ns),
        )
        for key, current in alerts.tracked.items()
        if current.state is not AlertState.PENDING
    }
    return evolve(alerts, tracked=tracked)


def resumed(alerts: Alerts, gap_ns: int) -> Alerts:
    """Return the alerts after a time in which nobody looked: nothing has lasted through it, nothing is forgotten."""
    tracked = {
        key: evolve(
            current,
            rising={severity: _later(streak, gap_ns) for severity, streak in current.rising.items()},
            falling=None if current.falling is None else _later(current.falling, gap_ns),
            clear_since_ns=None if current.clear_since_ns is None else current.clear_since_ns + gap_ns,
            flap=None if current.flap is None else evolve(current.flap, since_ns=current.flap.since_ns + gap_ns),
        )
        for key, current in alerts.tracked.items()
    }
    turns = {key: tuple([at + gap_ns for at in each]) for key, each in alerts.turns.items()}
    return evolve(alerts, tracked=tracked, turns=turns)


def _later(streak: Streak, gap_ns: int) -> Streak:
    # The next height is where counting goes on: which blocks came meanwhile nobody saw.
    return evolve(streak, since_ns=streak.since_ns + gap_ns, height=None)


def adopt(
    alerts: Alerts, orphan: Orphan, moment: Moment, *, watched: bool, limits: Limits | None = None
) -> tuple[Alerts, tuple[Alert, ...]]:
    """Take over an alert whose state was lost: as unknown, never as resolved; resolved only if nobody watches it.

    What it was held against is lost as well: the next finding brings it. Until then `limits` tell how it may end. One
    that was resolved meanwhile is not resolved again, and the next one is not taken for it.
    """
    current = alerts.tracked.get(orphan.fingerprint)
    known = (current.activation, current.count) if current and current.state is not AlertState.PENDING else (0, 0)
    if known >= (orphan.activation, orphan.count):
        return alerts, ()
    finding = Finding(
        detector=orphan.detector,
        labels=orphan.labels,
        value=1,
        unit="",
        limits=limits or Limits(),
        sample=0,
        summary=orphan.summary,
        grade=Grade.UNCORROBORATED,
    )
    lost = Tracked(
        finding=finding,
        state=AlertState.UNKNOWN,
        severity=Severity(orphan.severity),
        started_wall_ns=orphan.started_wall_ns,
        activation=orphan.activation,
        count=orphan.count,
    )
    activations = {**alerts.activations, orphan.fingerprint: orphan.activation}
    if not orphan.is_open:
        left = {key: one for key, one in alerts.tracked.items() if key != orphan.fingerprint or not known[0]}
        return evolve(alerts, tracked=left, activations=activations if watched else alerts.activations), ()
    if not watched:
        _, alert = resolve(orphan.fingerprint, lost, moment, "unconfigured")
        return evolve(alerts, activations=activations), (alert,)
    after, alert = say(orphan.fingerprint, lost, moment, state=AlertState.UNKNOWN, reason="state-lost")
    tracked = {**alerts.tracked, orphan.fingerprint: after}
    return evolve(alerts, tracked=tracked, activations=activations), (alert,)
