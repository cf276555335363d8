"""Every payload that this version publishes, as pydantic models: the one source of JSON Schema and AsyncAPI.

The daemon builds its payloads itself, fast and exact; these mirrors say what they are, and tests hold the two
together. They forbid unknown fields, so that a field never appears unnoticed; the schemas given to consumers do not,
since fields may be added within v1.
"""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tocsin.chain.nodelife import NodeState
from tocsin.model.alert import REASONS, AlertState, Grade, Severity
from tocsin.mqtt.models_base import Address, Block, Counter, Hash, Height, Name, Time
from tocsin.mqtt.models_feed import DescribedFeed, DescribedGateway, Feed, Gateway
from tocsin.mqtt.models_homeassistant import HomeAssistantDiscovery
from tocsin.mqtt.models_risk import DescribedMarket, Risk
from tocsin.mqtt.presence import State
from tocsin.wire.acks import MOST_MISSING, MOST_WANTED, Refusal

StreamId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-z]{1,64}$",
        description="Which stream `seq` counts: made with the state directory. Another one has other messages.",
    ),
]
Exact = Annotated[
    int | Annotated[str, Field(pattern=r"^-?\d+$")],
    Field(description="An integer; from 2^53 on a decimal string, so that no reader loses digits."),
]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Boot = Annotated[str, Field(min_length=1, max_length=64, description="One life of the daemon.")]


def _reason(word: str) -> str:
    """Let no reason be said that consumers are not told of; to them it is a text, since more may come."""
    if word not in REASONS:
        raise ValueError(f"{word} is none of the reasons in tocsin.model.alert")
    return word


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Alert(_Strict):
    """One alert: on the stream each change of it, on its retained topic the last."""

    seq: Annotated[Counter, Field(description="Contiguous over the life of the state directory: a hole is a loss.")]
    fingerprint: Annotated[Digest, Field(description="Detector and labels; equal on every watchdog.")]
    activation: Annotated[int, Field(ge=1, description="Counts the firings of this fingerprint.")]
    detector: str
    severity: Severity
    state: AlertState
    labels: dict[str, str]
    summary: str
    value: Exact | None
    limit: Exact | None
    unit: str
    grade: Annotated[Grade, Field(description="How it is known.")]
    exactness: Literal["exact", "chain", "screened", "unverified"] | None
    block: Block | None
    evidence: Annotated[
        dict[str, object],
        Field(description="At most 16 kB. Of a longer one: `truncated`, `digest` and `size`; the watchdog keeps it."),
    ]
    vantage: Annotated[str, Field(description="`<site>/<watchdog>`: from where it was seen.")]
    runbook: str
    started_at: Time
    updated_at: Time
    resolved_at: Time | None
    count: Annotated[int, Field(ge=1, description="Changes of this activation so far, this one included.")]
    silenced: Annotated[
        bool,
        Field(description="People are not to be told. The end of an alert is silenced where its firing was."),
    ]
    flapping: Annotated[bool, Field(description="It comes and goes, and is kept firing until it has been quiet.")]
    inhibited_by: Annotated[
        str | None, Field(description="Fingerprint of the alert that covers this one, for an hour at most.")
    ]
    previous: AlertState | None
    reason: Annotated[
        str,
        AfterValidator(_reason),
        Field(description=f"Why: {', '.join(REASONS[:-1])} or {REASONS[-1]}."),
    ]
    acked_by: str | None
    durable: Annotated[
        Literal[False] | None,
        Field(description="Present and false when it could not be written to disk before it was sent."),
    ] = None


class Dropped(_Strict):
    """Stands for messages of the stream that were given up, unsent, because no more could be kept."""

    model_config = ConfigDict(populate_by_name=True)

    first: Annotated[Counter, Field(alias="from", description="The first `seq` among them.")]
    last: Annotated[Counter, Field(alias="to", description="The last `seq` among them.")]
    count: Annotated[int, Field(ge=1)]
    reason: str
    ranges: Annotated[
        list[tuple[Counter, Counter]] | None,
        Field(description="First and last `seq` of every stretch of them; null where that is not known any more."),
    ] = None


class Reply(_Strict):
    """The answer to an ack, on the response topic that it named below `reply/<consumer>/`."""

    request: Literal["ack"]
    accepted: bool
    reason: Annotated[Refusal | None, Field(description="Why it was not believed.")]
    at: Annotated[Counter, Field(description="`at` of the last ack of this consumer that was believed, 0 before one.")]
    max: Annotated[Counter, Field(description="Its `max`.")]
    last_seq: Annotated[Counter, Field(description="The last `seq` of the stream.")]
    stream: StreamId | None = None


class Status(_Strict):
    """How the daemon is. `lost` is the last will: the broker says it, and its time is that of the connect."""

    state: State
    boot_id: Boot
    started: Time
    version: str
    environment: str
    config_hash: str
    role: Literal["leader", "standby"]


