"""An amount beyond the limits that are set for it: what an account has, or how much there is of a token.

A supply above its cap is somebody minting what he may not, and worse than a wallet that runs empty or full.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import beyond
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import Watch
from tocsin.model.view import ChainView

ID = "contract.balance_limit"
WATCHES = (Watch.BALANCE, Watch.SUPPLY)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLimitParams:
    """In amounts that are beyond their limits; `supply_critical` counts where one of them is a supply."""

    warning: Over | None = Over(over=1)
    supply_critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)


def contract_balance_limit(view: ChainView, params: BalanceLimitParams) -> Iterator[Finding]:
    """Yield one finding per contract or account with an amount beyond its limits; `value` in such amounts."""
    for finding in beyond(view, ID, WATCHES, Limits(warning=params.warning, clear=params.clear)):
        rows = finding.evidence["levels"]
        is_supply = isinstance(rows, list) and any(row["watch"] == Watch.SUPPLY.value for row in rows)
        critical = params.supply_critical if is_supply else None
        yield replace(finding, limits=Limits(warning=params.warning, critical=critical, clear=params.clear))


DETECTOR = ChainDetector(id=ID, params=BalanceLimitParams, run=contract_balance_limit, everywhere=True)
