"""The life of alerts: pending, firing, unknown, resolved.

    (nothing) --limit reached--> pending --in enough subjects, for long enough--> firing --clear--> resolved
                                    |                                              ^ |
                                    '--value below the limit--> (nothing)          | v
                                                                 data back       unknown (data missing)

Three rules carry it. A limit and its clear threshold are apart, and what lies between changes nothing. "In two polls"
counts samples, not ticks: a node that does not answer has no new sample, so nothing begins and nothing ends for lack
of data. An alert keeps the highest severity that it reached until it resolves.
"""

from collections.abc import Collection, Iterable, Mapping

from tocsin.alerting.flap import followed, noted, recent
from tocsin.alerting.inhibition import by_detector, muted
from tocsin.alerting.saying import say
from tocsin.alerting.streaks import observed
from tocsin.alerting.tracked import Alerts, Moment, Tracked
from tocsin.alerting.transitions import Look, transition
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, AlertState, Finding, Labels, Subject
from tocsin.model.evolve import evolve


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
        current = observed(tracked.get(key), found.get(key), subjects, moment)
        if current is None:
            tracked.pop(key, None)
        else:
            tracked[key] = current
    return _transitions(evolve(alerts, tracked=tracked), found, subjects, moment, beside)


def _transitions(
    alerts: Alerts,
    found: Collection[str],
    subjects: Mapping[Labels, Subject],
    moment: Moment,
    beside: Collection[Tracked],
) -> tuple[Alerts, tuple[Alert, ...]]:
    tracked, activations, turns = dict(alerts.tracked), dict(alerts.activations), recent(alerts.turns, moment)
    others = by_detector((*alerts.tracked.values(), *beside))
    out: list[Alert] = []
    for key in sorted(tracked):
        subject = subjects.get(tracked[key].finding.labels)
        look = Look(
            has_data=key in found or (subject is not None and subject.sample is not None),
            is_lost=subject is None or subject.lost,
            activations=activations.get(key, 0),
            turns=turns.get(key, ()),
        )
        current = muted(tracked[key], others, subject.part_of if subject is not None else (), moment)
        current = followed(current, moment) if look.has_data else current
        changed = transition(key, current, look, moment)
        if changed is None:
            tracked[key] = current
            continue
        after, alert = changed
        out.append(alert)
        activations[key] = alert.activation
        turns = noted(turns, key, current, alert, moment)
        if after is None:
            del tracked[key]
        else:
            tracked[key] = after
    return Alerts(tracked=tracked, activations=activations, turns=turns), tuple(out)


def acknowledge(alerts: Alerts, key: str, by: str, moment: Moment) -> tuple[Alerts, tuple[Alert, ...]]:
    """Note that a person has seen the alert; a latched one may then resolve. Nothing for an unknown fingerprint."""
    current = alerts.tracked.get(key)
    if current is None or current.state is AlertState.PENDING:
        return alerts, ()
    after, alert = say(key, evolve(current, acked_by=by), moment, state=current.state, reason="acked")
    return evolve(alerts, tracked={**alerts.tracked, key: after}), (alert,)
