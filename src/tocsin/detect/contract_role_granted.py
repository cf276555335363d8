"""A role of a contract that others have than did: somebody was given it, or it was taken from him; a new pauser, too.

Who has a role may mint, pause or upgrade, as the role says. One who was given a role and gave it back within a block
may have used it: the block's logs tell of that, and so does this.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import changed
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import Watch
from tocsin.model.view import ChainView

ID = "contract.role_granted"
WATCHES = (Watch.ROLES, Watch.PAUSER)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleGrantedParams:
    """In values that differ. `latched`: stays until a person has accepted it."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    latched: bool = True


def contract_role_granted(view: ChainView, params: RoleGrantedParams) -> Iterator[Finding]:
    """Yield one finding per contract of which others have a role; `value` in roles that differ."""
    limits = Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    yield from changed(view, ID, WATCHES, limits, "gives other rights")


DETECTOR = ChainDetector(id=ID, params=RoleGrantedParams, run=contract_role_granted, everywhere=True)
