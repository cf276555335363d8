"""The configuration as one frozen tree: every public key, its kind and its default.

Attributes are named for what they hold (`poll_ns`), aliases are the public keys (`poll`). Derived defaults, such as a
node's provider, are filled in by `tocsin.config.load`; a tree that came from there has no gaps.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, model_validator

from tocsin.clock import NS
from tocsin.config.contract import ContractTable
from tocsin.config.feed import FeedTable, GatewayTable
from tocsin.config.index import AmountTable, EventTable, IndexTable
from tocsin.config.market import MOST_ACCOUNTS, MOST_MARKETS, AccountTable, MarketTable
from tocsin.config.people import NotifyTable
from tocsin.config.pulse import DeadmanTable, SelfTestTable
from tocsin.config.quiet import AlertsTable, MaintenanceTable, SilenceTable
from tocsin.config.reader import ReaderTable
from tocsin.config.secrets import (
    BeaconUrl,
    BrokerUrl,
    ConfiguredSecret,
    ConfiguredUrl,
    ConsumerKey,
    NodeUrl,
    ProxyUrl,
    WebsocketUrl,
)
from tocsin.config.table import Table
from tocsin.config.values import (
    BlockHash,
    Budget,
    ByteSize,
    ChainId,
    Duration,
    FileName,
    HeaderName,
    Listed,
    MethodName,
    Name,
    NodeId,
    Size,
    Slots,
    Tag,
    TimeServer,
    TopicName,
    UnitName,
    Units,
    UnixTime,
    WatchdogName,
    Within,
)
from tocsin.units import DurationNs

SCHEMA: Final = 1

LATER: Final[Mapping[tuple[str, ...], frozenset[str]]] = {
    (): frozenset({"limit", "playbook", "plugin", "respond"}),
}
"""Tables that are reserved and that this version does not know."""

TieBreaker = Literal["validity", "checkpoint", "trusted", "own"]
VoteTag = Literal["provider", "operator", "client", "region", "host"]
BlockTag = Literal["safe", "finalized"]
HeaderHash = Literal["ethereum", "other"]
DetectorTables = Mapping[str, Mapping[str, Any]]
"""Detector id to the Params given for it, as written; `tocsin.config.registry` checks and resolves them."""


class Watchdog(Table):
    """Who watches, and where it keeps what it knows."""

    site: Name
    """The place, such as a data centre; first level of every topic and part of every node's global id."""
    name: Name
    """This watchdog; unique within the site."""
    environment: Name = "prod"
    """In the labels of every alert and in the audience of signed commands."""
    state_dir: FileName = "/var/lib/tocsin"
    """Journal, outbox, audit trail and kill latch."""
    runtime_dir: FileName = "/run/tocsin"
    """Control socket (0660) and status.json (0644)."""
    peers: Annotated[tuple[WatchdogName, ...], Field(max_length=64), Listed] = ()
    """Other watchdogs on the same broker, as `<site>/<name>`: this one alerts when one of them dies."""


class Mqtt(Table):
    """The MQTT 5 broker. Without this table alerts are kept, and shown at the shell only."""

    url: BrokerUrl
    """mqtt://host:1883 or, encrypted, mqtts://host:8883."""
    user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The name that the broker's access control knows."""
    password: ConfiguredSecret | None = None
    """Better not in the file itself."""
    ca: FileName | None = None
    """PEM file of the authority that signed the broker's certificate; the system's own when left out."""
    cert: FileName | None = None
    """PEM file of a client certificate."""
    key: FileName | None = None
    """PEM file of its key, unencrypted; left out when `cert` holds both."""
    keepalive_ns: Annotated[Duration, Within("1s", "1h")] = Field(DurationNs(10 * NS), alias="keepalive")
    """A connection silent for half as long again counts as lost, for the broker too; whole seconds."""

    @model_validator(mode="after")
    def _consistent(self) -> "Mqtt":
        _check_tls(self.cert, self.key, self.ca, secure=self.url.scheme == "mqtts", scheme="mqtts")
        if self.password is not None and self.user is None:
            raise ValueError("has a password and no user")
        if self.keepalive_ns % NS:
            raise ValueError("keepalive is counted in whole seconds")
        return self


class Journal(Table):
    """The record of everything that came in, from which every decision can be replayed."""

    keep_ns: Annotated[Duration, Within("1m", "3650d")] = Field(DurationNs(24 * 3600 * NS), alias="keep")
    """Segments older than this are deleted."""
    max_size: ByteSize = Size(2 * 10**9)
    """When all segments together are larger, the oldest are deleted, however young."""
    segment_ns: Annotated[Duration, Within("1s", "10m")] = Field(DurationNs(600 * NS), alias="segment")
    """A segment starts with a snapshot; a restart replays at most this much."""


