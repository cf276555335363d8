"""Who is told once forgets: an alert that fires, and that nobody has acknowledged, is said again at growing gaps.

Gaps count from the last word about the alert, whatever that was; only reminders make the next gap longer, and one that
gets worse begins anew. While another alert covers it, or it is about to clear, it waits.
"""

from tocsin.alerting.tracked import Moment, Tracked
from tocsin.model.alert import AlertState


def is_due(current: Tracked, moment: Moment) -> bool:
    """Tell whether an alert about which there is data is to be said again."""
    if current.state is not AlertState.FIRING or current.acked_by is not None or current.severity is None:
        return False
    gaps = moment.rules.reminders(current.severity)
    if not gaps or current.muted_by is not None:
        return False
    is_clearing = current.falling is not None and not current.finding.limits.latched
    gap_ns = gaps[min(current.reminded, len(gaps) - 1)]
    return not is_clearing and moment.now_ns - current.told_ns >= gap_ns
