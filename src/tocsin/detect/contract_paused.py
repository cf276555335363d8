"""A contract that was paused: it does not do what others rely on, such as to liquidate, to pay out or to be paid.

It ends when the contract is not paused any more, or somebody has accepted it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import changed
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import Watch
from tocsin.model.view import ChainView

ID = "contract.paused"
WATCHES = (Watch.PAUSED,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedParams:
    """In values that differ: 1 while it is paused."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)


def contract_paused(view: ChainView, params: PausedParams) -> Iterator[Finding]:
    """Yield one finding per contract that is paused and was not; `value` is 1."""
    limits = Limits(critical=params.critical, clear=params.clear)
    yield from changed(view, ID, WATCHES, limits, "is paused")


DETECTOR = ChainDetector(id=ID, params=PausedParams, run=contract_paused, everywhere=True)
