"""Everything that enters. Nothing else influences a decision.

`t_ns` is engine time (see `tocsin.clock`); `wall_ns` is present only where a decision or a stamp needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tocsin.model.block import BlockRef
from tocsin.model.contract import Charge, Pinned
from tocsin.model.host import CertificateSample, ClockSample, DiskSample, UnitSample
from tocsin.model.index import AmountSample, IndexSample
from tocsin.model.market import MarketSample
from tocsin.model.observation import BudgetUse, Fault, Part
from tocsin.model.settings import Settings
from tocsin.model.silence import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An alert as it was last published, where the state does not remember as much of it: open, or resolved since."""

    fingerprint: str
    detector: str
    labels: tuple[tuple[str, str], ...]
    severity: str
    summary: str
    activation: int
    count: int
    started_wall_ns: int
    is_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LostPins:
    """What a contract is pinned to, as it was last published, where the state remembers nothing of it.

    `chain` is the chain's id (EIP-155); `baseline` is by the names of values.
    """

    chain: int
    contract: str
    address: str
    baseline: Mapping[str, Pinned]


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """The daemon came up: a new life, named by `boot`.

    `seq` is the highest number that the event stream has used so far, `notice` that of messages to people; `orphans`
    are alerts of a life whose state was lost, `pins` what contracts were held against in it. They matter only where the
    state directory was damaged, or the disk full.
    """

    t_ns: int
    wall_ns: int
    boot: str
    version: str
    seq: int = 0
    orphans: tuple[Orphan, ...] = ()
    pins: tuple[LostPins, ...] = ()
    stream: str = ""
    """The id of the event stream, whose numbers `seq` are."""
    notice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRevised:
    """A validated configuration took effect."""

    t_ns: int
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRejected:
    """A reload failed; the old configuration stays. `problems` are lines for a person, without secrets."""

    t_ns: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """One poll of one node came back, or failed. `poll` counts the polls of this node in this boot, from 1.

    `stalled` says that our own event loop stood still meanwhile: a failure then says nothing about the node.
    """

    t_ns: int
    started_ns: int
    chain: str
    node: str
    poll: int
    parts: tuple[Part, ...] = ()
    fault: Fault | None = None
    stalled: bool = False
    budget: BudgetUse | None = None
    """Of the budgets that hold for the node, the one that suffices least; None where none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The answer to a `Fetch` effect with the same `request` number."""

    t_ns: int
    chain: str
    node: str
    request: int
    call: str
    part: Part | None = None
    fault: Fault | None = None
    run: tuple[Part, ...] = ()
    """Where a run of headers was asked for: what came, the highest block first; `part` is None then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPolled:
    """One poll of a price gateway ended: with a price, or with a fault.

    `price` is a decimal number as of `tocsin.model.price`, `price_ns` (wall) when it was so by the gateway's own word.
    """

    t_ns: int
    wall_ns: int
    started_ns: int
    gateway: str
    poll: int
    price: str = ""
    price_ns: int | None = None
    fault: Fault | None = None
    stalled: bool = False
    """Whether our own event loop stood still for so long meanwhile that the poll proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """A websocket announced a head. A hint for the poller and a latency sample, never a vote."""

    t_ns: int
    chain: str
    node: str
    number: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconPolled:
    """One poll of one beacon node came back, or failed; the fields are those of `Polled`.

    `parts` hold what of the answers decides (`tocsin.wire.beacon`): whole blocks would fill the journal.
    """

    t_ns: int
    started_ns: int
    chain: str
    node: str
    poll: int
    parts: tuple[Part, ...] = ()
    fault: Fault | None = None
    stalled: bool = False
    budget: BudgetUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSampled:
    """The host was looked at. `number` counts the samples of this boot, from 1; not everything is in each."""

    t_ns: int
    wall_ns: int
    number: int
    disks: tuple[DiskSample, ...] = ()
    units: tuple[UnitSample, ...] = ()
    clocks: tuple[ClockSample, ...] = ()
    certificates: tuple[CertificateSample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerHeard:
    """A message of another watchdog came in: its `heartbeat`, or its `status`, which says `state`.

    `kept` says that the broker had it before we subscribed. `period_ns` is 0 where the message names none.
    """

    t_ns: int
    peer: str
    boot: str
    state: str = ""
    """Empty for a heartbeat."""
    period_ns: int = 0
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersListened:
    """From now on the broker gives us what these peers say; none while there is no connection (`connected`).

    `unnoticed_ns` is how long a connection that is dead may look alive.
    """

    t_ns: int
    connected: bool
    peers: tuple[str, ...] = ()
    unnoticed_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSample:
    """How far a registered consumer is. `lag` counts what it lacks of the stream.

    `silent_ns` is for how long it could have been heard and was not, None while it cannot be heard; `stuck_ns` for how
    long its cursor has not moved.
    """

    name: str
    lag: int
    stuck_ns: int
    silent_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSample:
    """How a channel of people is: what waits for it, and for how long nothing has got through.

    `failing_ns` is 0 where the last message got through, or there was none; `given_up` counts the messages of the last
    hour that are not sent any more.
    """

    name: str
    waiting: int = 0
    failing_ns: int = 0
    given_up: int = 0
    error: str = ""
    """Why it fails, in words for a person, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySampled:
    """How alerts leave: looked at every second, told when it changes, and every ten seconds.

    `filled` and `critical_filled` are per cent of what the outbox may hold, of all rows and of critical ones alone;
    `waiting` rows are for the broker, `owed` ones for consumers that have not confirmed them.
    """

    t_ns: int
    connected: bool
    durable: bool
    filled: int
    critical_filled: int
    waiting: int
    owed: int
    unsaved: int = 0
    consumers: tuple[ConsumerSample, ...] = ()
    channels: tuple[ChannelSample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundLogs:
    """How many answers of a node were held against what is proven, and right, since that was told last."""

    node: str
    logs: int
    receipts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSampled:
    """How far a log index is: told when it stops or goes on, and every ten seconds while it moves."""

    t_ns: int
    chain: str
    index: str
    sample: IndexSample
    sound: tuple[SoundLogs, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountsRead:
    """What those hold whom a log index names, as one reading found it, or why there was none."""

    t_ns: int
    chain: str
    index: str
    sample: AmountSample


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketValued:
    """What a valuation at one agreed block says of a market, or why there was none."""

    t_ns: int
    chain: str
    market: str
    sample: MarketSample


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsRefuted:
    """A node twice told logs, or receipts, of a block that are not what is proven of it.

    `told`, `header` and `receipts` are as they came: what is proven follows from them alone.
    """

    t_ns: int
    chain: str
    index: str
    node: str
    charge: Charge
    """LOGS or RECEIPTS."""
    block: BlockRef
    question: str
    """The call that `told` answers."""
    told: bytes
    header: bytes
    receipts: bytes = b""
    """The right ones; empty where the header's bloom is enough, or where they are what was told wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDoubted:
    """Of what was read beside the polls a node gave something else than others, twice, or a proof that proves nothing.

    That is what it seems; the engine asks the node once more, and judges what it says then.
    """

    t_ns: int
    chain: str
    node: str
    charge: Charge
    """VALUE or PROOF."""
    block: BlockRef
    root: str
    """The state root of the block, empty where that is not known."""
    question: str
    """The call that reads the one thing, at whatever block; see `tocsin.model.reading`."""
    expected: str = ""
    """Of a value: what a quorum says."""
    agreed: tuple[str, ...] = ()
    """Of a value: who says so."""
    contract: str = ""
    """Of a call that was made among others: whose it is; they are made by another contract, which `question` names."""


class Why(StrEnum):
    """Why nobody heard an alert over the broker."""

    REFUSED = "refused"
    """The broker answered that it may not be published."""
    LATE = "late"
    """The broker did not take it in time, or is gone."""
    NOBODY = "nobody"
    """The broker took it, and said that no subscriber matches (MQTT reason 0x10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """A critical alert reached nobody over the broker, in this one of its activations. Said once of each."""

    t_ns: int
    fingerprint: str
    activation: int
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoed:
    """A word of the self-test came back from the broker: the one with this number in the stream."""

    t_ns: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """An evaluation tick: detectors of `chain` run over what came since the last one.

    An empty `chain` stands for the watchdog itself. `loop_lag_ns` is the worst delay of the event loop since
    the previous tick.
    """

    t_ns: int
    wall_ns: int
    chain: str
    loop_lag_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRevised:
    """When the weekly windows of the configuration come in the next days: time zones are looked up outside."""

    t_ns: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded:
    """A person's command, already authenticated: `by` names the person, `args` are sorted pairs."""

    t_ns: int
    wall_ns: int
    verb: str
    args: tuple[tuple[str, str], ...]
    by: str


Event = (
    Booted
    | ConfigRevised
    | ConfigRejected
    | Polled
    | BeaconPolled
    | Fetched
    | GatewayPolled
    | Woken
    | HostSampled
    | PeerHeard
    | PeersListened
    | DeliverySampled
    | IndexSampled
    | AmountsRead
    | MarketValued
    | LogsRefuted
    | ReadDoubted
    | Unheard
    | Echoed
    | Ticked
    | CalendarRevised
    | Commanded
)
