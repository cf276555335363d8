"""A node that gives a proof which proves something else, or nothing.

A proof is held against the state root of a header that was agreed on and whose hash was recomputed, so that one proof
is enough to tell. It is said when the node, asked for the same once more, has done it again; a person's `ack` lets it
go, or a hundred sound proofs over an hour.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.question import Ability
from tocsin.model.view import ChainView, NodeView

ID = "node.proof_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofInvalidParams:
    """In wrong proofs that the node has confirmed. It is over after so many sound `proofs`, and after `quiet_ns`."""

    critical: Over | None = Over(over=1)
    clear: Under = Under(under=1)
    proofs: int = 100
    quiet_ns: int = 3600 * NS


def node_proof_invalid(view: ChainView, params: ProofInvalidParams) -> Iterator[Finding]:
    """Yield one finding per node that was caught with a wrong proof; `value` is 1."""
    limits = Limits(critical=params.critical, clear=params.clear)
    for node in view.answering:
        caught = node.refuted
        if caught is None or (caught.clean >= params.proofs and view.now_ns - caught.at_ns >= params.quiet_ns):
            continue
        yield Finding(
            detector=ID,
            labels=node.labels,
            value=1,
            unit="proof",
            limits=limits,
            sample=node.seen.polls,
            summary=f"{node.settings.name} gives a wrong proof of {caught.contract} at block {caught.block.number}: "
            f"{caught.reason}",
            grade=view.head.grade,
            block=caught.block,
            evidence=caught.evidence,
            whole=caught.whole,
        )


def _judges(node: NodeView) -> bool:
    reach = node.seen.capabilities.reach.get(Ability.PROOFS.value)
    return node.refuted is not None or reach is None or not reach.missing


DETECTOR = ChainDetector(id=ID, params=ProofInvalidParams, run=node_proof_invalid, judges=_judges)
