"""Contracts that are watched: what of each is looked at, what it is known to be, and what it was pinned to.

Everything is text, so that records and documents show it as it is: bytes as 0x-hex, addresses in lower case.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tocsin.model.alert import Grade, Json, Labels
from tocsin.model.block import BlockRef

CONTRACT: Final = "contract"
"""Of alerts about a contract."""


class Watch(StrEnum):
    """What of a contract may be looked at. Closed: stands in the configuration, in documents and in alerts."""

    CODE = "code"
    """The hash of its code."""
    IMPLEMENTATION = "implementation"
    """Where a proxy takes its code from (EIP-1967)."""
    ADMIN = "admin"
    """Who may change that (EIP-1967)."""
    BEACON = "beacon"
    """Which beacon tells a proxy where to take its code from (EIP-1967)."""
    OWNER = "owner"
    """Who owns it: a slot whose place is configured, and what `owner()` returns (EIP-173)."""
    PAUSED = "paused"
    """Whether it is paused: a slot whose place is configured, and what `paused()` returns (OpenZeppelin Pausable)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a value lies: the slot (0x and 64 hex digits), and how many bytes above its lowest byte it begins."""

    slot: str
    offset: int = 0


STANDARD: Final[Mapping[Watch, Layout]] = {
    Watch.IMPLEMENTATION: Layout(slot="0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"),
    Watch.ADMIN: Layout(slot="0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103"),
    Watch.BEACON: Layout(slot="0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50"),
}
"""Slots of EIP-1967: the hash of `eip1967.proxy.implementation`, `.admin` and `.beacon`, each less one."""

FUNCTIONS: Final[Mapping[Watch, str]] = {Watch.OWNER: "0x8da5cb5b", Watch.PAUSED: "0x5c975abb"}
"""Selectors of `owner()` and `paused()`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSettings:
    """A contract that is watched. `layouts` are by the value of `Watch`."""

    name: str
    address: str
    watches: tuple[Watch, ...]
    layouts: Mapping[str, Layout] = field(default_factory=dict)

    def layout(self, watch: Watch) -> Layout | None:
        """Return where a watched value lies, None where it lies in no slot that is known."""
        return self.layouts.get(watch.value) or STANDARD.get(watch)

    @property
    def identity(self) -> str:
        """What has to be the same for what is known of a contract to hold: where it is, and where its values lie."""
        places = [f"{name}={at.slot}+{at.offset}" for name, at in sorted(self.layouts.items())]
        return " ".join((self.address, *places))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A watched value, how it is known, and as of which block. `votes` of `groups` are 0 where it is proven."""

    value: str
    grade: Grade
    block: BlockRef
    votes: int = 0
    groups: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The value that a watched value is held against: as at first sight, or as a person (`by`) has accepted it."""

    value: str
    grade: Grade
    block: BlockRef
    by: str = ""
    why: str = ""
    is_final: bool = False
    """Whether its block is known to be final: until then it is pinned anew if that block is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is known of one contract. Mappings are by the value of `Watch`."""

    identity: str
    """Of the settings that it was read under."""
    latest: Mapping[str, Known] = field(default_factory=dict)
    baseline: Mapping[str, Pinned] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    """The values that people were last told of in alerts: what an `ack` accepts."""
    samples: int = 0
    """How often it was read to the end."""
    block: BlockRef | None = None
    """The block of the newest such reading, even of one that told nothing."""
    read_ns: int | None = None
    """When that was, engine time."""
    audited: BlockRef | None = None
    """The finalized block at which nodes were last held against each other."""
    problem: str = ""
    """Why a value is not known, or not for sure."""


class Charge(StrEnum):
    """What a node is accused of. Closed: stands in snapshots."""

    PROOF = "proof"
    """A proof that does not lead to what it is said to prove."""
    VALUE = "value"
    """A result that is not what is proven, or what a quorum says, of the same block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accusation:
    """What a node was found to give wrong, twice in a row, of one contract at one block. Times are engine ns."""

    contract: str
    block: BlockRef
    reason: str
    evidence: Json
    at_ns: int
    clean: int = 0
    """How many sound answers of that kind it has given since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractView:
    """One contract at one tick."""

    settings: ContractSettings
    labels: Labels
    seen: Watched
    is_current: bool
    """Whether it was read lately."""
