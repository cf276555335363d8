"""A node of another chain: its chain id, its network id, or its block 0, is not the configured one.

Never a matter of degree: one poll is enough, and the node counts for nothing from the same poll on. A wrong chain id
may be a mistake of a balancer that heals; a wrong block 0 under the right id is a chain made to look like this one, and
only a person's `ack` lets that go. A network id counts where the configuration names it: a copy of a chain made for
trials (a shadow fork) has the chain's id and block 0, and another network.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import ChainDetector
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.view import ChainView, NodeView

ID = "node.wrong_chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongChainParams:
    """Clears after three right answers that span `clear_slots` block times."""

    critical: Over | None = Over(over=1)
    clear_polls: int = 3
    clear_slots: int = 5


def mismatch(view: ChainView, node: NodeView) -> str | None:
    """Say what is of another chain, or None."""
    settings, seen = view.settings, node.seen
    if seen.chain_id is not None and seen.chain_id != settings.id:
        return f"chain id {seen.chain_id} instead of {settings.id}"
    if settings.network_id is not None and seen.network_id not in (None, settings.network_id):
        return f"network id {seen.network_id} instead of {settings.network_id}"
    if has_wrong_genesis(view, node):
        return f"genesis {seen.genesis_hash} instead of {settings.genesis_hash}"
    return None


def has_wrong_genesis(view: ChainView, node: NodeView) -> bool:
    """Tell whether block 0 is known, and another one than is configured."""
    wanted, shown = view.settings.genesis_hash, node.seen.genesis_hash
    return wanted is not None and shown is not None and shown != wanted


def node_wrong_chain(view: ChainView, params: WrongChainParams) -> Iterator[Finding]:
    """Yield one finding per node of another chain; `value` is 1."""
    clear = Under(under=1, polls=params.clear_polls, for_ns=params.clear_slots * view.settings.pace_ns)
    for node in view.answering:
        wrong = mismatch(view, node)
        if wrong is not None:
            yield Finding(
                detector=ID,
                labels=node.labels,
                value=1,
                unit="mismatch",
                limits=Limits(critical=params.critical, clear=clear, latched=has_wrong_genesis(view, node)),
                sample=node.seen.polls,
                summary=f"{node.settings.name} is a node of another chain: {wrong}",
                grade=view.head.grade,
                evidence={
                    "chain_id": node.seen.chain_id,
                    "network_id": node.seen.network_id,
                    "genesis_hash": node.seen.genesis_hash,
                },
            )


DETECTOR = ChainDetector(id=ID, params=WrongChainParams, run=node_wrong_chain, everywhere=True)
