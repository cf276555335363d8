"""Faults in what a node sees: late, frozen, on another branch. They change the simulated node itself."""
# ruff: noqa: ARG002 - every fault begins and ends with the same arguments

from dataclasses import dataclass
from typing import ClassVar, Literal

from tocsin.testing.simchain import MAIN
from tocsin.testing.simfaults.base import Within
from tocsin.testing.simnode import SimNode
from tocsin.testing.simworld import SimWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(Within):
    """The node answers on, from what it had at that moment."""

    name: ClassVar[str] = "freeze"

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.view.freeze()

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.view.thaw()


@dataclass(frozen=True, slots=True, kw_only=True)
class MajorityStall(Freeze):
    """All these nodes stand still at the same moment, as the followers of one stuck client or provider do."""

    name: ClassVar[str] = "majority_stall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag(Within):
    """Every block reaches the node later than usual: by some blocks' time, or by a time."""

    name: ClassVar[str] = "lag"

    blocks: int = 0
    by_ns: int = 0

    def __post_init__(self) -> None:
        if not self.blocks and not self.by_ns:
            raise ValueError("a lag needs blocks or by")

    def _more_ns(self, world: SimWorld) -> int:
        return self.by_ns + self.blocks * world.chain.spec.slot_ns

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.view.later_ns += self._more_ns(world)

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.view.later_ns -= self._more_ns(world)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork(Within):
    """The nodes follow another branch that parts `depth` blocks below the head; both branches grow.

    Faults of the same `branch` share it: the first one parts it. `breaks` makes the branch's first block break a rule
    of the chain. When the fault ends its nodes return to the main branch.
    """

    name: ClassVar[str] = "fork"

    depth: int = 1
    branch: str = "fork"
    breaks: Literal["nothing", "base_fee", "timestamp"] = "nothing"

    def strike(self, world: SimWorld, node: SimNode) -> None:
        if self.branch not in world.chain.branches:
            world.chain.fork(self.branch, depth=self.depth, breaks=self.breaks)
        node.view.branch = self.branch

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.view.branch = MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityViolation(Fork):
    """The nodes are on a branch that parts below what was final: two finalized blocks of one height."""

    name: ClassVar[str] = "finality_violation"

    depth: int = 70
    branch: str = "violation"

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        if self.depth <= world.chain.spec.finalized_after:
            raise ValueError(
                f"depth {self.depth} is above the finalized block; the chain finalizes after "
                f"{world.chain.spec.finalized_after}"
            )
        # Not super(): a dataclass with slots is another class than the one that super() closes over.
        await Fork.begin(self, world, nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerSkew(Within):
    """The node is a balancer: by turns a machine answers that is `blocks` behind the others."""

    name: ClassVar[str] = "balancer_skew"

    blocks: int = 2

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.view.skew = self.blocks

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.view.skew = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers(Within):
    """The node says that it has this many peers."""

    name: ClassVar[str] = "peers"

    count: int = 0
    usual: int = 25

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.peers = self.count

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.peers = self.usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Within):
    """The node runs another version from then on."""

    name: ClassVar[str] = "version"

    client: str

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.client = self.client
