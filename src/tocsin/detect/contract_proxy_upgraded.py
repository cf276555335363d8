"""A proxy that runs other code than it did: its implementation, its beacon, or what that names, is another one.

Whoever may upgrade a proxy may do with it whatever he likes: most thefts by stolen keys went this way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.contract_base import changed
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.contract import Watch
from tocsin.model.view import ChainView

ID = "contract.proxy_upgraded"
WATCHES = (Watch.IMPLEMENTATION, Watch.BEACON, Watch.BEACON_IMPLEMENTATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyUpgradedParams:
    """In values that differ. `latched`: stays until a person has accepted it."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    latched: bool = True


def contract_proxy_upgraded(view: ChainView, params: ProxyUpgradedParams) -> Iterator[Finding]:
    """Yield one finding per proxy that was upgraded; `value` in slots that differ."""
    limits = Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    yield from changed(view, ID, WATCHES, limits, "was upgraded")


DETECTOR = ChainDetector(id=ID, params=ProxyUpgradedParams, run=contract_proxy_upgraded, everywhere=True)
