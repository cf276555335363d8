"""A websocket that announces nothing while the polls of its node show new heads.

Subscriptions go silent with the socket alive (ethers #5121). The poll is the truth, so nothing is missed; it is only
later by as much as a poll is rarer than a block.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, node_evidence, seconds
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView, NodeView

ID = "node.ws_deaf"


@dataclass(frozen=True, slots=True, kw_only=True)
class WsDeafParams:
    """In block times from the last announcement to the newest head that a poll showed."""

    info: Over | None = Over(over=3, polls=3)
    clear: Under = Under(under=2, polls=2)


def deaf_slots(view: ChainView, node: NodeView) -> int:
    """Return for how many block times the polls have gone on without the websocket."""
    shown_ns = node.seen.head_since_ns
    if not node.settings.ws or shown_ns is None:
        return 0
    heard_ns = max(node.seen.heard_ns or 0, view.started_ns)
    return max(0, shown_ns - heard_ns) // view.settings.pace_ns


def node_ws_deaf(view: ChainView, params: WsDeafParams) -> Iterator[Finding]:
    """Yield one finding per node whose websocket is silent; `value` in block times."""
    for node in view.answering:
        slots = deaf_slots(view, node)
        if slots < params.clear.under:
            continue
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=slots,
            unit="block times",
            limits=Limits(info=params.info, clear=params.clear),
            sample=node.seen.polls,
            summary=f"the websocket of {node.settings.name} has announced nothing for "
            f"{seconds(slots * view.settings.pace_ns)} while its polls went on",
            grade=view.head.grade,
            block=view.head.block,
            evidence=node_evidence(view, node) | {"announced": node.seen.heard_number},
        )


DETECTOR = ChainDetector(
    id=ID, params=WsDeafParams, run=node_ws_deaf, starts=Trust.OBSERVE, judges=lambda node: node.settings.ws
)
