"""An allowance beyond its limit: somebody may take more of a token from an account than you meant him to."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import beyond
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import Watch
from tocsin.model.view import ChainView

ID = "contract.allowance_limit"
WATCHES = (Watch.ALLOWANCE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowanceLimitParams:
    """In allowances that are beyond their limits."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)


def contract_allowance_limit(view: ChainView, params: AllowanceLimitParams) -> Iterator[Finding]:
    """Yield one finding per account with an allowance beyond its limit; `value` in such allowances."""
    yield from beyond(view, ID, WATCHES, Limits(critical=params.critical, clear=params.clear))


DETECTOR = ChainDetector(id=ID, params=AllowanceLimitParams, run=contract_allowance_limit, everywhere=True)