class Asked(Table):
    """What is asked and votes, a node or a beacon node; each says again what it means differently."""

    name: Name
    """Unique within the chain."""
    url: ConfiguredUrl
    """Where it answers."""
    headers: Mapping[HeaderName, ConfiguredSecret] = {}
    """Sent with every request; values are treated as secrets."""
    ca: FileName | None = None
    """PEM file of the authority that signed the node's certificate."""
    cert: FileName | None = None
    """PEM file of a client certificate."""
    key: FileName | None = None
    """PEM file of its key, unencrypted; left out when `cert` holds both."""
    proxy: ProxyUrl | None = None
    """HTTP proxy for this node; it resolves the node's name itself."""
    timeout_ns: Annotated[Duration, Within("50ms", "1m")] = Field(DurationNs(0), alias="timeout")
    """Deadline of one poll, from first byte out to last byte in. Default: the chain's poll, 250ms at least."""
    own: bool = False
    """Run by you: judged by stricter limits."""
    provider: Tag = ""
    """Who runs the machine. Default: `self` for own nodes, the URL's host for others."""
    operator: Tag = ""
    """Who runs the node. Default: the provider."""
    client: Tag = ""
    """The software, such as geth or reth."""
    region: Tag = ""
    """Where it stands."""
    host: Tag = ""
    """The machine, where nodes share one."""
    budget: Budget | None = None
    """Calls that may be spent; past it the node is not asked, which is no reproach to it."""
    id: NodeId = ""
    """Global id, equal on every watchdog that watches this node. Default: `<site>.<name>`."""


class Node(Asked):
    """One RPC endpoint of a chain. Tags say what it shares with others: what shares a fate is one vote."""

    url: NodeUrl
    """http, https or ipc:///path."""
    ws: WebsocketUrl | None = None
    """Where new heads are announced: a wake-up for the poll, never a vote."""

    @model_validator(mode="after")
    def _consistent(self) -> "Node":
        secure = self.url.scheme == "https" or (self.ws is not None and self.ws.scheme == "wss")
        _check_tls(self.cert, self.key, self.ca, secure=secure, scheme="https or wss")
        if self.url.scheme == "ipc" and self.ws is None and (self.headers or self.proxy is not None):
            raise ValueError("an ipc node takes no headers and no proxy")
        return self


class Beacon(Asked):
    """A node of the consensus layer, asked over REST, and held against its execution client and other beacon nodes."""

    name: Name
    """Unique within the chain, among its nodes too."""
    url: BeaconUrl
    """http or https; the paths of the interface go below it."""
    execution: Name | None = None
    """The node of this chain that it drives."""
    timeout_ns: Annotated[Duration, Within("50ms", "1m")] = Field(DurationNs(0), alias="timeout")
    """Deadline of one poll, all its requests together. Default: the chain's poll, 1s at least."""
    client: Tag = ""
    """The software, such as lighthouse or teku."""
    budget: Budget | None = None
    """Requests that may be spent; past it the node is not asked, which is no reproach to it."""

    @model_validator(mode="after")
    def _consistent(self) -> "Beacon":
        _check_tls(self.cert, self.key, self.ca, secure=self.url.scheme == "https", scheme="https")
        return self


class Host(Table):
    """The host that the watchdog runs on. Without this table nothing of it is watched."""

    disk: Annotated[tuple[FileName, ...], Listed] = ()
    """Paths whose file systems are watched: space, inodes, and when they will be full."""
    units: Annotated[tuple[UnitName, ...], Listed] = ()
    """systemd units that have to run."""
    ntp: Annotated[tuple[TimeServer, ...], Listed] = ()
    """Time servers that our clock is held against; three and more find out one that is wrong."""
    certs: bool = True
    """Watch the certificates of all https, wss and mqtts endpoints of this configuration, but those behind a proxy."""
    period_ns: Annotated[Duration, Within("1s", "10m")] = Field(DurationNs(30 * NS), alias="period")
    """How often disks and units are looked at; time servers every 64s at most, certificates every hour."""


class BaseFee(Table):
    """How the base fee follows from the block before (EIP-1559)."""

    denominator: Annotated[int, Field(ge=1, le=2**31)]
    """The fee moves by at most one part of so many from block to block."""
    elasticity: Annotated[int, Field(ge=1, le=2**31)]
    """How often the target fits into the gas limit."""


class TrustedBlock(Table):
    """A block by height and hash."""

    number: Annotated[int, Field(ge=0, le=2**53)]
    """Its height."""
    hash: BlockHash
    """Its hash."""


