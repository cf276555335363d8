"""How detectors earn trust: observe, warn, enforce, for each detector on each chain.

Checks that are new to a chain are wrong in bursts: of 755 violations that eRPC counted in a week of production, 702
were false, within hours after a check met a chain. So a detector that is statistical or knows a quirk starts in
`observe`: what it would have raised is counted and shown, never alerted.

A *check* is an agreed block at which the detector had something to judge by, on at least one node. Blocks are counted
and not looks, since a quirk of a block shows on all nodes and in every poll of it: a thousand blocks of 12 s are more
than three hours, longer than those bursts; twenty nodes polled every 2 s would do as many looks in two minutes.

A *window* is a thousand checks. It is clean when the detector raised at most one alert in it that nothing else bears
out (no other alert is open for the same subject), and never failed on all nodes at once. Alerts about the nodes of one
group count once: that one node or provider is odd again and again says more of it than of the check. After a clean
window `observe` becomes `warn`, which caps severity at warning, and `warn` becomes `enforce`. Any other window is
followed by a new one.

Whatever it was before, a detector that fails on all answering nodes at once, three at least of two groups, is back in
`observe`, unless that is news of its own (`ChainDetector.everywhere`): its alerts resolve, `self.detector_suspect`
says so, and until a person acknowledges that it earns nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tocsin.alerting.inhibition import EVEN_OBSERVED
from tocsin.alerting.lifecycle import advance
from tocsin.alerting.tracked import Alerts, Moment, Tracked
from tocsin.alerting.withdrawal import withdraw
from tocsin.detect import CHAIN_DETECTORS
from tocsin.detect.base import ChainDetector
from tocsin.engine import beacons
from tocsin.engine.pool import groups_of
from tocsin.engine.state import ChainState
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, AlertState, Finding, Labels, Severity, Subject
from tocsin.model.beacon import BeaconView
from tocsin.model.evolve import evolve
from tocsin.model.settings import AlertRules, ChainSettings
from tocsin.model.trust import Case, Standing, Suspicion, Trust
from tocsin.model.view import ChainView

WINDOW = 1_000
"""Checks that make a window."""
BORNE = 1
"""Alerts that nothing bears out which a clean window may have: at most one check in a thousand is wrong."""
MANY_NODES, MANY_GROUPS = 3, 2
"""So many fail at once, at least, before it is the check that is suspected."""
SUSPECT = "detector-suspect"
"""Why alerts of a suspected detector resolve."""

_ONLY_CHANGES = AlertRules(remind_critical_ns=(), remind_warning_ns=(), flap_transitions=0)
_NAMED = 16
_SUMMARY = 300
_NEW_WINDOW = {"checks": 0, "cases": 0, "accused": ()}
_RISEN = {Trust.OBSERVE: Trust.WARN, Trust.WARN: Trust.ENFORCE, Trust.ENFORCE: Trust.ENFORCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A chain after its findings were judged, and what is to be published."""

    chain: ChainState
    alerts: tuple[Alert, ...]


def level(standings: Mapping[str, Standing], detector: str) -> Trust:
    """Return how far a detector is believed."""
    standing = standings.get(detector)
    return Trust.ENFORCE if standing is None else standing.trust


def configured(standings: Mapping[str, Standing], chain: ChainSettings) -> Mapping[str, Standing]:
    """Return the standings under a configuration: what was earned stays, what is configured anew begins anew."""
    fresh: dict[str, Standing] = {}
    for detector in CHAIN_DETECTORS:
        fixed, old = chain.trust.get(detector.id), standings.get(detector.id)
        starts = fixed or detector.starts
        if old is not None and old.fixed is fixed:
            fresh[detector.id] = old
        elif starts is not Trust.ENFORCE:
            fresh[detector.id] = Standing(trust=starts, fixed=fixed)
    return fresh


