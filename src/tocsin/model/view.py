"""What detectors look at: one chain at one tick. Built by the engine, never stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.model.alert import Grade, Json, Labels
from tocsin.model.beacon import BeaconView, SlotClock
from tocsin.model.block import BlockRef, Breach, Header
from tocsin.model.contract import Accusation, ContractView
from tocsin.model.event import ChannelSample, DeliverySampled
from tocsin.model.feed import FeedView, GatewayView, Quote
from tocsin.model.host import HeadAges, HostView
from tocsin.model.index import IndexView
from tocsin.model.market import MarketView
from tocsin.model.observation import BudgetUse, Fault
from tocsin.model.peer import PeerView
from tocsin.model.selftest import EchoView
from tocsin.model.settings import ChainSettings, NodeSettings
from tocsin.model.traits import Capabilities, Vitals
from tocsin.model.trust import Suspicion


@dataclass(frozen=True, slots=True)
class Level:
    """The node's head is the reference."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The node's head is an ancestor of the reference."""

    blocks: int


@dataclass(frozen=True, slots=True)
class Ahead:
    """The node's head descends from the reference."""

    blocks: int


@dataclass(frozen=True, slots=True)
class Forked:
    """Neither: the chains part after `ancestor`; `depth` counts the node's own blocks since."""

    depth: int
    ancestor: BlockRef


@dataclass(frozen=True, slots=True)
class Unlinked:
    """Ancestry is not known (yet). `ahead` is the difference of heights, negative when lower."""

    ahead: int


@dataclass(frozen=True, slots=True)
class NeverObserved:
    """The node has shown no usable head: nothing is known, least of all a lag of 0."""


Relation = Level | Behind | Ahead | Forked | Unlinked | NeverObserved


