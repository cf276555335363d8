"""Blocks as far as the watchdog needs them: the header, its links, and whether its hash was recomputed."""

from dataclasses import dataclass
from enum import StrEnum


class Verification(StrEnum):
    """What recomputing a header's hash from its fields said."""

    MATCH = "match"
    MISMATCH = "mismatch"
    """The fields do not hash to the hash that the node gave: the node is corrupt or lies."""
    CANNOT_VERIFY = "cannot-verify"
    """The field set is of no known fork, so nothing follows. Never a reproach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """A block by height and hash (0x-hex, lower case)."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One block header. `timestamp` in seconds since 1970; hashes 0x-hex, lower case."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    state_root: str
    verification: Verification
    base_fee: int | None = None
    """In wei; None where the header has none, or one that is no quantity below 2^63."""
    gas_used: int | None = None
    gas_limit: int | None = None

    @property
    def ref(self) -> BlockRef:
        """Height and hash."""
        return BlockRef(number=self.number, hash=self.hash)


class Rule(StrEnum):
    """What a header may break."""

    BASE_FEE = "base-fee"
    SLOT = "slot"
    """The time is no whole number of slots after genesis."""
    ORDER = "order"
    """The time is not after the parent's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A rule that a header breaks: what it shows, and what would have been right (of a time, the least that would)."""

    rule: Rule
    shown: int
    right: int
