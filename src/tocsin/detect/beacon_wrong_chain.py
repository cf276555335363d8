"""A beacon node of another chain: by its deposit contract's chain id, its genesis time, or the genesis of the others.

Never a matter of degree, like `node.wrong_chain`; such a node counts for nothing from the same poll on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "beacon.wrong_chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconWrongChainParams:
    """One poll is enough; clears after three right answers."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1, polls=3)


def beacon_wrong_chain(view: ChainView, params: BeaconWrongChainParams) -> Iterator[Finding]:
    """Yield one finding per beacon node of another chain; `value` is 1."""
    for beacon in view.beacons:
        if not beacon.answering or not beacon.wrong_chain:
            continue
        seen = beacon.seen
        yield Finding(
            detector=ID,
            labels=beacon.labels,
            value=1,
            unit="mismatch",
            limits=Limits(critical=params.critical, clear=params.clear),
            sample=seen.polls,
            summary=f"beacon node {beacon.settings.node.name} is of another chain: {beacon.wrong_chain}",
            grade=view.head.grade,
            evidence={
                "chain_id": seen.chain_id,
                "genesis_validators_root": seen.genesis_root,
                "genesis_time": seen.genesis_time_s,
                "version": seen.version,
            },
        )


DETECTOR = ChainDetector(id=ID, params=BeaconWrongChainParams, run=beacon_wrong_chain, everywhere=True, of_beacons=True)
