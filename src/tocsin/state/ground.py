"""Where a reading stands: the block that is agreed on, whether it still is, and how each node is asked there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tocsin.model.block import BlockRef
from tocsin.model.reading import Pin


class Lane(StrEnum):
    """At which of the agreed blocks is read. Closed: stands in documents."""

    HEAD = "head"
    """Below the agreed head, as soon as that moves; may still be replaced."""
    FINAL = "final"
    """The finalized block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A block to read at; `root` is its state root (0x), empty where its header is not verified."""

    block: BlockRef
    root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How a node is asked: how it is told of the block, and whether it may be asked for proofs."""

    pin: Pin
    proofs: bool = False


class Ground(Protocol):
    """What is known of the chain while it is read."""

    def place(self, lane: Lane) -> Place | None:
        """Return the block to read at, None while none is agreed on well enough."""
        ...

    def holds(self, block: BlockRef) -> bool:
        """Tell whether a block is still the agreed head, or leads to it."""
        ...

    def means(self, node: str, place: Place) -> Means | None:
        """Return how a node is asked at a block; None where it is not, or cannot have it."""
        ...
