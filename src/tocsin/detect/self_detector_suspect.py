"""A check failed on all nodes of a chain at once: a quirk of the chain or a mistake of ours, more likely than that.

The detector is back in `observe` on that chain from the same moment, see `tocsin.engine.trust`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over
from tocsin.model.view import SelfView

ID = "self.detector_suspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSuspectParams:
    """In nodes that the check failed on; at least three of two groups. `latched`: resolves only after `ack`."""

    warning: Over | None = Over(over=1)
    latched: bool = True


def self_detector_suspect(view: SelfView, params: DetectorSuspectParams) -> Iterator[Finding]:
    """Yield one finding per suspected detector and chain; `value` in nodes."""
    for suspect in view.suspects:
        found = suspect.suspicion
        yield Finding(
            detector=ID,
            labels=suspect.labels,
            value=found.count,
            unit="nodes",
            limits=Limits(warning=params.warning, latched=params.latched),
            sample=view.tick,
            summary=f"{suspect.detector} failed on all {found.count} nodes of {suspect.chain} at once "
            "and is only observed there now",
            grade=Grade.PROVEN,
            evidence={"detector": suspect.detector, "nodes": list(found.nodes), "finding": found.summary},
        )


DETECTOR = SelfDetector(id=ID, params=DetectorSuspectParams, run=self_detector_suspect)