class DescribedNode(_Strict):
    """A node that is watched. Its endpoint is scheme and host only."""

    name: Name
    id: str
    endpoint: str
    own: bool
    provider: str
    operator: str
    client: str
    region: str


class DescribedBeacon(DescribedNode):
    """A beacon node that is watched."""

    execution: Annotated[Name | None, Field(description="The node that it drives.")]


class DescribedContract(_Strict):
    """A contract that is watched."""

    name: Name
    address: Address


class DescribedIndex(_Strict):
    """A log index that is kept."""

    name: Name
    start: Annotated[Height, Field(alias="from", description="The block from which on it looks.")]


class DescribedChain(_Strict):
    """A chain that is watched."""

    name: Name
    id: Counter
    nodes: list[DescribedNode]
    beacons: list[DescribedBeacon] = []
    contracts: list[DescribedContract] = []
    indexes: list[DescribedIndex] = []
    feeds: list[DescribedFeed] = []
    markets: list[DescribedMarket] = []


class Description(_Strict):
    """What is watched, and by what."""

    version: str
    schemas: dict[str, int]
    public_keys: list[str]
    detectors: list[str]
    chains: list[DescribedChain]
    gateways: list[DescribedGateway] = []


class BeatOfChain(_Strict):
    """The agreed head of one chain."""

    head: Block | None
    grade: Grade


class OpenAlerts(_Strict):
    """How many alerts fire or are unknown, by severity; silenced ones count apart."""

    critical: Counter
    warning: Counter
    info: Counter
    silenced: Counter


class Heartbeat(_Strict):
    """Said every period: who hears none for three periods knows that nobody watches."""

    seq: Annotated[int, Field(ge=1, description="Counts the heartbeats of this life.")]
    boot_id: Boot
    started: Time
    period_s: Annotated[int, Field(ge=1, description="The next one comes after so many seconds.")]
    event_seq: Annotated[Counter, Field(description="The last `seq` of the stream that was decided.")]
    stream: StreamId | None = None
    last_seq: Annotated[
        Counter, Field(description="The last `seq` that was handed over to be sent: who has less soon after lost it.")
    ]
    since_seq: Annotated[
        Counter | None,
        Field(description="The last `seq` that was given before this life: ids of higher ones name this life."),
    ] = None
    heads: dict[Name, BeatOfChain]
    alerts: OpenAlerts
    loop_lag_ms: Counter
    outbox: Annotated[Counter, Field(description="Messages of the stream that wait.")]
    echo_ms: Annotated[
        Counter | None,
        Field(description="How long the self-test took that was heard back last; null before one was, or without one."),
    ] = None


class Head(_Strict):
    """What the groups of nodes agree on. On a split `head` is the last block that was agreed."""

    chain: str
    head: Block | None
    grade: Grade
    assumption: Annotated[
        str | None,
        Field(description="What independence rests on, where own nodes do not vote by provider and operator."),
    ]
    explanation: Annotated[
        str | None, Field(description="Why the grade is no plain quorum; names what broke a tie, where something did.")
    ] = None
    fresh: Annotated[
        Block | None,
        Field(description="The freshest descendant of the agreed head that two groups have; null where that is it."),
    ] = None
    age_s: Annotated[float | None, Field(description="Since the agreed head last advanced, when this was said.")]
    finalized: Block | None
    finalized_grade: Grade
    votes: Counter
    voting_groups: Counter
    groups: Counter


class Flag(_Strict):
    """A detector that fires for the node, and why."""

    detector: str
    reason: str


class Consensus(_Strict):
    """What a beacon node says; `finalized` is the execution block of its finalized checkpoint."""

    execution: Annotated[Name | None, Field(description="The node that it drives.")]
    slot: Counter | None
    root: str | None
    finalized_epoch: Counter | None
    finalized_root: str | None
    finalized: Block | None
    syncing: bool | None
    optimistic: bool | None
    el_offline: bool | None
    peers: Counter | None
    version: str


class Reach(_Strict):
    """How far below its head a node answers one kind of question, as far as was tried."""

    depth: Annotated[Counter | None, Field(description="In blocks; null where nothing was answered.")]
    whole: Annotated[bool, Field(description="Whether down to the first block.")]
    missing: Annotated[bool, Field(description="Whether the node does not know the method.")]


class Capabilities(_Strict):
    """What a node has shown that it can answer; what was not tried yet is absent."""

    reach: Annotated[dict[str, Reach], Field(description="By kind: state, proofs, headers, receipts.")]
    pins: Annotated[dict[str, bool], Field(description="By way, whether state is answered at a block hash.")]
    offered: Annotated[dict[str, Counter], Field(description="By kind, the oldest block that the node claims to have.")]


