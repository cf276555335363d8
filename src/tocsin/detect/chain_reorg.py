"""The agreed chain replaced some of its own blocks.

An event more than a condition: it stays for some block times so that everybody sees it, then resolves.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector, blocks
from tocsin.model.alert import Finding, Limits, Over
from tocsin.model.block import BlockRef
from tocsin.model.view import ChainView, Reorg

ID = "chain.reorg"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReorgParams:
    """In replaced blocks. One is everyday life of a chain; `hold_slots` is how long the alert stays."""

    warning: Over | None = Over(over=2)
    critical: Over | None = Over(over=7)
    hold_slots: int = 5


def _plain(block: BlockRef | None) -> dict[str, object] | None:
    return None if block is None else {"number": block.number, "hash": block.hash}


def _words(reorg: Reorg) -> str:
    if reorg.ancestor is None:
        return f"at least {blocks(reorg.depth)} below {reorg.old.number}; where the branches part is too deep to tell"
    return f"{blocks(reorg.depth)} after block {reorg.ancestor.number}"


def chain_reorg(view: ChainView, params: ReorgParams) -> Iterator[Finding]:
    """Yield a finding for a while after a reorg; `value` is its depth in blocks."""
    reorg = view.reorg
    if reorg is None or view.now_ns - reorg.at_ns > params.hold_slots * view.settings.pace_ns:
        return
    yield Finding(
        detector=ID,
        labels=view.labels,
        value=reorg.depth,
        unit="blocks",
        limits=Limits(warning=params.warning, critical=params.critical),
        sample=reorg.number,
        summary=f"{view.settings.name} replaced {_words(reorg)}",
        grade=view.head.grade,
        block=reorg.new,
        evidence={"ancestor": _plain(reorg.ancestor), "old": _plain(reorg.old), "new": _plain(reorg.new)},
    )


DETECTOR = ChainDetector(id=ID, params=ReorgParams, run=chain_reorg)
