"""What a detector is, and the few things that several detectors say in the same way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tocsin.model.alert import Finding, Over
from tocsin.model.beacon import BeaconView
from tocsin.model.block import Header
from tocsin.model.settings import NodeSettings
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView, Lead, NodeView, SelfView
from tocsin.units import span_text

_MOVING_SLOTS = 4
"""With 1 % of slots missed a longer gap comes once in months, see `node.stale`."""


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainDetector:
    """A detector that looks at one chain and its nodes."""

    id: str
    params: type[Any]
    run: Callable[[ChainView, Any], Iterator[Finding]]
    starts: Trust = Trust.ENFORCE
    """Intrinsic checks enforce at once; statistics and quirks of a chain have to earn it."""
    everywhere: bool = False
    """Whether it is news of its own when all nodes fail at once: it compares with what is agreed, or nobody answers.

    Any other check that fails on all nodes is taken for wrong itself, see `tocsin.engine.trust`.
    """
    judges: Callable[[Any], bool] = _always
    """Whether it has what it judges by for an answering node, such as a peer count: only such a look is a check."""
    of_beacons: bool = False
    """Whether it looks at beacon nodes (`BeaconView`) instead of nodes (`NodeView`)."""
    doubts: Callable[[Finding], bool] = _always
    """Whether findings like this one on all nodes at once make the check doubtful, where `everywhere` is not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfDetector:
    """A detector that looks at the watchdog itself."""

    id: str
    params: type[Any]
    run: Callable[[SelfView, Any], Iterator[Finding]]


Detector = ChainDetector | SelfDetector

_GAPS = 3
_LONG_NS = 120 * 10**9


def blocks(count: int) -> str:
    """Say a number of blocks."""
    return "1 block" if count == 1 else f"{count} blocks"


def seconds(ns: int) -> str:
    """Say a duration in seconds, to a tenth, from integers; from two minutes on as people read it."""
    return f"{ns // 10**9}.{ns % 10**9 // 10**8} s" if ns < _LONG_NS else span_text(ns)


def paced(limit: Over | None, first: Over | None, usual_gap: int) -> Over | None:
    """Return a limit in slots, stretched so that the first one is at least three times the usual gap.

    A chain that is often quiet for long is not told of by what Ethereum does: max(4 slots, 3 x p99 gap).
    """
    if limit is None or first is None or _GAPS * usual_gap <= first.over:
        return limit
    return replace(limit, over=-(-limit.over * _GAPS * usual_gap // first.over))


def if_counted(limit: Over | None, counted: int) -> Over | None:
    """Return the limit if what counts reaches it: the rest of a value keeps an alert open, and begins none."""
    return limit if limit is not None and counted >= limit.over else None


def is_moving(view: ChainView, lead: Lead | None) -> bool:
    """Tell whether what leads the agreed head has risen, and not long ago: four block times without a block end it."""
    if lead is None or lead.rose_ns is None:
        return False
    return view.now_ns - lead.rose_ns <= _MOVING_SLOTS * view.settings.pace_ns


def everyone(view: ChainView) -> Iterator[tuple[NodeView | BeaconView, NodeSettings]]:
    """Yield all that is asked of a chain, nodes and then beacon nodes, each with what is configured of it."""
    for node in view.nodes:
        yield node, node.settings
    for beacon in view.beacons:
        yield beacon, beacon.settings.node


def known_until_ns(view: ChainView, node: NodeView) -> int:
    """Return until when it is known what the node shows: now, or its last answer if that is a block time ago or more.

    A node that is asked rarely, to save its budget, does not stand still between two questions.
    """
    answered_ns = node.seen.last_answer_ns
    if answered_ns is None or view.now_ns - answered_ns < view.settings.pace_ns:
        return view.now_ns
    return answered_ns


def block_evidence(header: Header) -> dict[str, object]:
    """Return a header as evidence."""
    return {
        "number": header.number,
        "hash": header.hash,
        "parent_hash": header.parent_hash,
        "timestamp": header.timestamp,
        "verification": header.verification.value,
    }


def node_evidence(view: ChainView, node: NodeView) -> dict[str, object]:
    """Return what this node showed beside what is agreed, with the digests of the answers in the journal."""
    evidence: dict[str, object] = {"bodies": dict(node.seen.bodies)}
    if node.seen.head is not None:
        evidence["head"] = block_evidence(node.seen.head)
    if view.head_header is not None:
        evidence["agreed"] = block_evidence(view.head_header)
    return evidence