class Node(_Strict):
    """One node, or one beacon node. Lag and latency are as of when this was said."""

    id: str
    state: NodeState
    reason: str
    flags: list[Flag]
    head: Block | None
    lag_blocks: Counter | None
    lag_s: float | None
    latency_ms: Counter | None
    kind: Literal["execution", "beacon"] = "execution"
    consensus: Annotated[Consensus | None, Field(description="Of a beacon node.")] = None
    client: Annotated[str | None, Field(description="As it names itself.")] = None
    peers: Counter | None = None
    capabilities: Annotated[Capabilities | None, Field(description="Of an execution node.")] = None


class WatchedValue(_Strict):
    """What one watched value is known to be, and what it is held against; null what is not known (yet)."""

    value: Annotated[
        str | None,
        Field(
            description="A hash, an address, true or false, a number in decimal (an amount in its smallest unit), or a"
            " list of addresses (of role/address where roles have no name), sorted, with commas; none if it is empty."
        ),
    ]
    grade: Grade | None
    block: Annotated[Block | None, Field(description="As of which it was known, when this was said.")]
    votes: Annotated[Counter | None, Field(description="Groups that say so; 0 where it is proven.")]
    groups: Counter | None
    baseline: Annotated[str | None, Field(description="What it was pinned to; another value is an alert.")]
    baseline_block: Block | None
    accepted_by: Annotated[
        str | None, Field(description="Who has accepted it; null where it was pinned at first sight.")
    ]
    accepted_why: str | None
    least: Annotated[str | None, Field(description="Of an amount: less is an alert; in its smallest unit.")] = None
    most: Annotated[str | None, Field(description="Of an amount: more is an alert; in its smallest unit.")] = None
    decimals: Annotated[
        int | None, Field(ge=0, le=77, description="Of an amount: how many of its digits lie behind the point.")
    ] = None


class Contract(_Strict):
    """A watched contract. Said again when a value, its grade or what it is held against changes."""

    chain: str
    address: Address
    block: Annotated[Block | None, Field(description="At which it was read last, when this was said.")]
    audited: Annotated[Block | None, Field(description="The finalized block at which nodes were compared last.")]
    values: dict[str, WatchedValue]
    problem: Annotated[str | None, Field(description="Why a value is not known, or not for sure.")]


class IndexedBlock(_Strict):
    """The last block of an index."""

    number: Height
    hash: Annotated[Hash | None, Field(description="Null within a back-fill, whose ranges end at heights.")]


Rate = Annotated[float | None, Field(ge=0, description="Of the last steps; null where there is nothing to catch up.")]


class IndexAmounts(_Strict):
    """What those hold whom an index names: asked of a contract for each of them, at one finalized block."""

    contract: Address
    call: str
    decimals: Annotated[int, Field(ge=0, le=77, description="Digits of total behind the point.")]
    block: Annotated[Block | None, Field(description="At which it was read; null while nothing was.")]
    accounts: Annotated[Counter | None, Field(description="How many were asked for.")]
    holding: Annotated[Counter | None, Field(description="How many of them hold anything.")]
    unknown: Annotated[Counter | None, Field(description="Of how many that is not known.")]
    total: Annotated[str | None, Field(pattern="^[0-9]+$", description="What the others hold, in the smallest unit.")]
    grade: Annotated[Grade | None, Field(description="The worst that any amount is known with.")]
    audited: Annotated[Counter | None, Field(description="Amounts that a second group was asked for as well.")]
    disputed: Annotated[Counter | None, Field(description="Amounts that groups say differently of.")]
    problem: Annotated[str | None, Field(description="Why nothing was read now, or not all.")]


class Index(_Strict):
    """How far a log index is. Said again when it grows (every ten seconds at most), stops or goes on."""

    chain: str
    start: Annotated[Height, Field(alias="from", description="The block from which on it looks.")]
    through: Annotated[IndexedBlock | None, Field(description="Its last block; null before the first.")]
    finalized: Annotated[Height | None, Field(description="To which it is brought; null while none is known.")]
    tail: Annotated[Block | None, Field(description="The newest block followed above it, when this was said.")]
    done: Annotated[float | None, Field(ge=0, le=1, description="Which share of its blocks it has.")]
    logs: Annotated[Counter, Field(description="Of how many it was made.")]
    accounts: Annotated[Counter, Field(description="How many it knows, counted once for each event.")]
    unreadable: Annotated[Counter, Field(description="Logs that name no account where one should stand.")]
    grade: Annotated[Grade | None, Field(description="The worst that any stretch of it is known with.")]
    blocks_per_s: Rate
    logs_per_s: Rate
    eta_s: Annotated[Counter | None, Field(description="Seconds until it is at the finalized block, at this rate.")]
    audited: Annotated[Counter, Field(description="Blocks held against their receipts since the start.")]
    stuck: Annotated[str | None, Field(description="Why it does not get on.")]
    problem: Annotated[str | None, Field(description="What is odd about it, while it gets on.")]
    amounts: Annotated[IndexAmounts | None, Field(description="Null where they are not asked for.")] = None


