"""A contract whose code is not the one that was pinned.

Code changes where a contract destroys itself and is made anew at its address (before Cancun also by anybody who knew
how), or where somebody delegates an account (EIP-7702). Behind a proxy the code stays: see `contract.proxy_upgraded`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import changed
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import Watch
from tocsin.model.view import ChainView

ID = "contract.code_changed"
WATCHES = (Watch.CODE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChangedParams:
    """In values that differ. `latched`: stays until a person has accepted it."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    latched: bool = True


def contract_code_changed(view: ChainView, params: CodeChangedParams) -> Iterator[Finding]:
    """Yield one finding per contract with another code; `value` is 1."""
    limits = Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    yield from changed(view, ID, WATCHES, limits, "has another code")


DETECTOR = ChainDetector(id=ID, params=CodeChangedParams, run=contract_code_changed, everywhere=True)
