"""Faults that strike everybody: the chain itself, or the watchdog that looks on."""
# ruff: noqa: ARG002 - every fault begins and ends with the same arguments

from dataclasses import dataclass
from typing import ClassVar

from tocsin.clock import NS
from tocsin.testing.simfaults.base import Aim, Plain
from tocsin.testing.simworld import SimWorld
from tocsin.units import DurationNs


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHalt(Plain):
    """Slots pass without blocks, on every branch."""

    name: ClassVar[str] = "chain_halt"
    aim: ClassVar[Aim] = "chain"

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.halt()

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.resume()


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityStall(Plain):
    """Nothing more is finalized; when the fault ends, finality catches up at once."""

    name: ClassVar[str] = "finality_stall"
    aim: ClassVar[Aim] = "chain"

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.stall_finality()

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.resume_finality()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepReorg(Plain):
    """The last `depth` blocks are replaced for everybody; the new branch ends `lower` below the old one."""

    name: ClassVar[str] = "deep_reorg"
    aim: ClassVar[Aim] = "chain"

    depth: int = 7
    lower: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.depth:
            raise ValueError(f"lower = {self.lower}: must be at least 0 and below depth = {self.depth}")

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.reorg(self.depth)
        if self.lower:
            world.chain.rollback(self.lower)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJump(Plain):
    """The watchdog's wall clock is set, forwards or back; the world does not notice."""

    name: ClassVar[str] = "clock_jump"
    aim: ClassVar[Aim] = "watchdog"

    by_ns: DurationNs
    back: bool = False

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.clock.step_wall(ns=-self.by_ns if self.back else self.by_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Plain):
    """The watchdog ends, is gone for a while, and starts again from its snapshot."""

    name: ClassVar[str] = "restart"
    aim: ClassVar[Aim] = "watchdog"

    down_ns: DurationNs = DurationNs(5 * NS)

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.restart(self.down_ns)
