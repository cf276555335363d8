"""Everything the core remembers between two events. Frozen; what changes is replaced.

Mappings are plain dicts that nobody writes to after they are built. No decision depends on their order: a state that
was restored from a snapshot decides like the one that wrote it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tocsin.alerting.routing import Routing
from tocsin.alerting.tracked import Alerts
from tocsin.chain.gaps import Gaps
from tocsin.chain.nodelife import NodeLife
from tocsin.chain.tree import HeaderTree
from tocsin.engine.sitting import NO_CONTRACTS, Contracts
from tocsin.model.alert import Grade, Json
from tocsin.model.beacon import BeaconRecord
from tocsin.model.block import BlockRef, Breach
from tocsin.model.effect import Pace
from tocsin.model.event import BeaconPolled, DeliverySampled, Fetched, LostPins, Orphan, Polled
from tocsin.model.feed import FeedRecord, GatewayRecord
from tocsin.model.host import HostRecord
from tocsin.model.index import AmountSample, IndexSeen
from tocsin.model.market import MarketSeen
from tocsin.model.peer import PeersRecord
from tocsin.model.selftest import SelfTest
from tocsin.model.settings import Settings
from tocsin.model.silence import Silence, Span
from tocsin.model.traits import Reach
from tocsin.model.trust import Standing
from tocsin.model.view import Agreement, Conflict, IllegalMove, Lead, NodeRecord, Reorg

NOTHING_AGREED = Agreement(grade=Grade.BLIND, block=None, since_ns=None, votes=0, voting_groups=0, groups=0)


Lasting = tuple[str, ...]
"""What of a published document is worth publishing it again; lag, age and latency are not."""

Document = Callable[[], Json]
"""Makes a document: most are looked at far more often than they say something new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A header that was asked for to link the tree: by which request, when, and how often so far."""

    request: int
    asked_ns: int
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Nodes of a fast chain asked for their block at one height (see `tocsin.engine.common`)."""

    number: int
    """The height."""
    before: int | None
    """The height agreed before, where witnesses are asked whether that block is still theirs."""
    began_ns: int
    asked: Mapping[str, str] = field(default_factory=dict)
    """Request to node, while the answer is awaited."""
    shown: Mapping[str, str] = field(default_factory=dict)
    """Node to its block hash at `number`."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Witness to its block hash at `before`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Nodes asked for their block at a height that was final, since the new finalized block is linked to nothing."""

    held: BlockRef
    """What was final."""
    claim: BlockRef
    """What is to stand on it."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """Request to node, while the answer is awaited."""
    asked_ns: int = 0
    turns: tuple[str, ...] = ()
    """Who was asked at this try."""
    tries: int = 0
    shown: Mapping[str, str] = field(default_factory=dict)
    """Node to its block hash at the height of `held`."""
    is_open: bool = False
    """Whether all were asked, and no two groups told alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finality:
    """How far what is final is borne out (see `tocsin.engine.finality`)."""

    rooted: BlockRef | None = None
    """The newest finalized block that is known to stand on all that were agreed before."""
    question: Question | None = None
    next_ns: int = 0
    """Until then no further question is put."""
    revoked: tuple[Conflict, ...] = ()
    """A violation that is borne out, until it is acknowledged."""
    raised: bool = False
    """Whether the quorum was raised when finalized blocks were counted last."""
    is_stale: bool = False
    """Whether headers or answers have come since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A header that a node was asked for once more, by its hash: by which request, after which poll, how often."""

    hash: str
    request: int
    polls: int
    tries: int
    is_answered: bool = False
    """Whether the answer has come, and confirmed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Maintenance of one node: until when in engine time, and for people in wall time, by whom and why."""

    since_wall_ns: int
    until_ns: int
    until_wall_ns: int
    by: str
    reason: str

    @property
    def why(self) -> str:
        """Say it as the reason of a node's state."""
        return f"maintenance by {self.by}: {self.reason}" if self.reason else f"maintenance by {self.by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Where the trial of one node's abilities stands (see `tocsin.engine.capabilities`). Times are engine ns."""

    next_ns: int = 0
    """Until then there is nothing to ask."""
    call: str = ""
    """The question that is under way, empty for none."""
    request: int = 0
    asked_ns: int = 0
    subject: str = ""
    """What is being searched, empty between two searches."""
    stage: int = 0
    """0 while the last result is looked at again, 1 when the search goes on from there."""
    head: int = 0
    """The node's head when it was asked."""
    working: Reach = Reach()  # noqa: RUF009 - frozen
    due: Mapping[str, int] = field(default_factory=dict)
    """When each subject is tried next; one that is absent is due."""
    widened: Mapping[str, int] = field(default_factory=dict)
    """When it was last tried whether more is answered than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainState:
    """One chain: the tree, the nodes, what is agreed, the alerts."""

    started_ns: int
    """When watching began: at the start, or when the host slept. What was seen before is no vote any more."""
    tick: int = 0
    ticked_ns: int | None = None
    """When the chain was looked at last."""
    tree: HeaderTree = field(default_factory=HeaderTree)
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    beacons: Mapping[str, BeaconRecord] = field(default_factory=dict)
    ages_ns: tuple[int, ...] = ()
    """How old the newest agreed heads were when they were agreed, by the wall clock and their own timestamps."""
    awaited: tuple[str, ...] = ()
    """Nodes that have not been asked since `started_ns`; until then nothing is judged."""
    lives: Mapping[str, NodeLife] = field(default_factory=dict)
    judged_polls: Mapping[str, int] = field(default_factory=dict)
    """How many polls of each node its life has seen."""
    head: Agreement = NOTHING_AGREED
    finalized: Agreement = NOTHING_AGREED
    finals: Mapping[str, BlockRef] = field(default_factory=dict)
    """Each sound node's finalized block, as it was last counted."""
    finality: Finality = field(default_factory=Finality)
    reorg: Reorg | None = None
    unjoined: BlockRef | None = None
    """The head agreed before, until headers tell whether the present one descends from it."""
    branches: tuple[BlockRef, ...] = ()
    unlinked: Mapping[str, int] = field(default_factory=dict)
    """Since when each node's heads cannot be placed although headers that may be fetched would place them."""
    raised_until_ns: int = 0
    """Until when the quorum stays raised after a fork, because groups contradicted each other then and since."""
    split_since_ns: int | None = None
    """Since when the grade has been `split` without a break."""
    gaps: Gaps = field(default_factory=Gaps)
    """How long the agreed head stood still, each time, in slots."""
    ruled_out: Mapping[str, str] = field(default_factory=dict)
    """Nodes against whom a tie was broken, and by what."""
    fresh: BlockRef | None = None
    lead: Lead | None = None
    lone: Mapping[str, Lead] = field(default_factory=dict)
    """The same of each voter by itself."""
    conflicts: tuple[Conflict, ...] = ()
    breaches: Mapping[str, tuple[Breach, ...]] = field(default_factory=dict)
    """Rules that headers of the tree break, by hash."""
    fees: tuple[tuple[int, int], ...] = ()
    """Base fees of agreed heads: engine ns and wei, at most one in half a minute."""
    fee_median: int | None = None
    round: Round | None = None
    """The comparison at a common height that is under way, on a chain faster than its polls."""
    settled: Round | None = None
    """The one before, which counts."""
    trail: tuple[BlockRef, ...] = ()
    """The blocks that were agreed last on a chain faster than its polls, by rising height."""
    forgotten: int = 0
    """Headers that were dropped because there were too many, not because they were old."""
    sought: Mapping[str, Sought] = field(default_factory=dict)
    surveys: Mapping[str, Survey] = field(default_factory=dict)
    survey_due_ns: int = 0
    """Until then no node has anything to be asked about its abilities."""
    delay_ns: int | None = None
    """How long after its slot a block comes, as learnt so far."""
    pace: Pace | None = None
    """How the nodes are polled, as last said in this life."""
    alerts: Alerts = field(default_factory=Alerts)
    observed: Alerts = field(default_factory=Alerts)
    """What detectors that are not believed yet would have raised: never published, and no part of any node's state."""
    trust: Mapping[str, Standing] = field(default_factory=dict)
    """How far each detector that is not simply enforced is believed."""
    counted: str = ""
    """The agreed block whose checks were counted last."""
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    """Nodes that showed a header that does not hash to its hash, while that is asked for once more."""
    maintenance: Mapping[str, Window] = field(default_factory=dict)
    closed: Mapping[str, NodeLife] = field(default_factory=dict)
    """How nodes ended that are configured no longer."""
    illegal: tuple[IllegalMove, ...] = ()
    """Changes of node states that no rule allows, until they are acknowledged."""
    contracts: Contracts = NO_CONTRACTS
    """The contracts that are watched, and what nodes gave wrong of them."""
    indexes: Mapping[str, IndexSeen] = field(default_factory=dict)
    """How far each log index is, by name."""
    amounts: Mapping[str, AmountSample] = field(default_factory=dict)
    """What those hold whom each log index names, by its name."""
    markets: Mapping[str, MarketSeen] = field(default_factory=dict)
    """What the newest valuation said of each market, by name."""
    feeds: Mapping[str, FeedRecord] = field(default_factory=dict)
    """Sources of prices on this chain, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """How often an alert fired whose subject is watched no longer, and since when that is so."""

    activation: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """The whole core. `seq` and `request` are the numbers last used; `published` the retained documents in force."""

    boot: str = ""
    stream: str = ""
    """Which stream `seq` counts."""
    t_ns: int = 0
    wall_ns: int = 0
    wall_ahead_ns: int | None = None
    """By how much the wall clock was ahead of engine time at the last tick."""
    inbox: tuple[Polled | BeaconPolled | Fetched, ...] = ()
    """What came in since the last tick of its chain."""
    seq: int = 0
    request: int = 0
    settings: Settings | None = None
    chains: Mapping[str, ChainState] = field(default_factory=dict)
    tick: int = 0
    loop_lag_ns: int = 0
    config_problems: tuple[str, ...] = ()
    alerts: Alerts = field(default_factory=Alerts)
    published: Mapping[str, Lasting] = field(default_factory=dict)
    orphans: tuple[Orphan, ...] = ()
    """Alerts of a lost state, until a configuration tells where they belong."""
    pins: tuple[LostPins, ...] = ()
    """What contracts were pinned to in a lost state, until then."""
    retired: Mapping[str, Retired] = field(default_factory=dict)
    """By fingerprint; for a day, and bounded."""
    host: HostRecord = field(default_factory=HostRecord)
    self_ticked_ns: int | None = None
    """When the watchdog itself was looked at last, in this life."""
    peers: PeersRecord = field(default_factory=PeersRecord)
    gateways: Mapping[str, GatewayRecord] = field(default_factory=dict)
    """Sources of prices over HTTP, by name."""
    delivery: DeliverySampled | None = None
    """How the alert stream left when that was looked at last."""
    silences: tuple[Silence, ...] = ()
    """By command; those of the configuration are in the settings."""
    silence_no: int = 0
    """How many there have been."""
    self_test: SelfTest = SelfTest()  # noqa: RUF009 - frozen
    calendar: tuple[Span, ...] = ()
    """When the weekly windows of the settings come, for the next days."""
    routing: Routing = Routing()  # noqa: RUF009 - frozen
    """What people were told, and what they are to be told."""
