"""The life of alerts: pending, firing, unknown, resolved.

    (nothing) --limit reached--> pending --in enough subjects, for long enough--> firing --clear--> resolved
                                    |                                              ^ |
                                    '--value below the limit--> (nothing)          | v
                                                                 data back       unknown (data missing)

Three rules carry it. A limit and its clear threshold are apart, and what lies between changes nothing. "In two polls"
counts samples, not ticks: a node that does not answer has no new sample, so nothing begins and nothing ends for lack
of data. An alert keeps the highest severity that it reached until it resolves.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from tocsin.alerting.inhibition import CAP_NS, SOURCES, covers
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, AlertState, Finding, Grade, Labels, Limits, Over, Severity, Subject, Under
from tocsin.model.event import Orphan

_FALLING = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """A condition that holds without interruption: in how many subjects, since when, last counted in which."""

    count: int
    since_ns: int
    sample: int

    def reaches(self, polls: int, for_ns: int, now_ns: int) -> bool:
        """Tell whether it held in enough subjects and for long enough."""
        return self.count >= polls and now_ns - self.since_ns >= for_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """One alert that is pending, firing or unknown."""

    finding: Finding
    """The newest reading; `value` 0 for one at rest."""
    state: AlertState
    rising: Mapping[str, Streak] = field(default_factory=dict)
    falling: Streak | None = None
    severity: Severity | None = None
    started_wall_ns: int = 0
    activation: int = 0
    count: int = 0
    acked_by: str | None = None
    muted_since_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """All alerts of one scope, by fingerprint; `activations` remembers how often each ever fired."""

    tracked: Mapping[str, Tracked] = field(default_factory=dict)
    activations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a tick happens: engine time for durations, wall time for stamps."""

    now_ns: int
    wall_ns: int


def advance(
    alerts: Alerts,
    findings: Iterable[Finding],
    subjects: Mapping[Labels, Subject],
    moment: Moment,
    beside: Collection[Tracked] = (),
) -> tuple[Alerts, tuple[Alert, ...]]:
    """Take one tick's findings; return the new alerts and what is to be published, in order of fingerprint.

    `subjects` tells how well each subject is observed: without a finding one that gives data is at rest, of one that
    gives none nothing is concluded, and alerts about one that is lost become unknown. Alerts of another scope
    `beside` these may mute some of them.
    """
    found = {fingerprint(finding.detector, finding.labels): finding for finding in findings}
    if not found and not alerts.tracked:
        return alerts, ()
    tracked = dict(alerts.tracked)
    for key in sorted(found.keys() | tracked.keys()):
        current = _observe(tracked.get(key), found.get(key), subjects, moment)
        if current is None:
            tracked.pop(key, None)
        else:
            tracked[key] = current
    return _transitions(replace(alerts, tracked=tracked), found, subjects, moment, beside)


def _observe(
    current: Tracked | None, finding: Finding | None, subjects: Mapping[Labels, Subject], moment: Moment
) -> Tracked | None:
    """Count one more look at a subject; None when there is nothing to track (any more)."""
    if finding is None:
        finding = _at_rest(current, subjects)
    if finding is None:
        return current
    rising = _rise(current.rising if current else {}, finding, moment.now_ns)
    falling = _fall(current.falling if current else None, finding, moment.now_ns)
    if current is None:
        return Tracked(finding=finding, state=AlertState.PENDING, rising=rising) if rising else None
    if current.state is AlertState.PENDING and not rising:
        return None
    return replace(current, finding=_keep_words(current, finding), rising=rising, falling=falling)


def _at_rest(current: Tracked | None, subjects: Mapping[Labels, Subject]) -> Finding | None:
    """Return the silent reading of a subject without a finding: value 0, or None where it gives no data."""
    if current is None:
        return None
    subject = subjects.get(current.finding.labels)
    if subject is None or subject.sample is None:
        return None
    return replace(current.finding, value=0, sample=subject.sample)


def _keep_words(current: Tracked, finding: Finding) -> Finding:
    """Keep the summary, block and evidence of the last breach when the newest reading is only 'at rest'."""
    if finding.value == 0 and current.finding.value:
        return replace(current.finding, value=0, sample=finding.sample)
    return finding


def _limit(limits: Limits, severity: Severity) -> Over | None:
    return {Severity.INFO: limits.info, Severity.WARNING: limits.warning, Severity.CRITICAL: limits.critical}[severity]


