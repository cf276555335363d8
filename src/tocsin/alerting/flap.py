"""Alerts that come and go: said once that they do, and then kept firing until they have been quiet.

A *turn* is a firing or its end. With the fourth turn within ten minutes an alert flaps: it says so, and from then on
it neither resolves nor fires again, whatever its condition does. When the condition has not turned for ten minutes, the
alert resolves if it is clear, and fires on as any other if it is not. Latched alerts do not flap: a person ends each.
"""

from collections.abc import Mapping

from tocsin.alerting.streaks import is_over, reached
from tocsin.alerting.tracked import Flap, Moment, Tracked
from tocsin.model.alert import Alert, AlertState
from tocsin.model.evolve import evolve
from tocsin.model.settings import AlertRules

STEADY = "steady"
"""Why an alert changes that flapped and fires on."""

Turns = Mapping[str, tuple[int, ...]]
"""When each alert fired and resolved lately, by fingerprint."""


def has_turned(turns: tuple[int, ...], coming: int, rules: AlertRules, now_ns: int) -> bool:
    """Tell whether the turns of an alert, and those that are coming, are enough to call it flapping."""
    if not rules.flap_transitions:
        return False
    recent = sum(now_ns - at < rules.flap_within_ns for at in turns)
    return recent + coming >= rules.flap_transitions


def followed(current: Tracked, moment: Moment) -> Tracked:
    """Return a flapping alert after a look at its condition: when it turned last, and whether it is clear."""
    flap = current.flap
    if flap is None:
        return current
    has_cleared = not flap.is_clear and is_over(current, moment.now_ns)
    has_returned = flap.is_clear and reached(current, moment.now_ns) is not None
    if not has_cleared and not has_returned:
        return current
    return evolve(current, flap=Flap(since_ns=moment.now_ns, is_clear=has_cleared))


def is_quiet(flap: Flap, moment: Moment) -> bool:
    """Tell whether a flapping alert has not turned for so long that it flaps no more."""
    return moment.now_ns - flap.since_ns >= moment.rules.flap_quiet_ns


def noted(turns: Turns, key: str, before: Tracked, said: Alert, moment: Moment) -> Turns:
    """Return the turns after an alert said something; they are forgotten when it flaps no more, or left unnoted."""
    if before.flap is not None and (said.state is AlertState.RESOLVED or said.reason == STEADY):
        return without(turns, (key,))
    is_turn = said.reason in ("fired", "cleared")
    if not is_turn or before.finding.limits.latched or not moment.rules.flap_transitions:
        return turns
    return {**turns, key: (*turns.get(key, ()), moment.now_ns)[-moment.rules.flap_transitions :]}


def without(turns: Turns, keys: tuple[str, ...]) -> Turns:
    """Return the turns without those of some alerts."""
    if not any(key in turns for key in keys):
        return turns
    return {key: each for key, each in turns.items() if key not in keys}


def recent(turns: Turns, moment: Moment) -> Turns:
    """Return the turns without those of alerts that have been quiet."""
    old = [key for key, each in turns.items() if not each or moment.now_ns - each[-1] >= moment.rules.flap_within_ns]
    return without(turns, tuple(old)) if old else turns
