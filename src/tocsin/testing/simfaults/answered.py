"""Faults in what a node answers: wrong ids, a slow drip, another chain. They stand in the virtual node before it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tocsin.clock import NS
from tocsin.testing.faults import parse_fault
from tocsin.testing.simfaults.base import Before, Said, share
from tocsin.units import DurationNs, duration_text

Client = Literal["geth", "nethermind", "besu", "reth", "erigon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable(Said):
    """The node gives no answer: the connection is refused, hangs, or is reset, or HTTP says so."""

    name: ClassVar[str] = "unreachable"
    says: ClassVar[str] = "{0.manner}"

    manner: Literal["refused", "hang", "reset", "http-503", "http-401", "html"] = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOutage(Unreachable):
    """All nodes of a provider are out at once."""

    name: ClassVar[str] = "provider_outage"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongChain(Said):
    """The node says that it is on another chain."""

    name: ClassVar[str] = "wrong_chain"
    says: ClassVar[str] = "wrong-chain:{0.chain_id}"

    chain_id: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Syncing(Said):
    """`eth_syncing` gives a progress object."""

    name: ClassVar[str] = "syncing"
    says: ClassVar[str] = "syncing:{0.behind}"

    behind: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom(Said):
    """The head is a sound-looking block far ahead, whose parent nobody has."""

    name: ClassVar[str] = "phantom"
    says: ClassVar[str] = "phantom-head:{0.ahead}"

    ahead: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LyingHeader(Said):
    """One field of every header is changed, but the old hash is kept."""

    name: ClassVar[str] = "lying_header"
    says: ClassVar[str] = "corrupt-header:{0.field}"

    field: str = "stateRoot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune(Said):
    """State is gone: calls that read it fail in the words of a client."""

    name: ClassVar[str] = "prune"
    says: ClassVar[str] = "pruned:{0.client}"

    client: Client = "geth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(Said):
    """The body ends before its announced length."""

    name: ClassVar[str] = "truncate"
    says: ClassVar[str] = "truncated"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongIds(Said):
    """Every answer carries an id that nobody asked with."""

    name: ClassVar[str] = "wrong_ids"
    says: ClassVar[str] = "wrong-ids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed(Said):
    """JSON that breaks off, with the right length."""

    name: ClassVar[str] = "malformed"
    says: ClassVar[str] = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDrip(Before):
    """The right answer, eight bytes at a time."""

    name: ClassVar[str] = "slow_drip"

    pause_ns: DurationNs = DurationNs(NS // 10)

    @property
    def text(self) -> str:
        return f"slow-drip:{duration_text(self.pause_ns)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchQuirk(Said):
    """Batches longer than `limit` are refused in the shape of a client; singles pass."""

    name: ClassVar[str] = "batch_quirk"
    says: ClassVar[str] = "batch-refused:{0.client}/{0.limit}"

    client: Literal["geth", "besu", "erigon", "nethermind", "drop"] = "erigon"
    limit: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitStorm(Before):
    """HTTP 429 for a share of the requests, with Retry-After."""

    name: ClassVar[str] = "rate_limit_storm"

    retry_after_ns: int = 0
    chance: str = "100%"

    def __post_init__(self) -> None:
        share(self.chance)

    @property
    def text(self) -> str:
        after = f":{self.retry_after_ns // NS}" if self.retry_after_ns else ""
        return f"http-429{after}@{share(self.chance):g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors(Before):
    """HTTP 503 for a share of the requests."""

    name: ClassVar[str] = "errors"

    chance: str = "50%"

    def __post_init__(self) -> None:
        share(self.chance)

    @property
    def text(self) -> str:
        return f"status:503@{share(self.chance):g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Before):
    """Every answer comes late by this much, plus up to `jitter` more."""

    name: ClassVar[str] = "latency"

    by_ns: DurationNs = DurationNs(NS)
    jitter_ns: int = 0

    @property
    def text(self) -> str:
        return f"latency:{duration_text(self.by_ns)}+{duration_text(self.jitter_ns)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WsSilent(Said):
    """The websocket lives, but announces nothing any more."""

    name: ClassVar[str] = "ws_silent"
    says: ClassVar[str] = "ws-silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos(Said):
    """Any fault of the fault proxy, as `tocsin chaos` writes it."""

    name: ClassVar[str] = "chaos"
    says: ClassVar[str] = "{0.what}"

    what: str

    def __post_init__(self) -> None:
        parse_fault(self.what)
