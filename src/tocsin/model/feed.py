"""Where prices come from: feeds, pools and rates on a chain, gateways over HTTP, and what is known of each.

Everything is text where it may be larger than 64 bits, as numbers of rounds are; prices are decimal numbers as of
`tocsin.model.price`. Two prices are told side by side: what a protocol's oracle says, by which positions are
liquidated now, and what the market says, which is where the oracle goes next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tocsin.model.alert import Grade, Labels
from tocsin.model.block import BlockRef
from tocsin.model.contract import Known
from tocsin.model.observation import Fault

FEED: Final = "feed"
"""Of alerts about a source of prices on a chain."""
GATEWAY: Final = "gateway"
"""Of alerts about a source of prices over HTTP."""

PHASE_BITS: Final = 64
"""A proxy's number of a round is the number of its phase, and in the lower 64 bits the aggregator's (Chainlink,
AggregatorProxy.sol)."""


class FeedKind(StrEnum):
    """How a price is read. Closed: stands in the configuration."""

    CHAINLINK = "chainlink"
    """The proxy of an aggregator, or one: `latestRoundData()`."""
    TWAP = "uniswap-v3-twap"
    """The mean price of a Uniswap v3 pool over a window: `observe(uint32[])`."""
    SPOT_V3 = "uniswap-v3-spot"
    """The price of a Uniswap v3 pool at that block: `slot0()`."""
    SPOT_V2 = "uniswap-v2-spot"
    """The price of a Uniswap v2 pair at that block: `getReserves()`."""
    ERC4626 = "erc4626"
    """What a share of a vault is worth: `convertToAssets(uint256)`."""
    RATE = "rate"
    """What a function without arguments returns, such as `getExchangeRate()`."""
    SEQUENCER = "sequencer"
    """Whether the sequencer of a rollup is up: `latestRoundData()` of its uptime feed."""


POOLS: Final = frozenset({FeedKind.TWAP, FeedKind.SPOT_V3, FeedKind.SPOT_V2})
ROUNDS: Final = frozenset({FeedKind.CHAINLINK, FeedKind.SEQUENCER})
RATES: Final = frozenset({FeedKind.ERC4626, FeedKind.RATE})


class Role(StrEnum):
    """What a source is to a protocol. Closed: stands in the configuration."""

    ORACLE = "oracle"
    """Protocols go by it: what it says happens."""
    MARKET = "market"
    """What is paid; an oracle follows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """A source of prices on a chain. Addresses in lower case; what a kind does not have is empty, 0 or None."""

    name: str
    address: str
    kind: FeedKind = FeedKind.CHAINLINK
    role: Role = Role.ORACLE
    prices: str = ""
    """What it prices; sources with the same text are held against each other."""
    provider: str = ""
    """Who stands behind it: sources that share one are one voice."""
    heartbeat_ns: int = 0
    """An aggregator answers at least this often; 0 where that is not known, and no age is too old."""
    grace_ns: int = 0
    """So much later than its heartbeat an answer may be; of a sequencer, so long it is not trusted when it is back."""
    deviation_bps: int = 0
    """An aggregator answers when the price has moved by this much: by as much it may differ from the market."""
    decimals: int | None = None
    """What the contract has to say; None where it is taken at its word."""
    low: str = ""
    """An answer at or below this is none."""
    high: str = ""
    peg: str = ""
    """What the price should be."""
    base: str = ""
    """Of a pool: the token whose price, in the other one, is read."""
    window_s: int = 0
    min_liquidity: int = 0
    """Of a pool: with less liquidity its price is nobody's. In units of L (the root of the product of the reserves)."""
    function: str = ""
    """Of a rate: the selector of the function that returns it, 0x and 8 hex digits."""

    @property
    def identity(self) -> str:
        """What has to be the same for what is known of a feed to hold."""
        return " ".join((self.kind.value, self.address, self.base, str(self.window_s), self.function))


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """A source of prices over HTTP. `endpoint` is scheme and host only."""

    name: str
    endpoint: str
    prices: str
    provider: str
    poll_ns: int
    max_age_ns: int
    """A price that is older, by its own time or for lack of another answer, is none."""
    low: str = ""
    high: str = ""
    judged: bool = True
    """Whether alerts about it belong to this chain: to the first that has use for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One answer of an aggregator, or one reading of a rate. Times are Unix seconds."""

    number: str
    """Of a rate: the block's."""
    answer: str
    """The price."""
    updated_s: int
    started_s: int
    block: BlockRef
    """At which it was seen first."""
    moved_bps: int = 0
    """By how much it differs from the round before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a feed says at a block, and how that is known. `votes` of `groups` are 0 where it is proven."""

    value: str
    """The price; of a sequencer 0 for up and 1 for down."""
    block: BlockRef
    at_s: int
    """The time of that block, Unix seconds: by it, not by ours, the feed's age is measured."""
    grade: Grade
    votes: int = 0
    groups: int = 0
    round: str = ""
    updated_s: int | None = None
    started_s: int | None = None
    liquidity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regress:
    """A round that cannot follow the one that was known before it."""

    before: Round
    after: Round
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRecord:
    """What is known of one feed."""

    identity: str
    latest: Reading | None = None
    rounds: tuple[Round, ...] = ()
    """The newest last; of blocks that are on the chain."""
    regress: Regress | None = None
    """Until a round comes that follows."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """What does not change with the price: decimals, tokens, the aggregator behind a proxy, its bounds."""
    fixed_phase: str = ""
    """The phase of the proxy when that was read last."""
    fixed_round: str = ""
    """The newest round at which its decimals were."""
    samples: int = 0
    """How often it was read to the end."""
    block: BlockRef | None = None
    read_ns: int | None = None
    """When that was, engine time."""
    problem: str = ""
    """Why it is not known, or worth nothing."""
    wrong: Known | None = None
    """In which words what is known contradicts the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRecord:
    """What one gateway has shown so far. Times are engine ns, those with `wall` in them wall ns."""

    polls: int = 0
    answers: int = 0
    missed: int = 0
    """Polls in a row without a usable answer."""
    fault: Fault | None = None
    """Of the newest poll; None where it was answered."""
    price: str = ""
    price_wall_ns: int | None = None
    """When it was so: by the gateway's word, or when it came where it says nothing."""
    latency_ns: int | None = None


class GatewayState(StrEnum):
    """How a gateway stands."""

    NEW = "new"
    OK = "ok"
    UNREACHABLE = "unreachable"
    STALE = "stale"
    BROKEN = "broken"
    """It answers, but with nothing that is a price."""
    DISAGREEING = "disagreeing"
    """Its price is not that of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one source says of one price, and whether that can be used."""

    source: str
    """Its name; gateways are told from feeds by `role` and `is_gateway`."""
    prices: str
    provider: str
    role: Role
    value: str
    is_usable: bool
    is_gateway: bool = False
    why: str = ""
    """Why it cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedView:
    """One feed at one tick."""

    settings: FeedSettings
    labels: Labels
    seen: FeedRecord
    is_current: bool
    """Whether it was read lately."""
    low: str = ""
    """The lowest price that its aggregator can say, as far as that is known."""
    high: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayView:
    """One gateway at one tick."""

    settings: GatewaySettings
    labels: Labels
    seen: GatewayRecord
    age_ns: int | None
    """How old its price is, None where it has none."""