def judge(
    state: ChainState,
    view: ChainView,
    findings: Collection[Finding],
    subjects: Mapping[Labels, Subject],
    moment: Moment,
) -> Judged:
    """Return the chain with alerts of what is believed, and what is only observed beside it."""
    believed, watched = _sorted(findings, state.trust)
    beside = [one for one in state.observed.tracked.values() if one.finding.detector in EVEN_OBSERVED]
    alerts, said = advance(state.alerts, believed, subjects, moment, beside)
    trust = state.trust
    failing = _everywhere(alerts, believed, view)
    if failing:
        trust = _demoted(trust, failing, believed, moment)
        believed, watched = _sorted(findings, trust)
        kept, gone = withdraw(state.alerts, lambda one: one.finding.detector in failing, moment, SUSPECT)
        alerts, said = advance(kept, believed, subjects, moment, beside)
        said = (*gone, *said)
    observed, would = advance(state.observed, watched, subjects, _plain(moment), beside=alerts.tracked.values())
    if said or would:
        trust = _noted(trust, (*would, *said), alerts, view.settings)
    if watched:
        trust = _noted_everywhere(trust, _everywhere(observed, watched, view))
    after = evolve(state, alerts=alerts, observed=observed, trust=trust)
    return Judged(chain=_counted(after, view), alerts=said)


def _plain(moment: Moment) -> Moment:
    """Return a moment in which nothing is said but what begins and ends: what is only observed reminds nobody."""
    return evolve(moment, rules=_ONLY_CHANGES)


def acquitted(standings: Mapping[str, Standing], detector: str) -> Mapping[str, Standing]:
    """Return the standings after a person has acknowledged that a detector is suspected."""
    standing = standings.get(detector)
    if standing is None or standing.suspicion is None:
        return standings
    return {**standings, detector: evolve(standing, suspicion=None)}


def _sorted(findings: Iterable[Finding], trust: Mapping[str, Standing]) -> tuple[list[Finding], list[Finding]]:
    """Return the findings that count, capped where they are not wholly believed, and those that are only observed."""
    if not trust:
        return list(findings), []
    believed, watched = [], []
    for finding in findings:
        match level(trust, finding.detector):
            case Trust.OBSERVE:
                watched.append(finding)
            case Trust.WARN:
                believed.append(evolve(finding, limits=evolve(finding.limits, at_most=Severity.WARNING)))
            case Trust.ENFORCE:
                believed.append(finding)
    return believed, watched


def _everywhere(alerts: Alerts, findings: Collection[Finding], view: ChainView) -> dict[str, tuple[str, ...]]:
    """Return the detectors for which all nodes that they can judge fail now, with the names of these nodes."""
    if len(findings) < MANY_NODES:
        return {}
    counts = Counter(finding.detector for finding in findings)
    found: dict[str, tuple[str, ...]] = {}
    for detector in CHAIN_DETECTORS:
        if detector.everywhere or counts[detector.id] < MANY_NODES:
            continue
        names = _judged(detector, view)
        doubtful = sum(one.detector == detector.id and detector.doubts(one) for one in findings)
        if len(names) < MANY_NODES or doubtful < len(names) or _groups(detector, view, names) < MANY_GROUPS:
            continue
        if all(_fails(alerts.tracked.get(fingerprint(detector.id, labels))) for labels in names):
            found[detector.id] = tuple(names.values())
    return found


def _judged(detector: ChainDetector, view: ChainView) -> dict[Labels, str]:
    if detector.of_beacons:
        return {one.labels: one.settings.node.name for one in _beacons(detector, view)}
    return {node.labels: node.settings.name for node in view.answering if detector.judges(node)}


def _beacons(detector: ChainDetector, view: ChainView) -> list[BeaconView]:
    return [one for one in view.beacons if one.answering and detector.judges(one)]


def _can_judge(detector: ChainDetector, view: ChainView) -> bool:
    if detector.of_beacons:
        return bool(_beacons(detector, view))
    return any(detector.judges(node) for node in view.answering)


def _groups(detector: ChainDetector, view: ChainView, names: Mapping[Labels, str]) -> int:
    wanted, chain = set(names.values()), view.settings
    groups = beacons.groups_of(chain) if detector.of_beacons else [one.nodes for one in groups_of(chain).groups]
    return sum(not wanted.isdisjoint(group) for group in groups)


def _fails(tracked: Tracked | None) -> bool:
    return tracked is not None and tracked.state is AlertState.FIRING and bool(tracked.rising)


