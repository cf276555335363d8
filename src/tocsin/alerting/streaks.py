"""Conditions that hold without interruption, counted in samples and in time: when an alert is due, and when it is over.

"In two polls" counts samples, not ticks: a node that does not answer has no new sample, so nothing begins and nothing
ends for lack of data.
"""

from collections.abc import Mapping

from tocsin.alerting.tracked import Moment, Streak, Tracked
from tocsin.model.alert import AlertState, Finding, Labels, Limits, Over, Severity, Subject
from tocsin.model.evolve import evolve

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
    rising = _rise(current.rising if current else {}, finding, moment)
    falling = _fall(current.falling if current else None, finding, moment)
    if current is None:
        return Tracked(finding=finding, state=AlertState.PENDING, rising=rising) if rising else None
    if current.state is AlertState.PENDING and not rising:
        return None
    after = evolve(current, finding=_keep_words(current, finding), rising=rising, falling=falling)
    return _cleared(after, moment.now_ns) if finding.limits.keep_firing_ns else after


def _cleared(current: Tracked, now_ns: int) -> Tracked:
    """Note since when an alert has been clear."""
    if not is_clear(current, now_ns):
        return evolve(current, clear_since_ns=None)
    return current if current.clear_since_ns is not None else evolve(current, clear_since_ns=now_ns)


def _at_rest(current: Tracked | None, subjects: Mapping[Labels, Subject]) -> Finding | None:
    """Return the silent reading of a subject without a finding: value 0, or None where it gives no data."""
    if current is None:
        return None
    subject = subjects.get(current.finding.labels)
    if subject is None or subject.sample is None:
        return None
    return evolve(current.finding, value=0, sample=subject.sample)


def _keep_words(current: Tracked, finding: Finding) -> Finding:
    """Keep the summary, block and evidence of the last breach when the newest reading is only 'at rest'."""
    if finding.value == 0 and current.finding.value:
        return evolve(current.finding, value=0, sample=finding.sample)
    return finding


def limit_of(limits: Limits, severity: Severity) -> Over | None:
    """Return the limit of a severity, None where it has none."""
    if severity is Severity.CRITICAL:
        return limits.critical
    return limits.warning if severity is Severity.WARNING else limits.info


def _rise(rising: Mapping[str, Streak], finding: Finding, moment: Moment) -> dict[str, Streak]:
    fresh = {}
    for severity in FALLING:
        limit = limit_of(finding.limits, severity)
        if limit is not None and finding.value >= limit.over:
            fresh[severity.value] = _count(rising.get(severity), finding.sample, moment)
    return fresh


def _fall(falling: Streak | None, finding: Finding, moment: Moment) -> Streak | None:
    if finding.value >= finding.limits.clear.under:
        return None
    return _count(falling, finding.sample, moment)


def _count(streak: Streak | None, sample: int, moment: Moment) -> Streak:
    if streak is None:
        return Streak(count=1, since_ns=moment.now_ns, sample=sample, height=moment.height)
    if moment.height is not None and (streak.height is None or moment.height > streak.height):
        came = 0 if streak.height is None else moment.height - streak.height
        streak = evolve(streak, blocks=streak.blocks + came, height=moment.height)
    return streak if streak.sample == sample else evolve(streak, count=streak.count + 1, sample=sample)


def reached(current: Tracked, now_ns: int) -> Severity | None:
    """Return the worst severity whose limit is reached, in enough samples and for long enough."""
    for severity in FALLING:
        limit, streak = limit_of(current.finding.limits, severity), current.rising.get(severity)
        if limit is not None and streak is not None and streak.reaches(limit, now_ns):
            cap = current.finding.limits.at_most
            return severity if cap is None or severity.rank < cap.rank else cap
    return None


def is_clear(current: Tracked, now_ns: int) -> bool:
    """Tell whether the condition is gone, in enough samples and for long enough."""
    return current.falling is not None and current.falling.reaches(current.finding.limits.clear, now_ns)


def is_over(current: Tracked, now_ns: int) -> bool:
    """Tell whether an alert is clear, and has been for as long as it keeps firing; a latched one after its `ack`."""
    limits = current.finding.limits
    if not is_clear(current, now_ns) or (limits.latched and current.acked_by is None):
        return False
    since_ns = current.clear_since_ns
    return not limits.keep_firing_ns or (since_ns is not None and now_ns - since_ns >= limits.keep_firing_ns)