def _rise(rising: Mapping[str, Streak], finding: Finding, now_ns: int) -> dict[str, Streak]:
    fresh = {}
    for severity in _FALLING:
        limit = _limit(finding.limits, severity)
        if limit is not None and finding.value >= limit.over:
            fresh[severity.value] = _count(rising.get(severity), finding.sample, now_ns)
    return fresh


def _fall(falling: Streak | None, finding: Finding, now_ns: int) -> Streak | None:
    if finding.value >= finding.limits.clear.under:
        return None
    return _count(falling, finding.sample, now_ns)


def _count(streak: Streak | None, sample: int, now_ns: int) -> Streak:
    if streak is None:
        return Streak(count=1, since_ns=now_ns, sample=sample)
    if streak.sample == sample:
        return streak
    return Streak(count=streak.count + 1, since_ns=streak.since_ns, sample=sample)


def _transitions(
    alerts: Alerts,
    found: Mapping[str, Finding],
    subjects: Mapping[Labels, Subject],
    moment: Moment,
    beside: Collection[Tracked],
) -> tuple[Alerts, tuple[Alert, ...]]:
    tracked, activations = dict(alerts.tracked), dict(alerts.activations)
    out: list[Alert] = []
    for key in sorted(tracked):
        current = tracked[key]
        if current.state is AlertState.PENDING:
            current = _mute(current, chain(alerts.tracked.values(), beside), moment)
        changed = _transition(key, current, found.get(key), subjects, activations.get(key, 0), moment)
        if changed is None:
            tracked[key] = current
            continue
        after, alert = changed
        out.append(alert)
        activations[key] = alert.activation
        if after is None:
            del tracked[key]
        else:
            tracked[key] = after
    return Alerts(tracked=tracked, activations=activations), tuple(out)


def _mute(current: Tracked, others: Iterable[Tracked], moment: Moment) -> Tracked:
    """Note since when a source on the listed table mutes this pending alert."""
    sources = () if current.finding.unmuted else SOURCES.get(current.finding.detector, ())
    muted = any(
        other.finding.detector in sources and covers(other.finding.labels, current.finding.labels) for other in others
    )
    if not muted:
        return replace(current, muted_since_ns=None) if current.muted_since_ns is not None else current
    return current if current.muted_since_ns is not None else replace(current, muted_since_ns=moment.now_ns)


def _transition(
    key: str,
    current: Tracked,
    finding: Finding | None,
    subjects: Mapping[Labels, Subject],
    activations: int,
    moment: Moment,
) -> tuple[Tracked | None, Alert] | None:
    """Return the next state and its message, or None when nothing is to be said."""
    muted = current.muted_since_ns is not None and moment.now_ns - current.muted_since_ns < CAP_NS
    reached = None if muted else _reached(current, moment.now_ns)
    subject = subjects.get(current.finding.labels)
    has_data = finding is not None or (subject is not None and subject.sample is not None)
    if current.state is AlertState.PENDING:
        # Time alone makes nothing fire: what is late may be the node's answer that all is well again.
        return None if reached is None or not has_data else _fire(key, current, reached, activations, moment)
    if not has_data:
        if current.state is AlertState.UNKNOWN or (subject is not None and not subject.lost):
            return None
        return _say(key, current, moment, state=AlertState.UNKNOWN, reason="data-missing")
    if _is_over(current, moment.now_ns):
        return _resolve(key, current, moment, "acked" if current.finding.limits.latched else "cleared")
    if reached is not None and current.severity is not None and reached.rank > current.severity.rank:
        raised = replace(current, severity=reached)
        return _say(key, raised, moment, state=AlertState.FIRING, reason="raised")
    if current.state is AlertState.UNKNOWN:
        return _say(key, current, moment, state=AlertState.FIRING, reason="data-back")
    return None


def _reached(current: Tracked, now_ns: int) -> Severity | None:
    for severity in _FALLING:
        limit, streak = _limit(current.finding.limits, severity), current.rising.get(severity)
        if limit is not None and streak is not None and streak.reaches(limit.polls, limit.for_ns, now_ns):
            cap = current.finding.limits.at_most
            return severity if cap is None or severity.rank < cap.rank else cap
    return None


