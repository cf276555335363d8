"""The configuration says something of a feed that is not so: then it has no price, and nothing else is told of it.

An address at which nothing answers as such a feed does, other decimals than are configured, a pool in which the token
is not whose price is wanted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.oracle_base import feed_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "oracle.misconfigured"


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleMisconfiguredParams:
    """In contradictions."""

    warning: Over | None = Over(over=1)
    clear: Under = Under(under=1, polls=3)
    """A reading in which nobody says what contradicted is no mended configuration."""


def oracle_misconfigured(view: ChainView, params: OracleMisconfiguredParams) -> Iterator[Finding]:
    """Yield one finding per feed that is not what is configured; `value` is 1."""
    for one in view.feeds:
        wrong = one.seen.wrong
        if wrong is None or not one.is_current:
            continue
        yield Finding(
            detector=ID,
            labels=one.labels,
            value=1,
            unit="contradictions",
            limits=Limits(warning=params.warning, clear=params.clear),
            sample=one.seen.samples,
            summary=f"{one.settings.name} is not what the configuration says: {wrong.value}",
            grade=wrong.grade,
            block=wrong.block,
            evidence={**feed_evidence(one), "contradiction": wrong.value},
        )


DETECTOR = ChainDetector(id=ID, params=OracleMisconfiguredParams, run=oracle_misconfigured, everywhere=True)
