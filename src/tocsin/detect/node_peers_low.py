"""An own node with too few peers: it hears of new blocks late, from few, and at last from nobody.

What a provider's node says of its peers is the balancer's business. A development node has none and needs none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.clients import DEVELOPMENT, client_of
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView, NodeView

ID = "node.peers_low"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersLowParams:
    """In peers missing to `wanted`: fewer than three of five for two minutes, or none at all at once."""

    wanted: int = 5
    warning: Over | None = Over(over=3, for_ns=120 * 10**9)
    clear: Under = Under(under=1, polls=2)


def has_peers(node: NodeView) -> bool:
    """Tell whether the number of peers of a node says anything."""
    vitals = node.seen.vitals
    if not node.settings.own or vitals.peers is None:
        return False
    client = client_of(vitals.client) if vitals.client is not None else None
    return client is None or client.family not in DEVELOPMENT


def node_peers_low(view: ChainView, params: PeersLowParams) -> Iterator[Finding]:
    """Yield one finding per own node with fewer peers than wanted; `value` in peers that are missing."""
    for node in view.answering:
        peers = node.seen.vitals.peers
        if peers is None or peers >= params.wanted or not has_peers(node):
            continue
        warning = params.warning
        if warning is not None and not peers:
            warning = Over(over=min(warning.over, params.wanted))
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=params.wanted - peers,
            unit="peers missing",
            limits=Limits(warning=warning, clear=params.clear),
            sample=node.seen.vitals.peer_answers,
            summary=f"{node.settings.name} has {peers} {'peer' if peers == 1 else 'peers'}",
            grade=view.head.grade,
            evidence={"peers": peers, "client": node.seen.vitals.client},
        )


DETECTOR = ChainDetector(id=ID, params=PeersLowParams, run=node_peers_low, everywhere=True, judges=has_peers)
