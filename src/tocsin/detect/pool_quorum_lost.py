"""Fewer groups vote than a quorum needs, or what they show cannot be linked: the last agreed head is growing old.

Where nodes answer and still no group votes, nothing at all is known of the chain: that is as bad as a pool of which
nobody answers (`pool.blind`), and the evidence says of each node why its word does not count.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import ChainView, NodeView

ID = "pool.quorum_lost"
_LOST = (Grade.MAJORITY, Grade.UNCORROBORATED)
_TWO_GROUPS = 2
_SILENT_POLLS = 3
"""From so many missed polls on a node is no voter; where all are, it is `pool.blind` that tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumLostParams:
    """In half block times without a quorum: 3 are 18 s on a chain of 12 s. Critical where no group votes at all.

    Before that a silent node has missed three polls: together a lost quorum is told of within 29 s at 2 s polling, for
    which 30 s are the limit (simulation: benchmarks/detection.py).
    """

    half_slots: int = 3
    clear_half_slots: int = 10
    frozen_slots: int = 6
    """In block times for which the agreed head stands still though all groups vote: they show what links to nothing."""


def pool_quorum_lost(view: ChainView, params: QuorumLostParams) -> Iterator[Finding]:
    """Yield a finding while a pool has no quorum; `value` in groups that do not vote.

    All vote and still no block has a quorum: then it is 1, and only once the agreed head has stood still for long. A
    pool of one group has none to lose, but may be left without any vote.
    """
    if view.head.grade is Grade.BLIND:
        heard = [node for node in view.nodes if _is_heard(view, node)]
        if heard:
            yield _finding(view, params, view.head.groups, f"although {_answer(heard)}")
        return
    if view.head.groups < _TWO_GROUPS or view.head.grade not in _LOST:
        return
    missing = view.head.groups - view.head.voting_groups
    if missing <= 0 and not _is_frozen(view, params):
        return
    ruled = any(node.ruled_out for node in view.nodes)
    tells = ruled or missing <= 0 or view.head.grade is Grade.MAJORITY
    yield _finding(view, params, max(1, missing), view.head.explanation if tells else "")


def _finding(view: ChainView, params: QuorumLostParams, value: int, why: str) -> Finding:
    half = view.settings.pace_ns // 2
    limit = Over(over=1, for_ns=params.half_slots * half)
    is_blind = view.head.grade is Grade.BLIND
    ruled = [node.settings.name for node in view.nodes if node.ruled_out]
    voiceless = [node for node in view.nodes if is_blind or not node.voting]
    return Finding(
        detector=ID,
        labels=view.labels,
        value=value,
        unit="groups",
        limits=Limits(
            warning=None if is_blind else limit,
            critical=limit if is_blind else None,
            clear=Under(under=1, for_ns=params.clear_half_slots * half),
        ),
        sample=view.tick,
        summary=f"{view.head.voting_groups} of {view.head.groups} groups of {view.settings.name} vote: no quorum"
        + (f"; {why}" if why else ""),
        grade=view.head.grade,
        block=view.head.block,
        evidence={
            "not_voting": [node.settings.name for node in voiceless],
            "why": {node.settings.name: _why_not(view, node) for node in voiceless},
            **({"ruled_out": ruled} if ruled else {}),
        },
    )


def _is_heard(view: ChainView, node: NodeView) -> bool:
    answered_ns = node.seen.last_answer_ns
    return answered_ns is not None and answered_ns >= view.started_ns and node.seen.missed < _SILENT_POLLS


def _answer(nodes: list[NodeView]) -> str:
    names = ", ".join(node.settings.name for node in nodes)
    return f"{names} {'answers' if len(nodes) == 1 else 'answer'}"


def _why_not(view: ChainView, node: NodeView) -> str:
    """Say why the word of a node does not count."""
    seen, chain = node.seen, view.settings
    if not _is_heard(view, node):
        return f"silent: {seen.fault.kind.value}" if seen.fault is not None else "silent"
    if seen.chain_id != chain.id:
        return f"on chain {seen.chain_id} instead of {chain.id}"
    if chain.network_id is not None and seen.network_id not in (None, chain.network_id):
        return f"on network {seen.network_id} instead of {chain.network_id}"
    if chain.genesis_hash is not None and seen.genesis_hash not in (None, chain.genesis_hash):
        return "another block 0"
    if seen.corrupt is not None:
        return "its newest header does not hash to its hash"
    if node.muted:
        return f"in state {node.muted}"
    if seen.head is None:
        return "shows no head"
    return "no majority of its group shows the same"


def _is_frozen(view: ChainView, params: QuorumLostParams) -> bool:
    stood_ns = view.now_ns - max(view.head.since_ns or 0, view.started_ns)
    return view.head.grade is Grade.UNCORROBORATED and stood_ns >= params.frozen_slots * view.settings.pace_ns


DETECTOR = ChainDetector(id=ID, params=QuorumLostParams, run=pool_quorum_lost)
