"""What is told of prices, as pydantic models: feeds on a chain, gateways over HTTP, and the market beside them."""

from typing import Annotated

from pydantic import Field

from tocsin.model.alert import Grade
from tocsin.model.feed import FeedKind, GatewayState, Role
from tocsin.mqtt.models_base import Address, Block, Counter, Name, Strict

Price = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", description="A decimal number, exact.")]
Points = Annotated[int, Field(ge=0, description="Basis points (0.01 %), 1,000,000 at most.")]
UnixTime = Annotated[int, Field(ge=0, description="Seconds since 1970, as the chain has it.")]


class Said(Strict):
    """What a feed says at a block."""

    value: Annotated[Price, Field(description="The price; of a sequencer's feed 0 for up and 1 for down.")]
    grade: Grade
    block: Annotated[Block, Field(description="At which it was read, when this was said.")]
    votes: Annotated[Counter, Field(description="Groups that say so.")]
    groups: Counter
    round: Annotated[str | None, Field(description="Of an aggregator: the number of its round, with its phase above.")]
    phase: Annotated[Counter | None, Field(description="Of a proxy: which aggregator it has had, counted.")]
    updated_at: Annotated[UnixTime | None, Field(description="When the aggregator answered so.")]
    age_s: Annotated[Counter | None, Field(description="How old the answer was at that block, in the chain's time.")]
    heartbeat_s: Annotated[Counter | None, Field(description="It answers at least this often.")]
    liquidity: Annotated[str | None, Field(description="Of a pool.")]


class Market(Strict):
    """What the market says: the median of its independent sources."""

    value: Annotated[Price | None, Field(description="Null with fewer than three independent sources.")]
    voices: Annotated[Counter, Field(description="Independent sources that could be used.")]
    spread_bps: Annotated[Points, Field(description="How far the one that is furthest off is from the median.")]


class Source(Strict):
    """One source of the price."""

    source: Name
    provider: Annotated[str, Field(description="Sources that share one are one voice.")]
    role: Role
    gateway: Annotated[bool, Field(description="Whether it is a price gateway, else a feed.")]
    value: Price
    used: bool
    why: Annotated[str | None, Field(description="Why it is not used.")]


class Bounds(Strict):
    """What a feed can say at least and at most, where that is known."""

    low: Price | None
    high: Price | None


class Feed(Strict):
    """A source of prices on a chain. Said again with each round, and when it or the market moves by what matters."""

    chain: str
    address: Address
    kind: FeedKind
    role: Role
    prices: Annotated[str | None, Field(description="What it prices, and in what.")]
    says: Annotated[Said | None, Field(description="Null while it was never read.")]
    market: Annotated[Market | None, Field(description="Null where it prices nothing that others could.")]
    gap_bps: Annotated[Points | None, Field(description="How far what it says is from what the market says.")]
    peg: Annotated[Price | None, Field(description="What the price should be.")]
    bounds: Bounds
    aggregator: Annotated[Address | None, Field(description="Behind a proxy.")]
    description: Annotated[str | None, Field(description="What the contract calls itself.")]
    sources: Annotated[list[Source], Field(description="All that price the same.")]
    problem: Annotated[str | None, Field(description="Why it is not known, or worth nothing.")]


class Gateway(Strict):
    """A source of prices over HTTP. Said again when it stands otherwise, or its price has moved by what matters."""

    endpoint: Annotated[str, Field(description="Scheme and host only.")]
    prices: str
    provider: str
    state: GatewayState
    reason: str | None
    value: Price | None
    age_s: Annotated[float | None, Field(description="How old its price was, when this was said.")]
    off_bps: Annotated[Points | None, Field(description="How far it is off the median; null with fewer than three.")]
    latency_ms: Counter | None
    polls: Counter


class DescribedFeed(Strict):
    """A feed that is watched."""

    name: Name
    address: Address
    kind: FeedKind
    prices: str | None


class DescribedGateway(Strict):
    """A price gateway that is asked. Its endpoint is scheme and host only."""

    name: Name
    endpoint: str
    prices: str
    provider: str
