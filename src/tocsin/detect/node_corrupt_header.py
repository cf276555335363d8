"""A node that serves a header whose fields do not hash to its hash.

No honest, healthy node can do that: it is broken or it lies. The second poll in a row, a fresh fetch, confirms it;
only a person's `ack` lets it go, because a node that recovered by itself has still to be explained.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, block_evidence
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "node.corrupt_header"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptHeaderParams:
    """In polls that showed a corrupt header. `latched`: resolves only after `ack`."""

    critical: Over | None = Over(over=1, polls=2)
    clear: Under = Under(under=1, polls=3)
    latched: bool = True


def node_corrupt_header(view: ChainView, params: CorruptHeaderParams) -> Iterator[Finding]:
    """Yield one finding per node whose newest header is corrupt; `value` is 1."""
    limits = Limits(critical=params.critical, clear=params.clear, latched=params.latched)
    for node in view.answering:
        corrupt = node.seen.corrupt
        if corrupt is not None:
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
                    "bodies": dict(node.seen.bodies),
                },
            )


DETECTOR = ChainDetector(id=ID, params=CorruptHeaderParams, run=node_corrupt_header)
