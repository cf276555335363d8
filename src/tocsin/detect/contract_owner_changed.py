"""A contract that belongs to somebody else than it did: its owner, or the admin of its proxy, is another one."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import changed
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import Watch
from tocsin.model.view import ChainView

ID = "contract.owner_changed"
WATCHES = (Watch.OWNER, Watch.ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerChangedParams:
    """In values that differ. `latched`: stays until a person has accepted it."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    latched: bool = True


def contract_owner_changed(view: ChainView, params: OwnerChangedParams) -> Iterator[Finding]:
    """Yield one finding per contract with another owner or admin; `value` in values that differ."""
    limits = Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    yield from changed(view, ID, WATCHES, limits, "belongs to somebody else")


DETECTOR = ChainDetector(id=ID, params=OwnerChangedParams, run=contract_owner_changed, everywhere=True)
