"""A node on another branch than the agreed chain.

Branches that part by one block heal within a slot or two all the time; two blocks deep, or one block that lasts,
is a fork. There is no verdict while the pool itself is split: then nobody knows which branch is the fork.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, blocks, node_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView, Forked, NodeView

ID = "node.fork"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkParams:
    """In blocks of the node's own branch. Clears when the node kept to the agreed chain for `rejoin_slots`."""

    warning: Over | None = Over(over=2, polls=2)
    critical: Over | None = Over(over=8, polls=2)
    lasting_slots: int = 2
    """A branch of any depth that lasts longer than this counts as well."""
    rejoin_slots: int = 32


def fork_limits(view: ChainView, node: NodeView, params: ForkParams) -> Limits:
    """Return the limits for this node: any depth counts once the branch has lasted."""
    since = node.seen.forked_since_ns
    lasting = since is not None and view.now_ns - since > params.lasting_slots * view.settings.pace_ns
    warning = Over(over=1) if lasting and params.warning is not None else params.warning
    return Limits(
        warning=warning,
        critical=params.critical,
        clear=Under(under=1, for_ns=params.rejoin_slots * view.settings.pace_ns),
    )


def node_fork(view: ChainView, params: ForkParams) -> Iterator[Finding]:
    """Yield one finding per node on another branch; `value` is the depth in blocks."""
    for node in view.answering:
        if isinstance(node.relation, Forked):
            depth, ancestor = node.relation.depth, node.relation.ancestor
            evidence = node_evidence(view, node)
            evidence["ancestor"] = {"number": ancestor.number, "hash": ancestor.hash}
            yield Finding(
                detector=ID,
                labels=node.labels,
                value=depth,
                unit="blocks",
                limits=fork_limits(view, node, params),
                sample=node.seen.polls,
                summary=f"{node.settings.name} is on another branch, {blocks(depth)} since {ancestor.number}",
                grade=view.head.grade,
                block=view.head.block,
                evidence=evidence,
            )


DETECTOR = ChainDetector(id=ID, params=ForkParams, run=node_fork)
