"""Nobody answers: most likely it is our own network, so one alert instead of one per node."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "pool.blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindParams:
    """In polls that every node missed."""

    critical: Over | None = Over(over=3)
    clear: Under = Under(under=1)


def pool_blind(view: ChainView, params: BlindParams) -> Iterator[Finding]:
    """Yield a finding while no node answers; `value` in polls missed by all."""
    missed = min((node.seen.missed for node in view.nodes), default=0)
    if not missed or view.head.grade is not Grade.BLIND:
        return
    faults = {node.settings.name: node.seen.fault.kind.value for node in view.nodes if node.seen.fault}
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=missed,
        unit="polls",
        limits=Limits(critical=params.critical, clear=params.clear),
        sample=view.tick,
        summary=f"no node of {view.settings.name} answers; check this host's own network and DNS first",
        grade=Grade.BLIND,
        block=view.head.block,
        evidence={"faults": faults},
    )


DETECTOR = ChainDetector(id=ID, params=BlindParams, run=pool_blind)
