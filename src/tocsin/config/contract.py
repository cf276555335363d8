"""`[[chain.contract]]`: a contract that is watched."""

from typing import Annotated, Final

from pydantic import Field, model_validator

from tocsin.config.table import Table
from tocsin.config.values import Address, Listed, Name, Word, choice
from tocsin.model.contract import FUNCTIONS, STANDARD, ContractSettings, Layout, Watch

_ADDRESS: Final = 20
_WORD: Final = 32
PLACED: Final = (*STANDARD, *FUNCTIONS)
"""What may lie in a slot whose place is configured."""

Watched = Annotated[str, choice([watch.value for watch in Watch])]


class LayoutTable(Table):
    """Where in a contract's storage a value lies."""

    slot: Word
    """The slot: its number, or 0x and 64 hex digits."""
    offset: Annotated[int, Field(ge=0, le=_WORD - 1)] = 0
    """How many bytes of the slot lie below the value: what is packed with others begins there."""

    def layout(self) -> Layout:
        """Return it as the core has it."""
        return Layout(slot=self.slot, offset=self.offset)


class ContractTable(Table):
    """A contract that is watched: its values are pinned once they are known for sure, and a change is an alert."""

    name: Name
    """In topics and labels; unique within the chain."""
    address: Address
    """Where it is; with its checksum (EIP-55), or all in lower case."""
    watch: Annotated[tuple[Watched, ...], Field(min_length=1), Listed]
    """What of it: code, implementation, admin, beacon, owner, paused."""
    implementation: LayoutTable | None = None
    """Where a proxy of another kind than EIP-1967 keeps its implementation."""
    admin: LayoutTable | None = None
    """The same of its admin."""
    beacon: LayoutTable | None = None
    """The same of its beacon."""
    owner: LayoutTable | None = None
    """Where the owner lies: then it is proven. Without it, what `owner()` returns is counted."""
    paused: LayoutTable | None = None
    """Where the flag lies, a byte that is not 0 while it is paused. Without it, what `paused()` returns is counted."""

    @model_validator(mode="after")
    def _consistent(self) -> "ContractTable":
        twice = sorted({name for name in self.watch if self.watch.count(name) > 1})
        if twice:
            raise ValueError(f"watch names {', '.join(twice)} twice")
        for watch in PLACED:
            layout: LayoutTable | None = getattr(self, watch.value)
            if layout is None:
                continue
            if watch.value not in self.watch:
                raise ValueError(f"says where {watch.value} lies and does not watch it; add it to watch")
            size = 1 if watch is Watch.PAUSED else _ADDRESS
            if layout.offset + size > _WORD:
                raise ValueError(f"{watch.value} has {size} bytes: its offset is at most {_WORD - size}")
        return self

    def settings(self) -> ContractSettings:
        """Return it as the core has it."""
        placed = {watch.value: getattr(self, watch.value) for watch in PLACED}
        return ContractSettings(
            name=self.name,
            address=self.address,
            watches=tuple(watch for watch in Watch if watch.value in self.watch),
            layouts={name: table.layout() for name, table in placed.items() if table is not None},
        )
