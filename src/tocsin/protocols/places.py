"""Which market is meant, where its contracts are, and other plain values of what is read, for all protocols."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A market as a configuration names it."""

    pool: bytes
    """20 bytes: the contract that knows it."""
    id: bytes = b""
    """32 bytes: which market of a contract that has many."""
    tokens: tuple[bytes, ...] = ()
    """20 bytes each, of protocols whose borrowers are named by contracts that the pool only lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where the contracts of a market are, by the names that reads and events have for them."""

    target: Target
    at: Mapping[str, tuple[bytes, ...]]
    """20 bytes each; a part that there is none of is not there, or empty."""
    names: Mapping[bytes, str] = field(default_factory=dict)
    """What people call assets, by their addresses: each name once (`tocsin.protocols.names`)."""
    links: Mapping[str, Mapping[bytes, bytes]] = field(default_factory=dict)
    """What belongs to one asset each, such as where its price comes from: by the link's name, by asset."""
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """What the market has by numbers, such as categories."""

    def one(self, part: str) -> bytes | None:
        """Return where a part is that there is one of at most."""
        found = self.at.get(part, ())
        return found[0] if found else None

    def all(self, part: str) -> tuple[bytes, ...]:
        """Return where the contracts of a part are."""
        return self.at.get(part, ())

    def name(self, asset: bytes) -> str:
        """Return what people call an asset: its address where it has no name."""
        return self.names.get(asset) or f"0x{asset.hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What values of a market are in: `USD`, or the name of a token; one whole of it has so many decimals."""

    name: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """An account that could not be read, or of which the chain's own view function said nothing, and why."""

    account: bytes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that rules count otherwise than the chain's own view function."""

    what: str
    ours: str
    chain: str