Data = TypeVar("Data", bound=BaseModel)


class Event(_Strict, Generic[Data]):
    """A CloudEvents 1.0 event in structured JSON."""

    specversion: Literal["1.0"]
    id: Annotated[str, Field(description="Unique within the source; equal when the same event is sent again.")]
    source: Annotated[str, Field(pattern=r"^/tocsin/[a-z0-9_-]{1,64}/[a-z0-9_-]{1,64}$")]
    type: str
    subject: Annotated[str, Field(description="The fingerprint of an alert, else the topic below the root.")]
    time: Time
    datacontenttype: Literal["application/json"]
    data: Data


class AlertEvent(Event[Alert]):
    """An alert began, changed or ended."""

    type: Literal["dev.tocsin.alert.v1"]
    stream: StreamId | None = None
    sequence: Annotated[str, Field(pattern=r"^\d{20}$", description="`seq` as text that sorts like the number.")]


class DroppedEvent(Event[Dropped]):
    """Messages of the stream were dropped unsent."""

    type: Literal["dev.tocsin.dropped.v1"]
    stream: StreamId | None = None


class ReplyEvent(Event[Reply]):
    """An ack was taken, or why it was not."""

    type: Literal["dev.tocsin.reply.v1"]


class StatusEvent(Event[Status]):
    """How the daemon is."""

    type: Literal["dev.tocsin.status.v1"]


class DescriptionEvent(Event[Description]):
    """What is watched."""

    type: Literal["dev.tocsin.description.v1"]


class HeartbeatEvent(Event[Heartbeat]):
    """The daemon lives."""

    type: Literal["dev.tocsin.heartbeat.v1"]


class HeadEvent(Event[Head]):
    """The agreed head of a chain, or how it is known, changed."""

    type: Literal["dev.tocsin.head.v1"]


class NodeEvent(Event[Node]):
    """The state of a node changed."""

    type: Literal["dev.tocsin.node.v1"]


class ContractEvent(Event[Contract]):
    """A watched contract is known to be otherwise, or otherwise known."""

    type: Literal["dev.tocsin.contract.v1"]


class IndexEvent(Event[Index]):
    """A log index has got on, or waits."""

    type: Literal["dev.tocsin.index.v1"]


class RiskEvent(Event[Risk]):
    """A lending market stands otherwise; by interest alone it is said again once a minute."""

    type: Literal["dev.tocsin.risk.v1"]


class FeedEvent(Event[Feed]):
    """What a source of prices says, or the market beside it, changed."""

    type: Literal["dev.tocsin.feed.v1"]


class GatewayEvent(Event[Gateway]):
    """A price gateway stands otherwise, or its price moved."""

    type: Literal["dev.tocsin.gateway.v1"]


EVENTS: dict[str, type[BaseModel]] = {
    "alert": AlertEvent,
    "dropped": DroppedEvent,
    "reply": ReplyEvent,
    "status": StatusEvent,
    "description": DescriptionEvent,
    "heartbeat": HeartbeatEvent,
    "head": HeadEvent,
    "node": NodeEvent,
    "contract": ContractEvent,
    "index": IndexEvent,
    "risk": RiskEvent,
    "feed": FeedEvent,
    "gateway": GatewayEvent,
}
"""The model of each kind: of `dev.tocsin.<kind>.v1`."""


class Ack(_Strict):
    """How far a consumer has come. What it signs: docs/reference/acks.md."""

    at: Annotated[
        int, Field(ge=1, lt=2**53, description="Milliseconds since 1970 by its clock; rises from ack to ack.")
    ]
    max: Annotated[int, Field(ge=0, lt=2**53, description="The highest `seq` that it has.")]
    missing: Annotated[
        list[Annotated[int, Field(ge=1, lt=2**53)]],
        Field(max_length=MOST_MISSING, description="What it has not below `max`, in order."),
    ]
    wanted: Annotated[
        list[Annotated[list[Annotated[int, Field(ge=1, lt=2**53)]], Field(min_length=2, max_length=2)]] | None,
        Field(
            max_length=MOST_WANTED,
            description="First and last of the stretches to be sent again now, in order; without it, all it has not.",
        ),
    ] = None
    stream: StreamId | None = None
    hmac: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="HMAC-SHA-256 with its key.")]


FOREIGN: dict[str, type[BaseModel]] = {"homeassistant": HomeAssistantDiscovery}
"""What is published in the form of other programs, on their topics."""

INBOUND: dict[str, type[BaseModel]] = {"ack": Ack}
"""What is taken, and is no CloudEvents event."""
