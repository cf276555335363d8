"""Nodes and watchdogs as benchmarks configure them."""

from collections.abc import Iterable
from typing import Any

from tocsin.clock import NS
from tocsin.model.settings import ChainSettings, NodeSettings, Settings


def node_of(name: str, provider: str, *, own: bool = False, client: str = "", endpoint: str = "") -> NodeSettings:
    """Return a node, somebody else's unless it is said to be `own`; equal providers are one group."""
    return NodeSettings(
        name=name,
        id=f"bench.{name}",
        endpoint=endpoint,
        own=own,
        provider=provider,
        operator=provider,
        client=client,
        region="",
        host="",
    )


def watching(
    nodes: Iterable[NodeSettings], *, slot_s: int, poll_s: int, tick_ns: int = NS // 4, **more: Any
) -> Settings:
    """Return a watchdog of one simulated chain; `more` is of the chain."""
    chain = ChainSettings(
        name="sim",
        id=1337,
        block_time_ns=slot_s * NS,
        poll_ns=poll_s * NS,
        tick_ns=tick_ns,
        vote_by=("provider", "operator"),
        nodes=tuple(nodes),
        **more,
    )
    return Settings(site="bench", watchdog="w", environment="bench", config_hash="0", chains=(chain,))