class Chain(Table):
    """One chain and the nodes that speak for it."""

    name: Name
    """In topics and labels; unique."""
    id: ChainId
    """The EIP-155 chain id; a node that answers another is on the wrong chain. From the profile if it has it."""
    profile: Name | None = None
    """Facts of a known chain as defaults for what is not set here: id, block_time, finality_slots and more."""
    block_time_ns: Annotated[Duration, Within("10ms", "1h")] = Field(alias="block_time")
    """Time between blocks, or slots where some stay empty; every timer scales with it. Required, if only by profile."""
    finality_slots: Slots | None = None
    """How many slots the finalized block is behind the head when all is well."""
    epoch_slots: Slots | None = None
    """How many slots an epoch has, where the chain has epochs."""
    genesis_time: UnixTime | None = None
    """Unix time of slot 0, in seconds, where every block's time is a whole number of slots after it."""
    clock_drift_ns: Annotated[Duration, Within("100ms", "1h")] = Field(DurationNs(15 * NS), alias="clock_drift")
    """How far in the future a block's time may lie."""
    genesis_hash: BlockHash | None = None
    """Hash of block 0; tells chains apart that share an id."""
    network_id: ChainId | None = None
    """What `net_version` says on this chain; a node that says otherwise is of another. Not asked if not set."""
    tags: Annotated[tuple[BlockTag, ...], Listed] = ("safe", "finalized")
    """Block tags, besides latest, that nodes of this chain answer."""
    header_hash: HeaderHash = "ethereum"
    """Whether a header hashes as on Ethereum; where it may not, a hash that does not fit accuses nobody."""
    base_fee: BaseFee | None = None
    """Parameters of EIP-1559, where the base fee follows from the block before."""
    forks: Mapping[Name, UnixTime] = {}
    """Network upgrades by name: when they take effect, in Unix time. Two epochs before and after each the quorum takes
    one group more."""
    trusted: TrustedBlock | None = None
    """A block of this chain that you know to be final: when nodes contradict each other, those without it are out."""
    tie_break: Annotated[tuple[TieBreaker, ...], Listed] = ("validity", "checkpoint", "trusted")
    """What may decide between branches when the groups cannot; never makes a quorum."""
    poll_ns: Annotated[Duration, Within("50ms", "10m")] = Field(DurationNs(2 * NS), alias="poll")
    """How often each node is asked."""
    tick_ns: Annotated[Duration, Within("10ms", "1m")] = Field(DurationNs(NS // 4), alias="tick")
    """How often detectors look at what came in."""
    vote_by: Annotated[tuple[VoteTag, ...], Field(min_length=1), Listed] = ("provider", "operator")
    """Nodes that share any of these tags have one vote together."""
    nodes: Annotated[tuple[Node, ...], Field(min_length=1), Listed] = Field(alias="node")
    """The endpoints."""
    beacons: Annotated[tuple[Beacon, ...], Listed] = Field((), alias="beacon")
    """Nodes of the consensus layer, where the chain has one."""
    contracts: Annotated[tuple[ContractTable, ...], Field(max_length=64), Listed] = Field((), alias="contract")
    """Contracts that are watched."""
    reader: ReaderTable = ReaderTable.model_construct()
    """How many values are read at one block."""
    indexes: Annotated[tuple[IndexTable, ...], Field(max_length=32), Listed] = Field((), alias="index")
    """Who holds positions, from event logs."""
    feeds: Annotated[tuple[FeedTable, ...], Field(max_length=64), Listed] = Field((), alias="feed")
    """Sources of prices on this chain."""
    detectors: DetectorTables = Field({}, alias="detector")
    """Params of detectors on this chain alone; they go before those of [detector]."""

    @property
    def everyone(self) -> tuple[Asked, ...]:
        """All that is asked: nodes and beacon nodes."""
        return (*self.nodes, *self.beacons)


class Provider(Table):
    """What all nodes of one provider may cost together, on all chains."""

    name: Tag
    """The `provider` of its nodes."""
    budget: Budget
    """Units that may be spent; as they run short its nodes are asked more rarely, never below the safety floor."""
    prices: Mapping[MethodName, Units] = {}
    """Units that a call of a JSON-RPC method costs; one where the method is not named."""


class Consumer(Table):
    """A consumer of the alert stream that acknowledges what it has; what it has not is sent again."""

    name: Name
    """Its acks come on `ack/<name>`: the name of its user, where the broker has the shipped access list."""
    key: ConsumerKey
    """Signs its acks, of 16 bytes at least; better not in the file itself."""
    silent_after_ns: Annotated[Duration, Within("10s", "7d")] = Field(DurationNs(600 * NS), alias="silent_after")
    """An ack is missed after this time: `self.consumer_silent`."""


class HomeAssistant(Table):
    """Home Assistant finds this watchdog, its chains and nodes by itself, over the same broker."""

    prefix: TopicName = "homeassistant"
    """Where it looks for them, as configured there."""
    birth: TopicName = "homeassistant/status"
    """Where it says that it is born; it is told again then what there is."""


class Tree(Table):
    """A whole configuration."""

    schema_: Literal[1] = Field(alias="schema")
    """Version of this format."""
    include: Annotated[tuple[FileName, ...], Listed] = ()
    """Globs of further files, relative to this one. Tables merge, arrays of tables append, nothing is set twice."""
    watchdog: Watchdog
    """Who watches, and where it keeps what it knows."""
    mqtt: Mqtt | None = None
    """The MQTT 5 broker; without it alerts are kept, and shown at the shell only."""
    homeassistant: HomeAssistant | None = None
    """Home Assistant is told what there is to see, if this table is there."""
    journal: Journal = Journal.model_construct()
    """The record of everything that came in."""
    host: Host | None = None
    """The host that the watchdog runs on; without this table nothing of it is watched."""
    chains: Annotated[tuple[Chain, ...], Field(min_length=1), Listed] = Field(alias="chain")
    """The chains that are watched."""
    providers: Annotated[tuple[Provider, ...], Listed] = Field((), alias="provider")
    """Budgets that the nodes of a provider share."""
    gateways: Annotated[tuple[GatewayTable, ...], Field(max_length=64), Listed] = Field((), alias="price_gateway")
    """Sources of prices over HTTP."""
    markets: Annotated[tuple[MarketTable, ...], Field(max_length=MOST_MARKETS), Listed] = Field((), alias="market")
    """Lending markets that are valued at each block."""
    accounts: Annotated[tuple[AccountTable, ...], Field(max_length=MOST_ACCOUNTS), Listed] = Field((), alias="account")
    """Accounts of one's own in them."""
    consumers: Annotated[tuple[Consumer, ...], Field(max_length=64), Listed] = Field((), alias="consumer")
    """Who acknowledges alerts."""
    self_test: SelfTestTable = SelfTestTable.model_construct()
    """An alert that always fires, and is heard back."""
    deadman: DeadmanTable | None = None
    """A ping outward while all is well."""
    alerts: AlertsTable = AlertsTable.model_construct()
    """Reminders and flapping."""
    silences: Annotated[tuple[SilenceTable, ...], Field(max_length=64), Listed] = Field((), alias="silence")
    """Alerts that people do not want to hear of for a time."""
    maintenance: Annotated[tuple[MaintenanceTable, ...], Field(max_length=32), Listed] = ()
    """Silences that come again every week."""
    channels: Annotated[tuple[NotifyTable, ...], Field(max_length=32), Listed] = Field((), alias="notify")
    """How people are told."""
    detectors: DetectorTables = Field({}, alias="detector")
    """Params of detectors on every chain."""


TABLES: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    (): Tree,
    ("watchdog",): Watchdog,
    ("mqtt",): Mqtt,
    ("homeassistant",): HomeAssistant,
    ("journal",): Journal,
    ("provider",): Provider,
    ("chain",): Chain,
    ("chain", "node"): Node,
    ("chain", "beacon"): Beacon,
    ("chain", "contract"): ContractTable,
    ("chain", "reader"): ReaderTable,
    ("chain", "index"): IndexTable,
    ("chain", "index", "event"): EventTable,
    ("chain", "index", "amount"): AmountTable,
    ("chain", "feed"): FeedTable,
    ("price_gateway",): GatewayTable,
    ("market",): MarketTable,
    ("account",): AccountTable,
    ("host",): Host,
    ("self_test",): SelfTestTable,
    ("deadman",): DeadmanTable,
    ("alerts",): AlertsTable,
    ("silence",): SilenceTable,
    ("maintenance",): MaintenanceTable,
    ("consumer",): Consumer,
    ("notify",): NotifyTable,
}
"""Every table, by its path without indices."""


def public_keys(table: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of a table as users write them."""
    return tuple(field.alias or name for name, field in table.model_fields.items())


def _check_tls(cert: str | None, key: str | None, ca: str | None, *, secure: bool, scheme: str) -> None:
    if key is not None and cert is None:
        raise ValueError("has a key without a cert")
    if not secure and (cert or ca):
        raise ValueError(f"ca, cert and key do nothing without {scheme}")
