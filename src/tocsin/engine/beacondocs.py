"""What is told of beacon nodes: their retained topics, beside those of nodes, and their rows in the status."""

from collections.abc import Iterator, Mapping
from functools import partial

from tocsin.chain.nodelife import NodeState
from tocsin.engine.labels import node_labels
from tocsin.engine.shown import block, window_row
from tocsin.engine.state import ChainState, Document, Lasting, Window
from tocsin.model.alert import AlertState, Json
from tocsin.model.beacon import BeaconRecord
from tocsin.model.settings import BeaconSettings, ChainSettings, Settings

_STATES: Mapping[str, NodeState] = {
    "beacon.wrong_chain": NodeState.WRONG_CHAIN,
    "beacon.unreachable": NodeState.UNREACHABLE,
    "beacon.syncing": NodeState.SYNCING,
    "beacon.lag": NodeState.LAGGING,
    "node.rate_limited": NodeState.RATE_LIMITED,
}
"""Which state a firing detector puts a beacon node in, the worst first; every other one makes it DEGRADED.

A beacon node has no probation: it votes on nothing that it could spoil by coming and going.
"""

Flags = tuple[tuple[str, str], ...]


def told(
    state: ChainState, settings: Settings, chain: ChainSettings
) -> Iterator[tuple[BeaconSettings, Lasting, Document]]:
    """Yield, for each beacon node that was asked, what of its document lasts, and what makes that."""
    flags = _flags(state, settings, chain)
    for one in chain.beacons:
        seen = state.beacons.get(one.node.name)
        if seen is None or not seen.polls:
            continue
        firing = flags[one.node.name]
        final = seen.finalized
        window = state.maintenance.get(one.node.name)
        lasting = (
            window.why if window is not None else "",
            seen.head.root if seen.head is not None else "",
            final.root if final is not None else "",
            *(text for flag in firing for text in flag),
        )
        yield one, lasting, partial(_document, one, seen, firing, window)


def rows(state: ChainState, settings: Settings, chain: ChainSettings) -> list[dict[str, object]]:
    """Return the rows of the status, in the order of the configuration."""
    flags = _flags(state, settings, chain)
    return [
        _row(
            one,
            state.beacons.get(one.node.name, BeaconRecord()),
            flags[one.node.name],
            state.maintenance.get(one.node.name),
        )
        for one in chain.beacons
    ]


def _flags(state: ChainState, settings: Settings, chain: ChainSettings) -> dict[str, Flags]:
    """Return what fires for each beacon node: detector and reason, the worst first."""
    if not chain.beacons:
        return {}
    firing: dict[object, list[tuple[str, str]]] = {}
    for tracked in state.alerts.tracked.values():
        if tracked.state is not AlertState.PENDING:
            finding = tracked.finding
            firing.setdefault(finding.labels, []).append((finding.detector, finding.summary))
    return {
        one.node.name: tuple(sorted(firing.get(node_labels(settings, chain, one.node), ()), key=_worst_first))
        for one in chain.beacons
    }


def _worst_first(flag: tuple[str, str]) -> tuple[int, str]:
    order = list(_STATES)
    return (order.index(flag[0]) if flag[0] in order else len(order), flag[0])


def _state(seen: BeaconRecord, flags: Flags, window: Window | None) -> NodeState:
    if window is not None:
        return NodeState.MAINTENANCE
    if flags:
        return _STATES.get(flags[0][0], NodeState.DEGRADED)
    return NodeState.HEALTHY if seen.answers else NodeState.INIT


def _document(one: BeaconSettings, seen: BeaconRecord, flags: Flags, window: Window | None) -> Json:
    reason = flags[0][1] if flags else "well" if seen.answers else "not answered yet"
    return {
        "id": one.node.id,
        "kind": "beacon",
        "state": _state(seen, flags, window).value,
        "reason": window.why if window is not None else reason,
        "flags": [{"detector": detector, "reason": reason} for detector, reason in flags],
        "head": block(seen.head.payload) if seen.head is not None else None,
        "lag_blocks": None,
        "lag_s": None,
        "latency_ms": None if seen.latency_ns is None else seen.latency_ns // 10**6,
        "consensus": _consensus(one, seen),
    }


def _consensus(one: BeaconSettings, seen: BeaconRecord) -> Json:
    final = seen.finalized
    return {
        "execution": one.execution,
        "slot": None if seen.head is None else seen.head.slot,
        "root": None if seen.head is None else seen.head.root,
        "finalized_epoch": None if final is None else final.epoch,
        "finalized_root": None if final is None else final.root,
        "finalized": None if final is None else block(final.payload),
        "syncing": seen.syncing,
        "optimistic": seen.optimistic,
        "el_offline": seen.el_offline,
        "peers": seen.peers,
        "version": seen.version[:100],
    }


def _row(one: BeaconSettings, seen: BeaconRecord, flags: Flags, away: Window | None) -> dict[str, object]:
    final = seen.finalized
    return {
        "name": one.node.name,
        "execution": one.execution,
        "state": _state(seen, flags, away).value,
        "reasons": [away.why] if away is not None else [reason for _, reason in flags],
        "maintenance": window_row(away),
        "slot": None if seen.head is None else seen.head.slot,
        "finalized_epoch": None if final is None else final.epoch,
        "peers": seen.peers,
        "latency_ms": None if seen.latency_ns is None else seen.latency_ns // 10**4 / 100,
        "polls": seen.polls,
    }
