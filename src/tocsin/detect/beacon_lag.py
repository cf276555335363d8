"""A beacon node whose head stays behind: behind the slot of the agreed execution head, or behind most beacon nodes.

The clock alone would be no measure: slots stay empty, and when the chain halts every node is behind it. Limits are
those of `node.lag`, in slots.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, seconds
from tocsin.detect.beacon_base import beacon_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.beacon import BeaconView
from tocsin.model.view import ChainView

ID = "beacon.lag"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconLagParams:
    """In slots. `provider_warning` holds for nodes that are not your own."""

    warning: Over | None = Over(over=3, polls=2)
    provider_warning: Over | None = Over(over=5, polls=2)
    critical: Over | None = Over(over=15, polls=2)
    clear: Under = Under(under=2, polls=3)


def reference_slot(view: ChainView) -> int | None:
    """Return the slot that a beacon node should have reached; None where nothing tells.

    That of the agreed execution head, whose timestamp is its slot, or what more than half of the sound beacon nodes
    have reached, whichever is later; never one that has not begun.
    """
    slots = sorted((one.seen.head.slot for one in view.beacons if one.sound and one.seen.head), reverse=True)
    reached = [slots[len(slots) // 2]] if slots else []
    if view.slots is not None and view.head_header is not None:
        reached.append(view.slots.slot_at(view.head_header.timestamp * 10**9))
    if not reached or view.slots is None:
        return max(reached, default=None)
    return min(max(reached), view.slots.slot_at(view.wall_ns))


def beacon_lag(view: ChainView, params: BeaconLagParams) -> Iterator[Finding]:
    """Yield one finding per beacon node that is behind; `value` in slots. One never observed yields nothing, not 0."""
    if not view.beacons:
        return
    reference = reference_slot(view)
    slot_ns = view.slots.slot_ns if view.slots is not None else view.settings.block_time_ns
    for beacon in view.beacons:
        head = beacon.seen.head
        if reference is None or head is None or not beacon.answering or beacon.wrong_chain or head.slot >= reference:
            continue
        behind, node = reference - head.slot, beacon.settings.node
        yield Finding(
            detector=ID,
            labels=beacon.labels,
            value=behind,
            unit="slots",
            limits=Limits(
                warning=params.warning if node.own else params.provider_warning,
                critical=params.critical,
                clear=params.clear,
            ),
            sample=beacon.seen.polls,
            summary=f"beacon node {node.name} is {_slots(behind)} ({seconds(behind * slot_ns)}) behind the chain",
            grade=view.head.grade,
            block=view.head.block,
            evidence={**beacon_evidence(beacon), "reference_slot": reference},
        )


def _slots(count: int) -> str:
    return "1 slot" if count == 1 else f"{count} slots"


def _has_head(beacon: BeaconView) -> bool:
    return beacon.seen.head is not None and not beacon.wrong_chain


DETECTOR = ChainDetector(id=ID, params=BeaconLagParams, run=beacon_lag, judges=_has_head, of_beacons=True)
