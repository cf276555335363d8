"""The status of everything as one document: what `tocsin status` shows and `status.json` holds.

Pure: what the core knows. What only the runtime knows (broker, store, configuration file) is added there.
"""

from collections.abc import Iterable, Sequence

from tocsin.alerting.tracked import Tracked
from tocsin.engine import (
    beacondocs,
    contractdocs,
    feeddocs,
    hostdocs,
    indexdocs,
    marketdocs,
    peers,
    quiet,
    selftest,
    standing,
    traitdocs,
)
from tocsin.engine.documents import lag_blocks
from tocsin.engine.opened import Open, open_alerts
from tocsin.engine.pool import groups_of
from tocsin.engine.shown import block, seconds
from tocsin.engine.state import ChainState, EngineState
from tocsin.model.alert import AlertState, Grade, Severity
from tocsin.model.settings import ChainSettings

_LEVELS = ("ok", "warning", "critical", "unknown")
"""In rising order of what a person has to do; `unknown` goes before everything, since nothing can be said."""

MOST_ALERTS = 500
"""Alerts that are told one by one, the worst and oldest: the status is made every second, also in a storm of them."""

_LEVEL_OF_GRADE = {Grade.BLIND: "unknown", Grade.SPLIT: "critical"}


def status(state: EngineState, t_ns: int) -> dict[str, object]:
    """Return chains, alerts and the overall level at engine time `t_ns`."""
    settings = state.settings
    chains = [_chain(state, chain, t_ns) for chain in settings.chains] if settings is not None else []
    own = [_level(tracked) for tracked in state.alerts.tracked.values()]
    open_ = _open(state)
    marks = quiet.marks(state, open_)
    shown = open_[:MOST_ALERTS]
    level = overall([*(str(chain["level"]) for chain in chains), *own]) if chains else "unknown"
    return {
        "seq": state.seq,
        "level": level,
        "chains": chains,
        "alerts": [_alert(key, tracked, marks.silenced_by.get(key), t_ns) for key, tracked in shown],
        "alerts_total": len(open_),
        "silences": list(marks.rows),
        "host": hostdocs.host(state),
        "gateways": feeddocs.gateway_rows(state, settings, t_ns, _wall_ns(state, t_ns)) if settings is not None else [],
        "peers": peers.rows(state, t_ns),
        "self_test": selftest.row(state, t_ns),
        "loop_lag_ms": state.loop_lag_ns // 10**6,
    }


def _wall_ns(state: EngineState, t_ns: int) -> int:
    """Return the wall time of an engine time, as far as the last tick tells."""
    return state.wall_ns if state.wall_ahead_ns is None else t_ns + state.wall_ahead_ns


def worst(levels: Iterable[str]) -> str:
    """Return the highest of some levels, `ok` for none."""
    return max(levels, key=_LEVELS.index, default="ok")


def overall(levels: list[str]) -> str:
    """Return the level of a whole: that something is critical says more than that the rest is unknown."""
    return "critical" if "critical" in levels else worst(levels)


def _chain(state: EngineState, settings: ChainSettings, t_ns: int) -> dict[str, object]:
    chain = state.chains[settings.name]
    head = chain.head
    levels = [_level(tracked) for tracked in chain.alerts.tracked.values()]
    levels.append("unknown" if head.block is None else _LEVEL_OF_GRADE.get(head.grade, "ok"))
    return {
        "name": settings.name,
        "id": settings.id,
        "level": overall(levels),
        "grade": head.grade.value,
        "explanation": head.explanation or None,
        "assumption": groups_of(settings).assumption,
        "head": block(head.block),
        "fresh": block(chain.fresh),
        "head_age_s": seconds(t_ns - head.since_ns) if head.since_ns is not None else None,
        "finalized": block(chain.finalized.block),
        "finalized_grade": chain.finalized.grade.value,
        "finalized_explanation": chain.finalized.explanation or None,
        "votes": head.votes,
        "voting_groups": head.voting_groups,
        "groups": head.groups,
        "tree": {"headers": len(chain.tree.headers), "forgotten": chain.forgotten},
        "nodes": [_node(chain, settings, node.name, t_ns) for node in settings.nodes],
        "closed": standing.closed(chain, t_ns),
        "detectors": standing.trials(chain),
        "contracts": contractdocs.rows(chain, settings, t_ns),
        "indexes": indexdocs.rows(chain, settings, t_ns),
        "markets": marketdocs.rows(chain, settings, t_ns),
        "feeds": feeddocs.rows(state, settings, t_ns, _wall_ns(state, t_ns)),
        "beacons": beacondocs.rows(chain, state.settings, settings) if state.settings is not None else [],
    }


def _level(tracked: Tracked) -> str:
    if tracked.state is AlertState.PENDING or tracked.severity in (None, Severity.INFO):
        return "ok"
    return "critical" if tracked.severity is Severity.CRITICAL else "warning"


def _node(chain: ChainState, settings: ChainSettings, name: str, t_ns: int) -> dict[str, object]:
    record = chain.nodes[name]
    # Height says nothing of a node on another branch: it may be as high as the others, and is behind nobody.
    forked = record.forked_since_ns is not None
    behind = None if forked else lag_blocks(chain.head, record)
    return {
        "name": name,
        **standing.life(chain, settings, name, t_ns),
        "head": record.head.number if record.head is not None else None,
        "behind": behind,
        "behind_s": None if behind is None else seconds(behind * settings.block_time_ns),
        "forked": forked,
        "forked_s": None if record.forked_since_ns is None else seconds(t_ns - record.forked_since_ns),
        "latency_ms": None if record.latency_ns is None else record.latency_ns // 10**4 / 100,
        "polls": record.polls,
        **traitdocs.row(record, t_ns),
    }


def _open(state: EngineState) -> list[Open]:
    """Return the open alerts, the worst and oldest first."""
    return sorted(open_alerts(state), key=lambda entry: (-_rank(entry[1]), entry[1].started_wall_ns, entry[0]))


def _rank(tracked: Tracked) -> int:
    return tracked.severity.rank if tracked.severity is not None else -1


def _alert(key: str, tracked: Tracked, silenced_by: Sequence[str] | None, t_ns: int) -> dict[str, object]:
    finding, severity = tracked.finding, quiet.severity_of(tracked)
    return {
        "fingerprint": key,
        "detector": finding.detector,
        "severity": severity.value,
        "state": tracked.state.value,
        "labels": dict(finding.labels),
        "summary": finding.summary,
        "since_wall_ns": tracked.started_wall_ns,
        "acked_by": tracked.acked_by,
        "silenced_by": None if silenced_by is None else list(silenced_by),
        "flapping": tracked.flap is not None,
        "well_s": _well_s(tracked, t_ns),
        "inhibited_by": tracked.muted_by,
    }


def _well_s(tracked: Tracked, t_ns: int) -> float | None:
    """Return for how long an alert that fires on has been clear; None while its condition holds, or is unknown."""
    if tracked.falling is None or tracked.state is not AlertState.FIRING:
        return None
    return seconds(t_ns - tracked.falling.since_ns)
