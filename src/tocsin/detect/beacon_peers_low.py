"""An own beacon node with few peers: it sees blocks late, and attestations not at all.

Clients keep 50 to 100 peers. What a provider's node says of its peers is about the provider's network: not judged.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "beacon.peers_low"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconPeersLowParams:
    """In connected peers: fewer than `few` for `lasting`, or none at all in two polls; over at `enough`."""

    few: int | None = 10
    none: bool = True
    """Whether a node without any peer warns at once."""
    enough: int = 15
    lasting_ns: int = 120 * NS


def beacon_peers_low(view: ChainView, params: BeaconPeersLowParams) -> Iterator[Finding]:
    """Yield one finding per own beacon node with less than enough peers; `value` in peers that it lacks of enough."""
    for beacon in view.beacons:
        peers = beacon.seen.peers
        if peers is None or peers >= params.enough or not beacon.answering or not beacon.settings.node.own:
            continue
        if peers == 0 and params.none:
            warning: Over | None = Over(over=params.enough, polls=2)
        else:
            few = params.few
            warning = None if few is None else Over(over=params.enough - few + 1, polls=2, for_ns=params.lasting_ns)
        yield Finding(
            detector=ID,
            labels=beacon.labels,
            value=params.enough - peers,
            unit=f"peers short of {params.enough}",
            limits=Limits(warning=warning, clear=Under(under=1)),
            sample=beacon.seen.polls,
            summary=f"beacon node {beacon.settings.node.name} has {peers} peers",
            grade=view.head.grade,
            evidence={"connected": peers, "version": beacon.seen.version},
        )


DETECTOR = ChainDetector(id=ID, params=BeaconPeersLowParams, run=beacon_peers_low, everywhere=True, of_beacons=True)