def is_held_back(current: Tracked, now_ns: int) -> bool:
    """Return whether an alert would fire but for a source that mutes it: what it says is so all the same."""
    is_muted = current.state is AlertState.PENDING and current.muted_since_ns is not None
    return is_muted and _reached(current, now_ns) is not None


def _is_over(current: Tracked, now_ns: int) -> bool:
    clear: Under = current.finding.limits.clear
    if current.falling is None or not current.falling.reaches(clear.polls, clear.for_ns, now_ns):
        return False
    return current.acked_by is not None or not current.finding.limits.latched


def _fire(
    key: str, current: Tracked, severity: Severity, activations: int, moment: Moment
) -> tuple[Tracked | None, Alert]:
    fired = replace(
        current, severity=severity, started_wall_ns=moment.wall_ns, activation=activations + 1, muted_since_ns=None
    )
    return _say(key, fired, moment, state=AlertState.FIRING, reason="fired")


def _resolve(key: str, current: Tracked, moment: Moment, reason: str) -> tuple[Tracked | None, Alert]:
    _, alert = _say(key, current, moment, state=AlertState.RESOLVED, reason=reason)
    return None, alert


def _say(key: str, current: Tracked, moment: Moment, *, state: AlertState, reason: str) -> tuple[Tracked | None, Alert]:
    after = replace(current, state=state, count=current.count + 1)
    finding = current.finding
    severity = current.severity or Severity.INFO
    limit = _limit(finding.limits, severity) or (finding.limits.critical if finding.limits.at_most else None)
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
        started_wall_ns=current.started_wall_ns,
        updated_wall_ns=moment.wall_ns,
        resolved_wall_ns=moment.wall_ns if state is AlertState.RESOLVED else None,
        count=after.count,
        reason=reason,
        acked_by=current.acked_by,
        previous=None if reason == "fired" else current.state,
    )
    return after, alert


def acknowledge(alerts: Alerts, key: str, by: str, moment: Moment) -> tuple[Alerts, tuple[Alert, ...]]:
    """Note that a person has seen the alert; a latched one may then resolve. Nothing for an unknown fingerprint."""
    current = alerts.tracked.get(key)
    if current is None or current.state is AlertState.PENDING:
        return alerts, ()
    after, alert = _say(key, replace(current, acked_by=by), moment, state=current.state, reason="acked")
    tracked = dict(alerts.tracked)
    if after is not None:
        tracked[key] = after
    return replace(alerts, tracked=tracked), (alert,)


def revived(alerts: Alerts) -> Alerts:
    """Return the alerts as a new life takes them over: open ones stay open, whatever had begun begins anew.

    Nobody looked meanwhile, so the time between was neither time over the limit nor time below it.
    """
    tracked = {
        key: replace(current, rising={}, falling=None)
        for key, current in alerts.tracked.items()
        if current.state is not AlertState.PENDING
    }
    return replace(alerts, tracked=tracked)


def resumed(alerts: Alerts, gap_ns: int) -> Alerts:
    """Return the alerts after a time in which nobody looked: nothing has lasted through it, nothing is forgotten."""
    tracked = {
        key: replace(
            current,
            rising={severity: _later(streak, gap_ns) for severity, streak in current.rising.items()},
            falling=None if current.falling is None else _later(current.falling, gap_ns),
        )
        for key, current in alerts.tracked.items()
    }
    return replace(alerts, tracked=tracked)


def _later(streak: Streak, gap_ns: int) -> Streak:
    return replace(streak, since_ns=streak.since_ns + gap_ns)


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
        return Alerts(tracked=left, activations=activations if watched else alerts.activations), ()
    if not watched:
        _, alert = _resolve(orphan.fingerprint, lost, moment, "unconfigured")
        return replace(alerts, activations=activations), (alert,)
    after, alert = _say(orphan.fingerprint, lost, moment, state=AlertState.UNKNOWN, reason="state-lost")
    tracked = {**alerts.tracked, orphan.fingerprint: after or lost}
    return Alerts(tracked=tracked, activations=activations), (alert,)


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
        _resolve(key, alerts.tracked[key], moment, reason)[1]
        for key in gone
        if alerts.tracked[key].state is not AlertState.PENDING
    ]
    left = {key: tracked for key, tracked in alerts.tracked.items() if key not in gone}
    return replace(alerts, tracked=left), tuple(out)
