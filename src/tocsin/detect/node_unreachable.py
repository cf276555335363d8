"""A node that gives no usable answer, for whatever reason: no connection, no JSON, no end.

Failures leak away one per good answer, so that a node which fails every third poll is not called dead, and one
that fails three of four is. A refusal is no failure: `node.rate_limited` says that. Who was down and then refuses
(HTTP 429, as after an outage, when all its clients come back at once) is throttled and not down any more: two refusals
end this.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.detect.failures import FailureParams, failing, said_of
from tocsin.model.alert import Finding
from tocsin.model.view import ChainView

ID = "node.unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreachableParams(FailureParams):
    """In failed polls: 5 are 10 s at 2 s polling. Own nodes warn, providers inform."""


def node_unreachable(view: ChainView, params: UnreachableParams) -> Iterator[Finding]:
    """Yield one finding per node with failures; `value` in leaky failures."""
    for node in view.nodes:
        if not node.seen.failures:
            continue
        summary = f"{node.settings.name} {said_of(node.seen.fault)}"
        yield failing(view, node, params, detector=ID, own=node.settings.own, summary=summary)


DETECTOR = ChainDetector(id=ID, params=UnreachableParams, run=node_unreachable, everywhere=True)