def _demoted(
    trust: Mapping[str, Standing], failing: Mapping[str, tuple[str, ...]], findings: Iterable[Finding], moment: Moment
) -> dict[str, Standing]:
    after = dict(trust)
    for detector, names in failing.items():
        finding = min((one for one in findings if one.detector == detector), key=lambda one: one.labels)
        suspicion = Suspicion(
            nodes=names[:_NAMED],
            count=len(names),
            summary=finding.summary[:_SUMMARY],
            wall_ns=moment.wall_ns,
        )
        standing = trust.get(detector) or Standing(trust=Trust.ENFORCE)
        after[detector] = evolve(standing, trust=Trust.OBSERVE, everywhere=True, suspicion=suspicion, **_NEW_WINDOW)
    return after


def _noted(
    trust: Mapping[str, Standing], said: Iterable[Alert], alerts: Alerts, chain: ChainSettings
) -> Mapping[str, Standing]:
    """Count the alerts that began, or would have, of detectors that are still on trial."""
    after = dict(trust)
    for alert in said:
        standing = after.get(alert.detector)
        if alert.reason != "fired" or standing is None or standing.trust is Trust.ENFORCE:
            continue
        if not _is_borne_out(alert, alerts):
            standing = _accused(standing, _group_of(alert.labels, chain))
        case = Case(
            labels=alert.labels,
            summary=alert.summary[:_SUMMARY],
            value=alert.value or 0,
            unit=alert.unit,
            wall_ns=alert.updated_wall_ns,
        )
        after[alert.detector] = evolve(
            standing, since_cases=standing.since_cases + 1, first=standing.first or case, newest=case
        )
    return after


def _accused(standing: Standing, group: str) -> Standing:
    """Count a case that nothing bears out, of each group one."""
    if group in standing.accused:
        return standing
    accused = tuple(sorted({*standing.accused, group})) if group else standing.accused
    return evolve(standing, cases=standing.cases + 1, accused=accused)


def _group_of(labels: Labels, chain: ChainSettings) -> str:
    """Return the first node of the group that an alert is about.

    Nothing for one about the chain, and where all are one group: then nobody is left who could speak for the check.
    """
    node_id = dict(labels).get("node")
    name = next((one.name for one in chain.everyone if one.id == node_id), None)
    for groups in (tuple(group.nodes for group in groups_of(chain).groups), beacons.groups_of(chain)):
        found = next((group[0] for group in groups if name in group), "")
        if found and len(groups) >= MANY_GROUPS:
            return found
    return ""


def _is_borne_out(alert: Alert, alerts: Alerts) -> bool:
    """Tell whether something else is known to be wrong with the same subject."""
    return any(
        tracked.state is not AlertState.PENDING
        and tracked.finding.labels == alert.labels
        and tracked.finding.detector != alert.detector
        for tracked in alerts.tracked.values()
    )


def _noted_everywhere(trust: Mapping[str, Standing], failing: Iterable[str]) -> Mapping[str, Standing]:
    fresh = [detector for detector in failing if not trust[detector].everywhere]
    if not fresh:
        return trust
    return {**trust, **{detector: evolve(trust[detector], everywhere=True) for detector in fresh}}


def _counted(state: ChainState, view: ChainView) -> ChainState:
    """Count a check for each detector on trial when the agreed head has moved, and close its window if that is full."""
    block = view.head.block
    if block is None or block.hash == state.counted:
        return state
    trust, observed = dict(state.trust), state.observed
    for detector in CHAIN_DETECTORS:
        standing = trust.get(detector.id)
        if standing is None or not _can_judge(detector, view):
            continue
        after = _closed(evolve(standing, checks=standing.checks + 1, since_checks=standing.since_checks + 1))
        trust[detector.id] = after
        if standing.trust is Trust.OBSERVE and after.trust is not Trust.OBSERVE:
            observed = _without(observed, detector.id)
    return evolve(state, trust=trust, observed=observed, counted=block.hash)


def _closed(standing: Standing) -> Standing:
    if standing.checks < WINDOW:
        return standing
    is_clean = standing.cases <= BORNE and not standing.everywhere and standing.suspicion is None
    has_more = standing.trust is not (standing.fixed or Trust.ENFORCE)
    trust = _RISEN[standing.trust] if is_clean and has_more else standing.trust
    return evolve(standing, trust=trust, everywhere=False, **_NEW_WINDOW)


def _without(alerts: Alerts, detector: str) -> Alerts:
    """Forget what was observed of a detector: from now on its findings count, and begin anew."""
    tracked = {key: one for key, one in alerts.tracked.items() if one.finding.detector != detector}
    return evolve(alerts, tracked=tracked)
