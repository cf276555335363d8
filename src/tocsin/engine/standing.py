"""What `status` tells of nodes beside their heads, and of detectors that are on trial."""

from collections.abc import Mapping

from tocsin.chain.nodelife import LifeParams, NodeLife, NodeState, probation_left_ns
from tocsin.engine.shown import seconds, window_row
from tocsin.engine.state import ChainState
from tocsin.engine.trust import WINDOW
from tocsin.model.settings import ChainSettings
from tocsin.model.trust import Case, Standing, Trust


def life(state: ChainState, chain: ChainSettings, name: str, t_ns: int) -> dict[str, object]:
    """Return the state of a node: since how long and why, how often it changed, and what is left of a probation."""
    lived = state.lives.get(name, NodeLife())
    params = LifeParams.for_poll(chain.poll_ns)
    left_ns = probation_left_ns(lived, t_ns, params)
    reasons = [reason for _, reason in lived.flags]
    return {
        "state": lived.state.value,
        "reasons": [lived.reason] if lived.state is NodeState.MAINTENANCE else reasons,
        "reason": lived.reason,
        "for_s": seconds(max(0, t_ns - lived.since_ns)) if name in state.lives else None,
        "changes": lived.number,
        "relapses": len(lived.relapses),
        "probation_left_s": None if left_ns is None else seconds(left_ns),
        "maintenance": window_row(state.maintenance.get(name)),
    }


def closed(state: ChainState, t_ns: int) -> list[dict[str, object]]:
    """Return the nodes that ended lately."""
    return [
        {"name": name, "reason": ended.reason, "for_s": seconds(max(0, t_ns - ended.since_ns))}
        for name, ended in sorted(state.closed.items())
    ]


def trials(state: ChainState) -> list[dict[str, object]]:
    """Return the detectors that are not simply enforced, with what they found and what they still have to show."""
    return [
        _trial(detector, standing)
        for detector, standing in sorted(state.trust.items())
        if standing.trust is not Trust.ENFORCE or standing.suspicion is not None
    ]


def _trial(detector: str, standing: Standing) -> dict[str, object]:
    suspicion = standing.suspicion
    return {
        "id": detector,
        "trust": standing.trust.value,
        "fixed": standing.fixed is standing.trust,
        "checks": standing.checks,
        "of": WINDOW,
        "cases": standing.cases,
        "everywhere": standing.everywhere,
        "since_checks": standing.since_checks,
        "since_cases": standing.since_cases,
        "first": _case(standing.first),
        "newest": _case(standing.newest),
        "suspected_wall_ns": suspicion.wall_ns if suspicion is not None else None,
    }


def _case(case: Case | None) -> Mapping[str, object] | None:
    if case is None:
        return None
    return {
        "labels": dict(case.labels),
        "summary": case.summary,
        "value": case.value,
        "unit": case.unit,
        "wall_ns": case.wall_ns,
    }
