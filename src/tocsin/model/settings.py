"""The configuration as the pure core sees it: no secrets, no URLs, every default resolved.

`config` builds it, a `ConfigRevised` event carries it, the journal keeps it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tocsin.model.alert import Severity
from tocsin.model.block import BlockRef
from tocsin.model.contract import ContractSettings
from tocsin.model.feed import FeedSettings, GatewaySettings
from tocsin.model.index import IndexSettings
from tocsin.model.market import MarketSettings
from tocsin.model.silence import Silence, WeeklyWindow
from tocsin.model.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One node. `endpoint` is scheme and host only. Tags are free text; equal tags mean equal fate."""

    name: str
    id: str
    """Global name, `<site>.<name>` unless declared: equal on two watchers that watch one node."""
    endpoint: str
    own: bool
    provider: str
    operator: str
    client: str
    region: str
    host: str
    ws: bool = False
    """Whether new heads come over a websocket as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFeeRule:
    """How the base fee follows from the block before: the target is the gas limit over `elasticity` (EIP-1559)."""

    denominator: int
    elasticity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconSettings:
    """A beacon node. `node` has what every node has; `execution` names the node of the chain that it drives."""

    node: NodeSettings
    execution: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """What of the host is looked at. `certificates` are endpoints (scheme, host and port) whose TLS is looked at."""

    disks: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    period_ns: int = 30 * 10**9


READ_AUDIT_ONE_IN: Final = 20
"""Of three groups one that lies in one value of each reading is found after 60 of them; what it costs is a twentieth
more calls, and one request more a reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """How values are read of which there are too many to ask every node for each (`tocsin.state.reader`)."""

    audit_one_in: int = READ_AUDIT_ONE_IN
    """Of the values of each reading one in so many is asked of a second group as well; 0 for none."""
    multicall: str = ""
    """The address (0x, lower case) of a deployed Multicall3, for nodes that take no code with a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """One chain: identity, clock, nodes, and the Params of each detector, resolved for this chain."""

    name: str
    id: int
    block_time_ns: int
    poll_ns: int
    tick_ns: int
    vote_by: tuple[str, ...]
    """Which tags bind nodes into one vote: of provider, operator, client, region, host."""
    nodes: tuple[NodeSettings, ...]
    detectors: Mapping[str, object] = field(default_factory=dict)
    """Detector id to its Params (a frozen dataclass that lives beside the detector)."""
    trust: Mapping[str, Trust] = field(default_factory=dict)
    """Detector id to how far the configuration says that it is believed; one not named here earns its trust."""
    genesis_hash: str | None = None
    network_id: int | None = None
    """What `net_version` says on this chain; None where nothing is concluded from it."""
    finality_slots: int | None = None
    """How many slots finalized is behind the head when all is well; None where nothing is known of it."""
    epoch_slots: int | None = None
    genesis_time_s: int | None = None
    """Unix time of slot 0, where each block's timestamp is a whole number of slots after it."""
    clock_drift_ns: int = 15 * 10**9
    """How far in the future a block's timestamp may lie."""
    tags: tuple[str, ...] = ("safe", "finalized")
    """Block tags, besides latest, that nodes of this chain answer."""
    hashes_as_ethereum: bool = True
    """Whether a header that does not hash to its hash accuses the node. Where not, it is merely unverified."""
    base_fee: BaseFeeRule | None = None
    """None where the base fee does not follow from the block before, or by a rule that is not known."""
    forks: tuple[tuple[str, int], ...] = ()
    """Network upgrades and the Unix times at which they take effect, in that order."""
    trusted: BlockRef | None = None
    """A block that is known to be of this chain: a branch without it is not."""
    tie_break: tuple[str, ...] = ("validity", "checkpoint", "trusted")
    """What may decide between branches when the groups cannot, see `tocsin.chain.dispute.TIE_BREAKERS`."""

    beacons: tuple[BeaconSettings, ...] = ()
    """Nodes of the consensus layer."""
    contracts: tuple[ContractSettings, ...] = ()
    """Contracts that are watched."""
    reader: ReaderSettings = ReaderSettings()
    indexes: tuple[IndexSettings, ...] = ()
    """Log indexes that are kept."""
    markets: tuple[MarketSettings, ...] = ()
    """Markets that are valued at each agreed block."""
    feeds: tuple[FeedSettings, ...] = ()
    """Sources of prices on this chain."""
    gateways: tuple[GatewaySettings, ...] = ()
    """Sources over HTTP of prices that those have."""
    keep_firing: Mapping[str, int] = field(default_factory=dict)
    """Detector id to how long, in nanoseconds, its alerts have to stay clear before they resolve."""

    @property
    def everyone(self) -> tuple[NodeSettings, ...]:
        """All that is asked: nodes and beacon nodes."""
        return (*self.nodes, *(one.node for one in self.beacons))

    @property
    def pace_ns(self) -> int:
        """The unit in which silence is counted: a block time, or a poll where blocks come faster than polls."""
        return max(self.block_time_ns, self.poll_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """A registered consumer. No ack for `silent_after_ns`, while it could send one, is news."""

    name: str
    silent_after_ns: int


_MINUTE = 60 * 10**9
_HOUR = 60 * _MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """What holds for all alerts: the gaps after which one is said again, the last for ever, and when one flaps."""

    remind_critical_ns: tuple[int, ...] = (10 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 4 * _HOUR)
    remind_warning_ns: tuple[int, ...] = (2 * _HOUR, 8 * _HOUR, 24 * _HOUR)
    remind_info_ns: tuple[int, ...] = ()
    flap_transitions: int = 4
    """So many firings and ends within `flap_within_ns`; 0 for never."""
    flap_within_ns: int = 10 * _MINUTE
    flap_quiet_ns: int = 10 * _MINUTE

    def reminders(self, severity: Severity) -> tuple[int, ...]:
        """Return the gaps between reminders, none where there are no reminders."""
        match severity:
            case Severity.CRITICAL:
                return self.remind_critical_ns
            case Severity.WARNING:
                return self.remind_warning_ns
            case Severity.INFO:
                return self.remind_info_ns


_SECOND = 10**9

RUNBOOK = "docs/detectors/{detector}.md"
"""Where the source tree has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerSeverity:
    """A time in nanoseconds for alerts of each severity."""

    critical: int = 0
    warning: int = 0
    info: int = 0

    def of(self, severity: Severity) -> int:
        """Return the one of a severity."""
        match severity:
            case Severity.CRITICAL:
                return self.critical
            case Severity.WARNING:
                return self.warning
            case Severity.INFO:
                return self.info


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """A channel of people: which alerts it is told of, and how they are gathered into messages.

    Alerts of one severity with equal `group_by` labels are a group. It waits for `wait` before it is told of, so that
    what comes together is told together, and is told of again after `interval` at the earliest. An alert that has not
    changed is told again after `repeat` at the earliest, when the stream says it again.
    """

    name: str
    match: str = "detector=*"
    floor: Severity = Severity.WARNING
    """Alerts less severe are none of its business."""
    group_by: tuple[str, ...] = ("site", "chain", "detector")
    """Labels, or `detector` or `site`."""
    wait: PerSeverity = PerSeverity(critical=0, warning=30 * _SECOND, info=_HOUR)
    interval: PerSeverity = PerSeverity(critical=30 * _SECOND, warning=5 * _MINUTE, info=_HOUR)
    repeat: PerSeverity = PerSeverity()
    per_minute: int = 6
    """So many messages of one severity at most; what is more is merged into one."""
    gathers: bool = True
    """Whether alerts are gathered; else each is told by itself and at once, and so is who acknowledges it."""
    is_fallback: bool = False
    """Whether it is told of critical alerts only that reached nobody over the broker."""
    runbook: str = RUNBOOK
    """Where people find what to do; `{detector}` stands for the detector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides; `config_hash` identifies the configuration that it was made from."""

    site: str
    watchdog: str
    environment: str
    config_hash: str
    chains: tuple[ChainSettings, ...]
    detectors: Mapping[str, object] = field(default_factory=dict)
    """Params of the detectors that watch the watchdog itself (`self.*`)."""
    keep_firing: Mapping[str, int] = field(default_factory=dict)
    """The same of their alerts as `ChainSettings.keep_firing` of a chain's."""
    host: HostSettings | None = None
    """What of this host is watched; None where nothing is."""
    peers: tuple[str, ...] = ()
    """Other watchdogs on the same broker that this one watches, as `<site>/<name>`."""
    alerts: AlertRules = AlertRules()
    silences: tuple[Silence, ...] = ()
    windows: tuple[WeeklyWindow, ...] = ()
    """Maintenance that comes again every week; when that is, a `CalendarRevised` event says."""
    consumers: tuple[ConsumerSettings, ...] = ()
    """Who acknowledges the alert stream."""
    channels: tuple[ChannelSettings, ...] = ()
    """How people are told."""
    self_test_ns: int = 0
    """How often the self-test alert is said; 0 for never."""

    def chain(self, name: str) -> ChainSettings | None:
        """Return the chain of this name, None where there is none."""
        return next((one for one in self.chains if one.name == name), None)
