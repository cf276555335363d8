"""A Safe that is governed otherwise: other code, owners, threshold, modules, guards, or another fallback handler.

A nonce that rises is what a Safe does; one that falls would make what was signed before good once more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import changed
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import Watch
from tocsin.model.view import ChainView

ID = "contract.safe_changed"
WATCHES = (Watch.SAFE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeChangedParams:
    """In values that differ. `latched`: stays until a person has accepted it."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    latched: bool = True


def contract_safe_changed(view: ChainView, params: SafeChangedParams) -> Iterator[Finding]:
    """Yield one finding per Safe that was changed; `value` in values that differ."""
    limits = Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    yield from changed(view, ID, WATCHES, limits, "is governed otherwise")


DETECTOR = ChainDetector(id=ID, params=SafeChangedParams, run=contract_safe_changed, everywhere=True)
