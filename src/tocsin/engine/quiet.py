"""What silences come to, for the people who want and see them.

Which open alerts one covers, which critical ones it spares, and what of its match can mean nothing. Nothing is decided
here: that is `tocsin.engine.silencing`.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tocsin.alerting.matching import DETECTOR, SEVERITY, Matcher, Names, Sign, matches, may_mean, parse
from tocsin.alerting.silences import is_for, means
from tocsin.alerting.tracked import Tracked
from tocsin.detect import REGISTRY
from tocsin.engine import silencing
from tocsin.engine.labels import KEYS, names_of
from tocsin.engine.opened import Open, open_alerts
from tocsin.engine.silencing import Refused
from tocsin.engine.state import EngineState
from tocsin.model import selftest
from tocsin.model.alert import Labels, Severity
from tocsin.model.event import Commanded
from tocsin.model.settings import Settings
from tocsin.model.silence import Silence

_MOST_SHOWN: Final = 20
"""Alerts that are told one by one; of more only the number."""
_MOST_CHOICES: Final = 8
_MOST_PAIRS: Final = 2_500
"""Alerts times silences that are looked at for one status, every second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The open alerts that a silence means: those that it silences, and the critical ones that it spares."""

    covered: tuple[Open, ...] = ()
    spared: tuple[Open, ...] = ()


def severity_of(tracked: Tracked) -> Severity:
    """Return how bad an open alert is."""
    return tracked.severity or Severity.INFO


def reach(state: EngineState, silence: Silence) -> Reach:
    """Return what a silence means of all that is open, whether or not it has begun."""
    return _reach(silence, list(_subjects(state, open_alerts(state))))


Subjects = Sequence[tuple[Open, Labels]]
"""Open alerts, each with what people call its subject."""


def _subjects(state: EngineState, alerts: Iterable[Open]) -> Iterator[tuple[Open, Labels]]:
    names = names_of(state.settings) if state.settings is not None else Names()
    for entry in alerts:
        labels = entry[1].finding.labels
        yield entry, (*labels, *names.of(labels))


def _reach(silence: Silence, subjects: Subjects) -> Reach:
    meant = [
        (key, tracked)
        for (key, tracked), pairs in subjects
        if means(silence, tracked.finding.detector, severity_of(tracked), pairs)
    ]
    return Reach(
        covered=tuple([entry for entry in meant if is_for(silence, severity_of(entry[1]))]),
        spared=tuple([entry for entry in meant if not is_for(silence, severity_of(entry[1]))]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a status shows of silences: their rows, and by which of them each open alert is silenced.

    Of more alerts and silences than can be held against each other every second the last ones are left out.
    """

    rows: Sequence[Mapping[str, object]] = ()
    silenced_by: Mapping[str, Sequence[str]] = field(default_factory=dict)


