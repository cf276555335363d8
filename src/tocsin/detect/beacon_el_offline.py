"""A beacon node whose execution client does not answer it: it follows the chain blindly, its validators are idle."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector
from tocsin.detect.beacon_base import beacon_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "beacon.el_offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class ElOfflineParams:
    """A client that restarts is away for seconds: two polls warn, a minute of it is critical for own nodes."""

    warning: Over | None = Over(over=1, polls=2)
    critical: Over | None = Over(over=1, polls=2, for_ns=60 * NS)
    """For own nodes."""
    clear: Under = Under(under=1, polls=2)


def beacon_el_offline(view: ChainView, params: ElOfflineParams) -> Iterator[Finding]:
    """Yield one finding per beacon node that misses its execution client; `value` is 1."""
    for beacon in view.beacons:
        if not beacon.answering or not beacon.seen.el_offline:
            continue
        node = beacon.settings.node
        driven = f" ({beacon.settings.execution})" if beacon.settings.execution else ""
        yield Finding(
            detector=ID,
            labels=beacon.labels,
            value=1,
            unit="flag",
            limits=Limits(warning=params.warning, critical=params.critical if node.own else None, clear=params.clear),
            sample=beacon.seen.polls,
            summary=f"beacon node {node.name} gets no answer from its execution client{driven}",
            grade=view.head.grade,
            evidence={**beacon_evidence(beacon), "execution": beacon.settings.execution},
        )


DETECTOR = ChainDetector(id=ID, params=ElOfflineParams, run=beacon_el_offline, everywhere=True, of_beacons=True)
