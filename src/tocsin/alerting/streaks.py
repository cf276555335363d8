"""Conditions that hold without interruption, counted in samples and in time: when an alert is due, and when it is over.

"In two polls" counts samples, not ticks: a node that does not answer has no new sample, so nothing begins and nothing
ends for lack of data.
"""

from collections.abc import Mapping
from dataclasses import replace

from tocsin.alerting.tracked import Moment, Streak, Tracked
from tocsin.model.alert import AlertState, Finding, Labels, Limits, Over, Severity, Subject, Under

FALLING = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
"""The worst first."""


def observed(
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


def limit_of(limits: Limits, severity: Severity) -> Over | None:
    """Return the limit of a severity, None where it has none."""
    return {Severity.INFO: limits.info, Severity.WARNING: limits.warning, Severity.CRITICAL: limits.critical}[severity]


def _rise(rising: Mapping[str, Streak], finding: Finding, now_ns: int) -> dict[str, Streak]:
    fresh = {}
    for severity in FALLING:
        limit = limit_of(finding.limits, severity)
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


def reached(current: Tracked, now_ns: int) -> Severity | None:
    """Return the worst severity whose limit is reached, in enough samples and for long enough."""
    for severity in FALLING:
        limit, streak = limit_of(current.finding.limits, severity), current.rising.get(severity)
        if limit is not None and streak is not None and streak.reaches(limit.polls, limit.for_ns, now_ns):
            cap = current.finding.limits.at_most
            return severity if cap is None or severity.rank < cap.rank else cap
    return None


def is_over(current: Tracked, now_ns: int) -> bool:
    """Tell whether it has cleared, in enough samples and for long enough; a latched one not before its `ack`."""
    clear: Under = current.finding.limits.clear
    if current.falling is None or not current.falling.reaches(clear.polls, clear.for_ns, now_ns):
        return False
    return current.acked_by is not None or not current.finding.limits.latched