def marks(state: EngineState, alerts: Sequence[Open]) -> Marks:
    """Return what silences there are and what they do to open alerts, which come in the order of their weight."""
    wall_ns = state.wall_ns
    silences = silencing.listed(state, wall_ns)
    later = [{**row(one, wall_ns), "covers": None, "spares": None} for one in silencing.coming(state, wall_ns)]
    if not silences:
        return Marks(rows=later, silenced_by={key: () for key, _ in alerts})
    seen = alerts[: _MOST_PAIRS // len(silences)]
    subjects = list(_subjects(state, seen))
    silenced_by: dict[str, list[str]] = {key: [] for key, _ in seen}
    rows: list[Mapping[str, object]] = []
    for silence in silences:
        meant, shown = _reach(silence, subjects), row(silence, wall_ns)
        for key, _ in meant.covered if shown["active"] else ():
            silenced_by[key].append(silence.id)
        is_whole = len(seen) == len(alerts)
        covers, spares = (len(meant.covered), len(meant.spared)) if is_whole else (None, None)
        rows.append({**shown, "covers": covers, "spares": spares})
    return Marks(rows=[*rows, *later], silenced_by=silenced_by)


def counts(state: EngineState) -> dict[str, int]:
    """Return how many alerts are open by severity, silenced ones apart; of very many, all that are not looked at."""
    alerts = list(open_alerts(state))
    silenced_by = marks(state, alerts).silenced_by
    found = {**{severity.value: 0 for severity in reversed(Severity)}, "silenced": 0}
    for key, tracked in alerts:
        found["silenced" if silenced_by.get(key) else severity_of(tracked).value] += 1
    return found


def wanted(state: EngineState, event: Commanded) -> Silence:
    """Return the silence that a command will begin. Raises Refused, also for keys that no alert has.

    Those the core takes: what was taken once has to mean the same when it is replayed.
    """
    silence = silencing.begun(state, event).silences[-1]
    used = {key for _, tracked in open_alerts(state) for key, _ in tracked.finding.labels}
    for term in parse(silence.match):
        if term.key not in KEYS and term.key not in used:
            raise Refused(f"match: no alert has a label {term.key!r}{_nearest(term.key, KEYS)}; {_choices(KEYS)}")
    return silence


def hints(state: EngineState, silence: Silence) -> tuple[str, ...]:
    """Return what makes a silence mean nothing, now or ever: names that nothing has, critical alerts that it spares."""
    terms = parse(silence.match)
    found = list(_unknown_names(state.settings, terms)) if state.settings is not None else []
    twins = [one.id for one in (*state.silences, *_configured(state)) if one.match == silence.match and one != silence]
    if twins:
        found.append(f"there is one with the same match already: {', '.join(twins[:_MOST_CHOICES])}")
    graded = [term for term in terms if term.key == SEVERITY]
    lesser = [one for one in Severity if is_for(silence, one)]
    if not any(matches(graded, "", one, ()) for one in lesser):
        found.append("it means critical alerts alone, and spares those: say so with --critical to silence them")
    return tuple(found)


def _configured(state: EngineState) -> tuple[Silence, ...]:
    return state.settings.silences if state.settings is not None else ()


def _unknown_names(settings: Settings, terms: Iterable[Matcher]) -> Iterator[str]:
    known = {
        DETECTOR: sorted({*REGISTRY, selftest.ID}),
        "chain": [chain.name for chain in settings.chains],
        "node": [node.name for chain in settings.chains for node in chain.everyone],
        "provider": sorted({node.provider for chain in settings.chains for node in chain.everyone}),
    }
    formal = {
        "chain": [f"eip155:{chain.id}" for chain in settings.chains],
        "node": [node.id for chain in settings.chains for node in chain.everyone],
    }
    for term in terms:
        names = [*known.get(term.key, ()), *formal.get(term.key, ())]
        if not names or term.sign is not Sign.IS or term.choices == ("",):
            continue
        if not any(may_mean(term, name) for name in names):
            said = "|".join(term.choices)
            yield f"no {term.key} is called {said}{_nearest(said, names)}; {_choices(known[term.key])}"


def _nearest(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _choices(known: Sequence[str]) -> str:
    more = ", ..." if len(known) > _MOST_CHOICES else ""
    return f"there are {', '.join(known[:_MOST_CHOICES])}{more}"


# -- as documents show it


def row(silence: Silence, wall_ns: int) -> dict[str, object]:
    """Return a silence as documents show it."""
    return {
        "id": silence.id,
        "match": silence.match,
        "by": silence.by,
        "reason": silence.reason,
        "from_wall_ns": silence.from_wall_ns,
        "until_wall_ns": silence.until_wall_ns,
        "critical": silence.critical,
        "active": silence.from_wall_ns <= wall_ns < silence.until_wall_ns,
    }


def told(state: EngineState, silence: Silence, wall_ns: int) -> dict[str, object]:
    """Return what a person is told of a silence: itself, what it does to open alerts, and what is odd about it."""
    meant = reach(state, silence)
    return {
        "silence": row(silence, wall_ns),
        "covered": _counted(meant.covered),
        "spared": _counted(meant.spared),
        "hints": list(hints(state, silence)),
    }


def told_of_end(before: EngineState, after: EngineState, silence: Silence, wall_ns: int) -> dict[str, object]:
    """Return what a person is told of a silence that ended: itself, what it covered, how much of that still is."""
    covered = reach(before, silence).covered if row(silence, wall_ns)["active"] else ()
    others = silencing.in_force(after, wall_ns)
    still = [
        tracked
        for _, tracked in covered
        if others.covers(tracked.finding.detector, severity_of(tracked), tracked.finding.labels)
    ]
    return {"silence": row(silence, wall_ns), "covered": _counted(covered), "still_silenced": len(still)}


def _counted(entries: tuple[Open, ...]) -> dict[str, object]:
    return {"count": len(entries), "alerts": [_alert(*entry) for entry in entries[:_MOST_SHOWN]]}


def _alert(key: str, tracked: Tracked) -> dict[str, object]:
    return {
        "fingerprint": key,
        "detector": tracked.finding.detector,
        "severity": severity_of(tracked).value,
        "summary": tracked.finding.summary,
    }
