"""A beacon node that gives no usable answer, for whatever reason; counted like `node.unreachable`."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.failures import FailureParams, failing, said_of
from tocsin.model.alert import Finding
from tocsin.model.view import ChainView

ID = "beacon.unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconUnreachableParams(FailureParams):
    """In failed polls, which leak away one per good answer: 5 are 10 s at 2 s polling."""


def beacon_unreachable(view: ChainView, params: BeaconUnreachableParams) -> Iterator[Finding]:
    """Yield one finding per beacon node with failures; `value` in leaky failures."""
    for beacon in view.beacons:
        if not beacon.seen.failures:
            continue
        node = beacon.settings.node
        summary = f"beacon node {node.name} {said_of(beacon.seen.fault)}"
        yield failing(view, beacon, params, detector=ID, own=node.own, summary=summary)


DETECTOR = ChainDetector(
    id=ID, params=BeaconUnreachableParams, run=beacon_unreachable, everywhere=True, of_beacons=True
)
