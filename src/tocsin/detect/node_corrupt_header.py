"""A node that serves a header whose fields do not hash to its hash.

No honest, healthy node can do that: it is broken or it lies. It is said when the node, asked once more by that hash,
has confirmed it (`tocsin.engine.doubt`); only a person's `ack` lets it go, because a node that recovered by itself has
still to be explained.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, block_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "node.corrupt_header"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptHeaderParams:
    """In corrupt headers that the node has confirmed. `latched`: resolves only after `ack`."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1, polls=3)
    latched: bool = True


def node_corrupt_header(view: ChainView, params: CorruptHeaderParams) -> Iterator[Finding]:
    """Yield one finding per node whose newest header is corrupt, and confirmed to be; `value` is 1."""
    limits = Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    for node in view.answering:
        corrupt = node.seen.corrupt or node.seen.mismatch
        if corrupt is not None and node.seen.is_confirmed:
            yield Finding(
                detector=ID,
                labels=node.labels,
                value=1,
                unit="header",
                limits=limits,
                sample=node.seen.polls,
                summary=f"{node.settings.name} serves a header of block {corrupt.number} "
                "whose fields do not hash to its hash",
                grade=view.head.grade,
                block=corrupt.ref,
                evidence={
                    "header": block_evidence(corrupt),
                    "recomputed_hash": node.seen.corrupt_hash,
                    **node.seen.corrupt_shown,
                    "last_good": block_evidence(node.seen.head) if node.seen.head is not None else None,
                    "bodies": dict(node.seen.bodies),
                },
            )


DETECTOR = ChainDetector(id=ID, params=CorruptHeaderParams, run=node_corrupt_header)
