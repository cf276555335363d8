"""A beacon node that is still catching up, or that follows a head which no execution client has validated (optimistic).

Neither may be believed about the chain, and validators must not work with it: an optimistic head may be invalid
(consensus-specs, sync/optimistic.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.beacon_base import beacon_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "beacon.syncing"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconSyncingParams:
    """A head is optimistic for the moment that its validation takes: three polls in a row are no moment."""

    warning: Over | None = Over(over=1, polls=3)
    clear: Under = Under(under=1, polls=4)


def beacon_syncing(view: ChainView, params: BeaconSyncingParams) -> Iterator[Finding]:
    """Yield one finding per beacon node that says so of itself; `value` is 1."""
    for beacon in view.beacons:
        seen = beacon.seen
        if not beacon.answering or not (seen.syncing or seen.optimistic):
            continue
        lacking = f", {seen.sync_distance} slots to go" if seen.syncing and seen.sync_distance else ""
        why = f"it is syncing{lacking}" if seen.syncing else "no execution client has validated its head (optimistic)"
        yield Finding(
            detector=ID,
            labels=beacon.labels,
            value=1,
            unit="flag",
            limits=Limits(warning=params.warning, clear=params.clear),
            sample=seen.polls,
            summary=f"beacon node {beacon.settings.node.name} cannot be relied on: {why}",
            grade=view.head.grade,
            evidence={
                **beacon_evidence(beacon),
                "is_syncing": seen.syncing,
                "is_optimistic": seen.optimistic,
                "sync_distance": seen.sync_distance,
            },
        )


DETECTOR = ChainDetector(id=ID, params=BeaconSyncingParams, run=beacon_syncing, of_beacons=True)
