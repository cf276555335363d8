"""Faults of a simulated world, by name and with their arguments: what a scenario's timeline is made of.

Each is a frozen value that begins and ends. What a node *sees* (late, frozen, on another branch) is changed at the
simulated node; what it *answers* (wrong ids, a slow drip) at the virtual node before it; what happens to the chain
itself at the chain.
"""

from typing import Final

from tocsin.testing.simfaults.answered import (
    BatchQuirk,
    Chaos,
    Errors,
    Latency,
    LyingHeader,
    Malformed,
    Phantom,
    ProviderOutage,
    Prune,
    RateLimitStorm,
    SlowDrip,
    Syncing,
    Truncate,
    Unreachable,
    WrongChain,
    WrongIds,
    WsSilent,
)
from tocsin.testing.simfaults.base import WorldFault, share
from tocsin.testing.simfaults.seen import (
    BalancerSkew,
    FinalityViolation,
    Fork,
    Freeze,
    Lag,
    MajorityStall,
    Peers,
    Version,
)
from tocsin.testing.simfaults.world import ChainHalt, ClockJump, DeepReorg, FinalityStall, Restart

__all__ = [
    "WORLD_FAULTS",
    "BalancerSkew",
    "BatchQuirk",
    "ChainHalt",
    "Chaos",
    "ClockJump",
    "DeepReorg",
    "Errors",
    "FinalityStall",
    "FinalityViolation",
    "Fork",
    "Freeze",
    "Lag",
    "Latency",
    "LyingHeader",
    "MajorityStall",
    "Malformed",
    "Peers",
    "Phantom",
    "ProviderOutage",
    "Prune",
    "RateLimitStorm",
    "Restart",
    "SlowDrip",
    "Syncing",
    "Truncate",
    "Unreachable",
    "Version",
    "WorldFault",
    "WrongChain",
    "WrongIds",
    "WsSilent",
    "share",
]

WORLD_FAULTS: Final[dict[str, type[WorldFault]]] = {
    fault.name: fault
    for fault in (
        Freeze,
        Lag,
        Fork,
        Phantom,
        BalancerSkew,
        Prune,
        Truncate,
        WrongIds,
        SlowDrip,
        Malformed,
        BatchQuirk,
        RateLimitStorm,
        ClockJump,
        ProviderOutage,
        MajorityStall,
        ChainHalt,
        LyingHeader,
        DeepReorg,
        FinalityViolation,
        FinalityStall,
        WrongChain,
        Unreachable,
        Syncing,
        Latency,
        Errors,
        Peers,
        Version,
        WsSilent,
        Restart,
        Chaos,
    )
}
"""By the name that a scenario uses."""
