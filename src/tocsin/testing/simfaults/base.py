"""What a fault of a simulated world is, and the three places where one can strike."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Protocol

from tocsin.testing.faults import parse_fault
from tocsin.testing.simnode import SimNode
from tocsin.testing.simworld import SimWorld

Aim = Literal["nodes", "chain", "watchdog"]
"""What a fault strikes: the nodes that it names, the chain for everybody, or the watchdog that looks on."""


class WorldFault(Protocol):
    """A fault with its arguments."""

    name: ClassVar[str]
    aim: ClassVar[Aim]

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        """Strike these nodes, or the world."""
        ...

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        """Heal."""
        ...


class Plain(ABC):
    """Base: ends by itself or not at all."""

    name: ClassVar[str]
    aim: ClassVar[Aim] = "nodes"

    @abstractmethod
    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None: ...

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:  # noqa: B027 - a default, not left out
        """Nothing is left to undo."""


class Within(Plain):
    """Base of faults of the simulated node itself, of each one that is struck."""

    @abstractmethod
    def strike(self, world: SimWorld, node: SimNode) -> None: ...

    def heal(self, world: SimWorld, node: SimNode) -> None:
        """Nothing is left to undo."""

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        for node in world.named(nodes):
            self.strike(world, node)

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        for node in world.named(nodes):
            self.heal(world, node)


class Before(Plain):
    """Base of faults of the virtual node; `text` is the fault as `parse_fault` reads it."""

    @property
    @abstractmethod
    def text(self) -> str: ...

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        for name in nodes:
            await world.before[name].add(parse_fault(self.text))

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        for name in nodes:
            await world.before[name].clear(parse_fault(self.text).name)


class Said(Before):
    """Base of those whose text is always the same, but for the fields that `says` names in braces."""

    says: ClassVar[str]

    @property
    def text(self) -> str:
        return self.says.format(self)


def share(text: str) -> float:
    """Read a share such as "20%" as a number from 0 to 1. Raises ValueError."""
    number, sign, rest = text.partition("%")
    try:
        value = float(number) / 100
    except ValueError:
        value = -1.0
    if sign != "%" or rest or not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a share; write a percentage from 0% to 100%")
    return value
