"""What is known of a node beside its head: what it says of itself, and what it has shown that it can answer.

Everything here is bounded and changes rarely. Depths are blocks below the node's own head.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a node says of itself, asked about once a minute. Times are engine ns."""

    client: str | None = None
    """`web3_clientVersion`, printable, at most 200 characters."""
    versions: tuple[str, ...] = ()
    """The distinct versions that it has said, the newest first, at most four."""
    changed_ns: int | None = None
    """When it said another version than before."""
    renewed_ns: int | None = None
    """When it said a version that is none of those remembered."""
    peers: int | None = None
    peer_answers: int = 0
    pending: int | None = None
    """Transactions that wait in its pool."""
    pendings: tuple[int, ...] = ()
    """The last hour of `pending`, the newest last; emptiness that lasts is no habit and is left out."""
    pool_answers: int = 0
    deviation: int = 0
    """How far `pending` is from its median of the last hour, in tenths of a standard deviation; 0 until it is known."""
    empty_since_ns: int | None = None
    """Since when the pool has been empty, where it usually is not."""
    missing: tuple[str, ...] = ()
    """The questions among these that the node does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far down a node answers one kind of question."""

    depth: int | None = None
    """The deepest that was answered; None where nothing was."""
    limit: int | None = None
    """The shallowest that was refused since then; None where none was."""
    whole: bool = False
    """Whether it was answered down to the first block."""
    best: int | None = None
    """The deepest that was ever answered: what is lost is measured against it."""
    lost_ns: int | None = None
    """Since when it has been noticeably shorter than `best`, engine ns."""
    missing: bool = False
    """Whether the node does not know the method."""
    tries: int = 0
    """How often a search ended: each is one observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a node has shown that it can answer. `number` counts the changes that are worth telling."""

    number: int = 0
    is_short: bool = False
    """Whether any reach is shorter than it was."""
    reach: Mapping[str, Reach] = field(default_factory=dict)
    """By the value of `tocsin.model.question.Ability`; a kind that was never tried is absent."""
    pins: Mapping[str, bool] = field(default_factory=dict)
    """By ability, whether state is answered at a block hash. A node that answers for a hash of no block has neither."""
    offered: Mapping[str, int] = field(default_factory=dict)
    """By ability, the oldest block that the node itself says it has (`eth_capabilities`). A claim, tried like any."""
