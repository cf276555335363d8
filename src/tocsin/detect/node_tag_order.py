"""A node whose tags contradict each other, or go back: finalized above safe, safe above latest, finality that falls.

On a node that is well `finalized <= safe <= latest` always holds and neither of the two ever falls. Behind a balancer
each answer may be of another backend, which is the usual cause.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, blocks
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.trust import Trust
from tocsin.model.view import ChainView, NodeRecord, NodeView

ID = "node.tag_order"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOrderParams:
    """In blocks by which the order is broken or a tag fell. Clears after three block times in order."""

    warning: Over | None = Over(over=1, polls=2)
    clear_slots: int = 3


def disorder(seen: NodeRecord) -> tuple[int, str]:
    """Return by how many blocks the tags are out of order, and what is wrong; 0 where they are in order."""
    shown = (("latest", seen.head), ("safe", seen.safe), ("finalized", seen.finalized))
    known = [(name, block.number) for name, block in shown if block is not None]
    for at, (name, number) in enumerate(known):
        for lower, above in known[at + 1 :]:
            if above > number:
                return above - number, f"{lower} is {blocks(above - number)} above {name}"
    if seen.tag_fall:
        return seen.tag_fall, f"safe or finalized fell by {blocks(seen.tag_fall)}"
    return 0, ""


def _has_tags(node: NodeView) -> bool:
    return node.seen.safe is not None or node.seen.finalized is not None


def node_tag_order(view: ChainView, params: TagOrderParams) -> Iterator[Finding]:
    """Yield one finding per node whose tags are out of order; `value` in blocks."""
    for node in view.answering:
        if not _in_order(node.seen):
            value, what = disorder(node.seen)
            yield _finding(view, node, value, what, params)


def _in_order(seen: NodeRecord) -> bool:
    """Tell whether there is nothing to say, as cheaply as every node at every tick deserves."""
    head, safe, final = seen.head, seen.safe, seen.finalized
    top = None if head is None else head.number
    if seen.tag_fall or (safe is not None and top is not None and safe.number > top):
        return False
    if final is None:
        return True
    return (top is None or final.number <= top) and (safe is None or final.number <= safe.number)


def _finding(view: ChainView, node: NodeView, value: int, what: str, params: TagOrderParams) -> Finding:
    tags = {"latest": node.seen.head, "safe": node.seen.safe, "finalized": node.seen.finalized}
    return Finding(
        detector=ID,
        labels=node.labels,
        value=value,
        unit="blocks",
        limits=Limits(
            warning=params.warning,
            clear=Under(under=1, polls=2, for_ns=params.clear_slots * view.settings.pace_ns),
        ),
        sample=node.seen.polls,
        summary=f"the tags of {node.settings.name} are out of order: {what}",
        grade=view.head.grade,
        block=view.head.block,
        evidence={
            "tags": {name: {"number": tag.number, "hash": tag.hash} for name, tag in tags.items() if tag is not None},
            "bodies": dict(node.seen.bodies),
        },
    )


DETECTOR = ChainDetector(id=ID, params=TagOrderParams, run=node_tag_order, starts=Trust.OBSERVE, judges=_has_tags)
