"""Fewer groups vote than a quorum needs, or what they show cannot be linked: the last agreed head is growing old."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.view import ChainView

ID = "pool.quorum_lost"
_LOST = (Grade.MAJORITY, Grade.UNCORROBORATED)
_TWO_GROUPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumLostParams:
    """In half block times without a quorum: 3 are 18 s on a chain of 12 s.

    Before that a silent node has missed three polls: together a lost quorum is told of within 29 s at 2 s polling, for
    which 30 s are the limit (simulation: benchmarks/detection.py).
    """

    half_slots: int = 3
    clear_half_slots: int = 10
    frozen_slots: int = 6
    """In block times for which the agreed head stands still though all groups vote: they show what links to nothing."""


def pool_quorum_lost(view: ChainView, params: QuorumLostParams) -> Iterator[Finding]:
    """Yield a finding while a pool of two or more groups has no quorum; `value` in groups that do not vote.

    All vote and still no block has a quorum: then it is 1, and only once the agreed head has stood still for long.
    """
    if view.head.groups < _TWO_GROUPS or view.head.grade not in _LOST:
        return
    half = view.settings.pace_ns // 2
    missing = view.head.groups - view.head.voting_groups
    if missing <= 0 and not _is_frozen(view, params):
        return
    why = view.head.explanation
    ruled = [node.settings.name for node in view.nodes if node.ruled_out]
    silent = [node.settings.name for node in view.nodes if not node.voting]
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=max(1, missing),
        unit="groups",
        limits=Limits(
            warning=Over(over=1, for_ns=params.half_slots * half),
            clear=Under(under=1, for_ns=params.clear_half_slots * half),
        ),
        sample=view.tick,
        summary=f"{view.head.voting_groups} of {view.head.groups} groups of {view.settings.name} vote: no quorum"
        + (f"; {why}" if why and (ruled or missing <= 0 or view.head.grade is Grade.MAJORITY) else ""),
        grade=view.head.grade,
        block=view.head.block,
        evidence={"not_voting": silent, **({"ruled_out": ruled} if ruled else {})},
    )


def _is_frozen(view: ChainView, params: QuorumLostParams) -> bool:
    stood_ns = view.now_ns - max(view.head.since_ns or 0, view.started_ns)
    return view.head.grade is Grade.UNCORROBORATED and stood_ns >= params.frozen_slots * view.settings.pace_ns


DETECTOR = ChainDetector(id=ID, params=QuorumLostParams, run=pool_quorum_lost)
