"""Alerts that end for a reason that lies not in what they are about."""

from collections.abc import Callable, Iterable

from tocsin.alerting.flap import without
from tocsin.alerting.saying import resolve
from tocsin.alerting.tracked import Alerts, Moment, Tracked
from tocsin.model.alert import Alert, AlertState, Labels
from tocsin.model.evolve import evolve


def retire(alerts: Alerts, watched: Iterable[Labels], moment: Moment) -> tuple[Alerts, tuple[Alert, ...]]:
    """Resolve, with reason `unconfigured`, what is about a subject that is watched no longer."""
    known = set(watched)
    return withdraw(alerts, lambda tracked: tracked.finding.labels not in known, moment, "unconfigured")


def withdraw(
    alerts: Alerts, goes: Callable[[Tracked], bool], moment: Moment, reason: str
) -> tuple[Alerts, tuple[Alert, ...]]:
    """Resolve the alerts that `goes` names, for a reason that lies not in what they are about; forget pending ones."""
    gone = [key for key in sorted(alerts.tracked) if goes(alerts.tracked[key])]
    if not gone:
        return alerts, ()
    out = [
        resolve(key, alerts.tracked[key], moment, reason)[1]
        for key in gone
        if alerts.tracked[key].state is not AlertState.PENDING
    ]
    left = {key: tracked for key, tracked in alerts.tracked.items() if key not in gone}
    return evolve(alerts, tracked=left, turns=without(alerts.turns, tuple(gone))), tuple(out)
