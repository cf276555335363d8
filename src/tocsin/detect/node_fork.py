"""A node on another branch than the agreed chain.

Branches that part by one block heal within a slot or two all the time; two blocks deep, or one block that lasts,
is a fork. So is a head near the agreed one that nobody gives the ancestors of. The agreed chain is the one that had a
quorum last: of branches that part above it while the pool is split nobody knows which is the fork, and none is called
one, unless a tie was broken against it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, blocks, node_evidence
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import Ahead, ChainView, Forked, NodeView, Unlinked

ID = "node.fork"

_DEEP = 64
"""A branch of its own for as long as a back-fill looks back: deeper than that nothing is measured."""

_AGREED = (Grade.QUORUM, Grade.MAJORITY)
"""A branch that nobody can place is held against a node only while others know the chain."""

_PHANTOM_FROM = 4
"""Unlinked heads that are this far ahead are called phantoms, see `node.phantom_head`."""


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
    # A fork that is as old as the watch may have healed and come again while nobody looked.
    since = since if since is None else max(since, view.started_ns)
    lasting = since is not None and view.now_ns - since > params.lasting_slots * view.settings.pace_ns
    warning = Over(over=1) if lasting and params.warning is not None else params.warning
    return Limits(
        warning=warning,
        critical=params.critical,
        clear=Under(under=1, for_ns=params.rejoin_slots * view.settings.pace_ns),
    )


def _is_beside(node: NodeView) -> bool:
    """Tell whether an unlinked head is on another branch, and not one that nobody can know."""
    return node.apart or (isinstance(node.relation, Unlinked) and node.relation.ahead < _PHANTOM_FROM)


def node_fork(view: ChainView, params: ForkParams) -> Iterator[Finding]:
    """Yield one finding per node on another branch; `value` is the depth in blocks, 64 for that and more."""
    for node in view.answering:
        match node.relation:
            case Forked(depth=depth, ancestor=ancestor):
                how = f"{blocks(depth)} since {ancestor.number}"
            case Unlinked() if node.severed and _is_beside(node):
                depth, how = _DEEP, f"{blocks(_DEEP)} or more"
            case Unlinked() if node.withheld and _is_beside(node) and view.head.grade in _AGREED:
                depth, how = 1, "whose headers nobody gives"
            case Ahead(blocks=depth) if node.ruled_out:
                how = f"against which a tie was broken by {node.ruled_out}"
            case _:
                continue
        evidence = node_evidence(view, node)
        if isinstance(node.relation, Forked):
            parting = node.relation.ancestor
            evidence["ancestor"] = {"number": parting.number, "hash": parting.hash}
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=depth,
            unit="blocks",
            limits=fork_limits(view, node, params),
            sample=node.seen.polls,
            summary=f"{node.settings.name} is on another branch, {how}",
            grade=view.head.grade,
            block=view.head.block,
            evidence=evidence,
        )


DETECTOR = ChainDetector(id=ID, params=ForkParams, run=node_fork, everywhere=True)
