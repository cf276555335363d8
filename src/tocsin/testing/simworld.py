"""A simulated pool: one chain, the nodes that look at it, and what stands before each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tocsin.testing.clock import ManualClock
from tocsin.testing.simchain import SimChain
from tocsin.testing.simnode import SimNode
from tocsin.testing.virtualnode import VirtualNode


@dataclass(slots=True, kw_only=True)
class SimWorld:
    """What the faults of `tocsin.testing.simfaults` act on."""

    clock: ManualClock
    chain: SimChain
    nodes: Mapping[str, SimNode]
    """What each node knows of the chain."""
    before: Mapping[str, VirtualNode]
    """What stands before each node, and answers in its place."""
    restart: Callable[[int], None] = field(default=lambda _: None)
    """End the watchdog and start it again after so many nanoseconds."""

    def named(self, names: tuple[str, ...]) -> tuple[SimNode, ...]:
        """Return nodes by name."""
        return tuple(self.nodes[name] for name in names)
