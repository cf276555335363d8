"""A node that shows a head nobody can know: far ahead and linked to nothing, or from the future.

Taking the highest head for the truth is how one such node evicts every honest one; here it is a finding about the
node and moves nothing. Nobody is accused by what is old: blocks that may have come since the agreed head advanced are
not counted, and while there is no quorum nothing new is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tocsin.detect.base import ChainDetector, blocks, node_evidence
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import ChainView, NodeView, Unlinked

ID = "node.phantom_head"
_AGREED = (Grade.PROVEN, Grade.QUORUM, Grade.MAJORITY)
_TWO_GROUPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomHeadParams:
    """`warning` in blocks ahead of the agreed head without a link to it, `future` in seconds ahead of the clock."""

    warning: Over | None = Over(over=4, polls=2)
    future: Over | None = Over(over=15, polls=2)
    clear: Under = Under(under=1, polls=2)


def unexplained(view: ChainView, node: NodeView) -> int:
    """Return by how many blocks an unlinked head is above all that may have come since the agreed head advanced."""
    if not isinstance(node.relation, Unlinked) or node.relation.ahead <= 0 or view.head.since_ns is None:
        return 0
    if node.apart:
        return 0  # it links to blocks beside the agreed ones: a fork
    # Two polls more: one that lies between two nodes that are asked in turn, and one for the answer on its way.
    since_ns = max(0, view.now_ns - view.head.since_ns) + 2 * view.settings.poll_ns
    return max(0, node.relation.ahead - since_ns // view.settings.block_time_ns)


def may_accuse(view: ChainView) -> bool:
    """Tell whether others know the chain now; a single group has to do without."""
    return view.head.grade in _AGREED or view.head.groups < _TWO_GROUPS


def seconds_ahead(view: ChainView, node: NodeView) -> int:
    """Return by how much the head's timestamp is ahead of the wall clock, in whole seconds, at least 0."""
    head = node.seen.head
    return max(0, head.timestamp - view.wall_ns // 10**9) if head is not None else 0


def own_clock_is_late(view: ChainView, limit: int) -> bool:
    """Tell whether the agreed head, or most heads, look as if from the future: then it is our clock that is wrong."""
    if view.head_header is not None and view.head_header.timestamp > view.wall_ns // 10**9:
        return True
    ahead = [seconds_ahead(view, node) >= limit for node in view.nodes if node.seen.head is not None]
    return 2 * sum(ahead) > len(ahead) or len(ahead) == 1


def node_phantom_head(view: ChainView, params: PhantomHeadParams) -> Iterator[Finding]:
    """Yield one finding per phantom; `value` in blocks ahead, or in seconds for a head from the future."""
    future = params.future
    believe_clock = future is not None and not own_clock_is_late(view, future.over)
    for node in view.answering:
        ahead, late = unexplained(view, node), seconds_ahead(view, node)
        if ahead:
            value, unit, warning = ahead, "blocks", params.warning
            summary = f"{node.settings.name} shows a head {blocks(ahead)} ahead that links to nothing known"
        elif believe_clock and future is not None and late >= future.over:
            # Others that follow within a block time show that the clock is late, not the head early.
            value, unit = late, "s"
            warning = replace(future, for_ns=max(future.for_ns, view.settings.pace_ns))
            summary = f"{node.settings.name} shows a head from the future, {late} s ahead of the clock"
        else:
            continue
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=value,
            unit=unit,
            limits=Limits(warning=warning if may_accuse(view) else None, clear=params.clear),
            sample=node.seen.polls,
            summary=summary,
            grade=view.head.grade,
            block=view.head.block,
            evidence=node_evidence(view, node),
        )


DETECTOR = ChainDetector(id=ID, params=PhantomHeadParams, run=node_phantom_head, everywhere=True)
