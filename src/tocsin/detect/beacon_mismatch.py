"""A beacon node that disagrees: with its execution client, with other beacon nodes, or with the clock.

Two different finalized blocks are the worst that can be seen of a chain: either somebody lies, or finality is broken.
An execution client on another branch than the node that drives it is on nobody's branch at all. What `node.lag` and
`beacon.lag` tell of one of the two is not told again of both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector, blocks
from tocsin.detect.beacon_base import beacon_evidence
from tocsin.detect.beacon_lag import reference_slot
from tocsin.detect.node_lag import blocks_behind
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.beacon import BeaconView, Pairing
from tocsin.model.view import ChainView, NodeView

ID = "beacon.mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconMismatchParams:
    """Both are asked within a poll of each other, so that a block or two lie between them; a reorg takes a slot."""

    apart: Over | None = Over(over=3, polls=2)
    """Blocks between the heads of the two, either way."""
    lasting_slots: int = 2
    """A branch of its own is told when it lasts longer than this, and so is an epoch with two roots while others may
    still decide between them: nodes finalize it seconds apart, and are asked for it once a slot."""
    final: Over | None = Over(over=65, polls=2)
    """Blocks between what the two call finalized: two epochs of 32."""
    future: Over | None = Over(over=2, polls=2)
    """Slots that a head is ahead of the clock."""
    conflict: Over | None = Over(over=1, polls=2)
    """Different finalized blocks: how many pairs of them."""
    clear: Under = Under(under=1, polls=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    value: int
    unit: str
    warning: Over | None
    critical: Over | None
    said: str


def beacon_mismatch(view: ChainView, params: BeaconMismatchParams) -> Iterator[Finding]:
    """Yield one finding per beacon node that disagrees, about the worst thing that it disagrees in."""
    for beacon in view.beacons:
        if not beacon.answering or beacon.wrong_chain:
            continue
        execution = _execution(view, beacon)
        reading = next(_readings(view, beacon, execution, params), None)
        if reading is None:
            continue
        evidence = beacon_evidence(beacon)
        if execution is not None and execution.seen.head is not None:
            final = execution.seen.finalized
            evidence["execution"] = {
                "node": execution.settings.name,
                "head": execution.seen.head.hash,
                "finalized": None if final is None else final.hash,
            }
        yield Finding(
            detector=ID,
            labels=beacon.labels,
            value=reading.value,
            unit=reading.unit,
            limits=Limits(warning=reading.warning, critical=reading.critical, clear=params.clear),
            sample=beacon.seen.polls,
            summary=f"beacon node {beacon.settings.node.name}: {reading.said}",
            grade=view.head.grade,
            block=view.head.block,
            evidence=evidence,
        )


def _execution(view: ChainView, beacon: BeaconView) -> NodeView | None:
    """Return the execution client that a beacon node drives, if what that one says counts."""
    if beacon.pairing is None:
        return None
    return next((node for node in view.nodes if node.settings.name == beacon.pairing.node and node.voting), None)


def _readings(
    view: ChainView, beacon: BeaconView, execution: NodeView | None, params: BeaconMismatchParams
) -> Iterator[_Reading]:
    """Yield what a node disagrees in, the worst first."""
    if beacon.clash:
        lasting_ns = params.lasting_slots * view.settings.block_time_ns if beacon.contested else 0
        yield _conflict(beacon.clash, params, lasting_ns)
    if beacon.pairing is not None and execution is not None:
        yield from _of_pair(view, beacon, beacon.pairing, execution, params)
    ahead = _ahead_of_clock(view, beacon)
    if params.future is not None and ahead >= params.future.over:
        said = f"its head is {ahead} slots in the future; it is wrong, or this host's clock is behind"
        yield _Reading(value=ahead, unit="slots", warning=params.future, critical=None, said=said)


def _of_pair(
    view: ChainView, beacon: BeaconView, pairing: Pairing, execution: NodeView, params: BeaconMismatchParams
) -> Iterator[_Reading]:
    if pairing.final_forked:
        yield _conflict(f"it and its execution client {pairing.node} call different blocks of one height final", params)
    if pairing.forked and params.apart is not None:
        warning = Over(over=1, polls=2, for_ns=params.lasting_slots * view.settings.block_time_ns)
        said = f"its execution client {pairing.node} is on another branch than its head"
        yield _Reading(value=1, unit="branches", warning=warning, critical=None, said=said)
    behind = 0 if beacon.seen.syncing else pairing.behind or 0
    if params.apart is not None and abs(behind) >= params.apart.over and not _is_told(view, beacon, execution, behind):
        way = "behind" if behind > 0 else "ahead of"
        said = f"its execution client {pairing.node} is {blocks(abs(behind))} {way} its head"
        yield _Reading(value=abs(behind), unit="blocks", warning=params.apart, critical=None, said=said)
    apart = abs(pairing.final_behind or 0)
    if params.final is not None and apart >= params.final.over:
        said = f"what it and its execution client {pairing.node} call final is {blocks(apart)} apart"
        yield _Reading(value=apart, unit="blocks", warning=params.final, critical=None, said=said)


def _conflict(said: str, params: BeaconMismatchParams, lasting_ns: int = 0) -> _Reading:
    limit = params.conflict
    critical = None if limit is None else replace(limit, for_ns=max(limit.for_ns, lasting_ns))
    return _Reading(value=1, unit="conflicts", warning=None, critical=critical, said=said)


def _is_told(view: ChainView, beacon: BeaconView, execution: NodeView, behind: int) -> bool:
    """Tell whether one of the two is behind the chain itself, which is an alert of its own."""
    if behind > 0:
        return blocks_behind(execution.relation) > 1
    reference, head = reference_slot(view), beacon.seen.head
    return reference is not None and head is not None and reference - head.slot > 1


def _ahead_of_clock(view: ChainView, beacon: BeaconView) -> int:
    if view.slots is None or beacon.seen.head is None or _is_clock_late(view):
        return 0
    return beacon.seen.head.slot - view.slots.slot_at(view.wall_ns)


def _is_clock_late(view: ChainView) -> bool:
    """Tell whether the agreed head looks as if from the future, too: then it is our clock (`self.clock_skew`)."""
    return view.head_header is not None and view.head_header.timestamp > view.wall_ns // NS


def _is_of_chain(beacon: BeaconView) -> bool:
    return not beacon.wrong_chain


def _is_no_conflict(finding: Finding) -> bool:
    """Who contradicts each other does so on all sides: that all nodes do is no reason to doubt it."""
    return finding.limits.critical is None


DETECTOR = ChainDetector(
    id=ID,
    params=BeaconMismatchParams,
    run=beacon_mismatch,
    judges=_is_of_chain,
    of_beacons=True,
    doubts=_is_no_conflict,
)