_NOTHING_SAID = Vitals()
_NOTHING_TRIED = Capabilities()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """What one node has shown so far. Times are engine ns; counters run since the node was configured."""

    polls: int = 0
    """Polls that say something: answered, failed or refused; not those that our own stall spoiled."""
    answers: int = 0
    """Polls that were answered usably."""
    failures: int = 0
    """Leaky: +1 per failed poll, -1 per answered one, never below 0. A refusal for lack of budget is no failure."""
    missed: int = 0
    """Polls in a row without a usable answer, for whatever reason."""
    refusals: int = 0
    """Polls in a row that were refused: for a rate limit, or by our own budget."""
    fault: Fault | None = None
    """Of the newest poll; None when it was answered."""
    last_answer_ns: int | None = None
    latency_ns: int | None = None
    limited_until_ns: int | None = None
    """Until when the node (or its budget) asked to be left alone."""
    budget: BudgetUse | None = None
    chain_id: int | None = None
    genesis_hash: str | None = None
    network_id: int | None = None
    """Asked only where the configuration names that of the chain."""
    head: Header | None = None
    """The newest head of the right chain that is not proven corrupt."""
    head_since_ns: int | None = None
    """When this node last showed a head higher than the one before."""
    unproven: tuple[Header, ...] = ()
    """Its last eight heads whose hash could not be verified: its own word, where another node's differs."""
    corrupt: Header | None = None
    """The newest header, while its fields do not hash to its hash."""
    corrupt_hash: str | None = None
    """What the fields of `corrupt` (or `mismatch`) really hash to."""
    corrupt_shown: Json = field(default_factory=dict)
    """That header as evidence, which anybody can check."""
    mismatch: Header | None = None
    """As `corrupt`, where such a header is not held against nodes of this chain, and counts as unverified."""
    is_confirmed: bool = False
    """Whether the node, asked once more, has confirmed that it gives such headers."""
    safe: BlockRef | None = None
    finalized: BlockRef | None = None
    finalized_root: str = ""
    """The state root of that block, empty where its header proves nothing."""
    syncing: bool | None = None
    forked_since_ns: int | None = None
    outrun_since_ns: int | None = None
    """Since when the agreed head has been higher than this node's."""
    tag_fall: int = 0
    """By how many blocks `safe` or `finalized` were lower, when last asked, than the time before."""
    bodies: tuple[tuple[str, str], ...] = ()
    """Call and digest of the newest answers: where the journal keeps the evidence."""
    outcomes: int = 0
    """How the last 64 questions ended, the newest in the lowest bit: 1 for one that failed. Refusals do not count."""
    latencies: tuple[int, ...] = ()
    """Of the last 32 answered polls, in ms."""
    p95_ms: int = 0
    """95 of 100 of `latencies` are at most this; 0 while all of them are below 200 ms, and until there are 20."""
    regressions: tuple[int, ...] = ()
    """When the node, within seconds, showed a head up to three blocks lower than just before; the last eight."""
    heard_number: int | None = None
    """The head that its websocket announced last."""
    heard_ns: int | None = None
    """When it did."""
    vitals: Vitals = _NOTHING_SAID
    capabilities: Capabilities = _NOTHING_TRIED


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node and how it stands to the agreed chain."""

    settings: NodeSettings
    labels: Labels
    seen: NodeRecord
    relation: Relation
    voting: bool
    """Whether the head is fresh and sound enough to be a vote."""
    muted: str = ""
    """The state that takes its vote from the node, such as `corrupt`; empty in all others."""
    severed: bool = False
    """Whether the head is unlinked although both branches are known as far down as a back-fill goes."""
    apart: bool = False
    """Whether the head is not where its height says: on another branch, since the two chains have other blocks at one
    height, or on a fast chain gone back below the block by which the node was placed."""
    withheld: bool = False
    """Whether nobody gave the headers that would link the head, although the back-fill had its chance."""
    ruled_out: str = ""
    """What broke a tie against this node, empty where nothing did."""
    breaches: tuple[Breach, ...] = ()
    """Rules of the chain that the head, or a block that it rests on, breaks."""
    refuted: Accusation | None = None
    """The proof that it gave, twice, and that proves nothing of the kind."""
    mismatched: Accusation | None = None
    """The result that it gave, twice, and that is not what the others have at that block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the groups agree on. On a split or when blind, `block` is the last one that was agreed."""

    grade: Grade
    block: BlockRef | None
    since_ns: int | None
    """When `block` last advanced, engine ns."""
    votes: int
    """Groups that vote for `block` or a descendant of it."""
    voting_groups: int
    """Groups that vote at all."""
    groups: int
    explanation: str = ""
    """Why the grade is no plain quorum; names the tie-breaker where one decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A node whose finalized block is not on the same chain as `against`. One of the two can never be true."""

    node: str
    block: BlockRef
    against: BlockRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A block above the agreed head, while that one stands still. Times are engine ns."""

    block: BlockRef
    since_ns: int
    """Since when there has been one."""
    rose_ns: int | None
    """When it rose last; None while it is the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg:
    """The agreed head left its branch: `depth` blocks after `ancestor` were replaced.

    Without an ancestor it is deeper than a back-fill looks back, and `depth` is what is known of it.
    """

    depth: int
    ancestor: BlockRef | None
    old: BlockRef
    new: BlockRef
    at_ns: int
    number: int
    """Counts reorgs of this chain, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """One chain at one tick."""

    settings: ChainSettings
    labels: Labels
    tick: int
    now_ns: int
    wall_ns: int
    started_ns: int
    """When watching began in this boot, engine ns: silence is counted from here at the earliest."""
    nodes: tuple[NodeView, ...]
    answering: tuple[NodeView, ...]
    """Those whose newest poll was answered. Of the others nothing new is known, so nothing is concluded."""
    head: Agreement
    finalized: Agreement
    head_header: Header | None
    reorg: Reorg | None
    branches: tuple[BlockRef, ...]
    """The heads that voting groups hold, highest first: more than one that conflict is a dispute."""
    split_since_ns: int | None = None
    """Since when the grade has been `split` without a break."""
    usual_gap: int = 1
    """How many slots the agreed head usually stands still at most: in 99 of 100 gaps. 1 while that is not known."""
    fresh: BlockRef | None = None
    """The deepest descendant of the agreed head that at least two groups have; None where the agreed head is that."""
    lead: Lead | None = None
    """How `fresh` moves while the agreed head stands still."""
    lone: Mapping[str, Lead] = field(default_factory=dict)
    """The same of each voter whose head descends from the agreed one, and may be what it says; by name."""
    conflicts: tuple[Conflict, ...] = ()
    """Finalized blocks that contradict each other; without a node: the agreed head has left the finalized block."""
    revoked: tuple[Conflict, ...] = ()
    """Those of a violation that not one group alone stands for, until it is acknowledged."""
    head_breaches: tuple[Breach, ...] = ()
    """Rules of the chain that the agreed head itself breaks."""
    fee_median: int | None = None
    """Median base fee in wei of the agreed heads of the last hour, None before there is enough to tell."""
    beacons: tuple[BeaconView, ...] = ()
    checkpoint: BlockRef | None = None
    """The newest finalized execution block that more than half of the beacon groups name."""
    slots: SlotClock | None = None
    """When slots begin, where beacon nodes agree on that."""
    contracts: tuple[ContractView, ...] = ()
    """The contracts that are watched."""
    feeds: tuple[FeedView, ...] = ()
    """Sources of prices on this chain."""
    gateways: tuple[GatewayView, ...] = ()
    """Sources of prices over HTTP of which alerts belong to this chain."""
    quotes: tuple[Quote, ...] = ()
    """What all sources say of the prices that feeds of this chain have."""
    indexes: tuple[IndexView, ...] = ()
    """Log indexes that were looked at."""
    markets: tuple[MarketView, ...] = ()
    """Lending markets of which a valuation has told, if only why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IllegalMove:
    """A node's state changed as no rule allows: a defect of this program."""

    node: str
    old: str
    new: str
    reason: str
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A detector that failed on all nodes of a chain at once."""

    chain: str
    labels: Labels
    detector: str
    suspicion: Suspicion


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerView:
    """A registered consumer at one tick; the fields are those of `ConsumerSample`."""

    name: str
    labels: Labels
    silent_after_ns: int
    silent_ns: int
    stuck_ns: int
    lag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelView:
    """A channel of people at one tick."""

    labels: Labels
    seen: ChannelSample


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfView:
    """The watchdog itself at one tick."""

    labels: Labels
    tick: int
    now_ns: int
    loop_lag_ns: int
    config_problems: tuple[str, ...]
    """Of the last reload, empty when it succeeded."""
    illegal: tuple[IllegalMove, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    wall_ns: int = 0
    host: HostView | None = None
    """None where the host is not watched."""
    ages: tuple[HeadAges, ...] = ()
    """Of each chain whose head is agreed now."""
    missed_ticks: int = 0
    """Ticks of the watchdog itself that should have been between this one and the one before."""
    peers: tuple[PeerView, ...] = ()
    delivery: DeliverySampled | None = None
    """How the alert stream leaves; None until that was looked at."""
    consumers: tuple[ConsumerView, ...] = ()
    channels: tuple[ChannelView, ...] = ()
    echo: EchoView | None = None
    """None where there is no self-test."""
