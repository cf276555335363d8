"""The tables of a scenario file, as pydantic checks them. Attributes are named for what they hold, aliases are keys."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from tocsin.clock import NS
from tocsin.config.tree import DetectorTables, VoteTag
from tocsin.config.values import ChainId, Duration, DurationOrZero, FileName, Listed, Name, Tag
from tocsin.model.alert import Grade, Severity
from tocsin.testing.simfaults import share
from tocsin.units import DurationNs


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


def _share(value: Any) -> float:
    if not isinstance(value, str):
        raise ValueError("write a share as a string, such as '1%'")  # noqa: TRY004 - pydantic collects ValueErrors
    return share(value)


def _severity(value: Any) -> Severity:
    words = [severity.value for severity in Severity]
    if value not in words:
        raise ValueError("write one of " + ", ".join(words))
    return Severity(value)


def _grade(value: Any) -> Grade:
    words = [grade.value for grade in Grade]
    if value not in words:
        raise ValueError("write one of " + ", ".join(words))
    return Grade(value)


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Share = Annotated[float, PlainValidator(_share)]
Grades = Annotated[tuple[Annotated[Grade, PlainValidator(_grade)], ...], Listed]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""One name, or an array of them."""


class ArrivalTable(_Table):
    """How long after it came out a block reaches a node: lognormal."""

    median_ns: DurationOrZero = Field(alias="median")
    """Half of all blocks come sooner."""
    sigma: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Standard deviation of the logarithm; 0 makes every block equally late."""


class ChainTable(_Table):
    """The chain: what the watchdog is told of it, and how the simulated one behaves."""

    name: Name = "sim"
    """In labels."""
    profile: Name | None = None
    """A chain profile of the configuration: its id, block time and detector limits apply."""
    id: ChainId | None = None
    """The chain id; default the profile's, else 1337."""
    block_time_ns: Duration | None = Field(None, alias="block_time")
    """Default the profile's, else 12s."""
    poll_ns: Duration | None = Field(None, alias="poll")
    """Default the profile's, else 2s."""
    tick_ns: Duration | None = Field(None, alias="tick")
    """Default as configured."""
    vote_by: Annotated[tuple[VoteTag, ...] | None, Field(min_length=1), Listed] = None
    """Tags that bind nodes into one vote; default as configured."""
    history: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Slots that lie in the past at the start."""
    first: Annotated[int, Field(ge=0, le=10**9)] = 20_000_000
    """The oldest block that anybody has; above 0 nobody has block 0, as on a chain whose past was pruned."""
    missed: Share = 0.0
    """Share of slots without a block."""
    jitter_ns: DurationOrZero = Field(DurationNs(0), alias="jitter")
    """How late in its slot a block comes out at most."""
    safe_after: Annotated[int, Field(ge=0)] = 32
    """How many blocks the safe one is below the head."""
    finalized_after: Annotated[int, Field(ge=0)] = 64
    """How many blocks the finalized one is below the head."""
    transactions: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Made-up transaction hashes in each block."""
    forks: Mapping[Name, DurationOrZero] = {}
    """Network upgrades that the watchdog is told of: when they take effect, from the start."""


class NodeTable(_Table):
    """One node. Tags mean what they mean in the configuration."""

    name: Name
    own: bool = False
    provider: Tag | None = None
    operator: Tag | None = None
    client: Tag | None = None
    region: Tag | None = None
    host: Tag | None = None
    arrival: str | ArrivalTable = "default"
    """Name of an [arrival.NAME] table, or such a table."""
    version: Tag = "tocsin-sim/v1.0.0"
    """What `web3_clientVersion` says."""
    peers: Annotated[int, Field(ge=0)] = 25
    ws: bool = True
    """Whether it has a websocket; plays a part over real connections only."""
    source: Names = ()
    """Ids of [[source]] tables that say why this node is as it is."""


class FaultTable(_Table):
    """What every fault has, whatever its kind. Exactly one aim for faults of nodes, none for the others."""

    fault: str
    at_ns: DurationOrZero = Field(alias="at")
    """When it begins, from the start."""
    for_ns: Duration | None = Field(None, alias="for")
    """How long it lasts; default to the end."""
    node: Names = ()
    provider: Names = ()
    operator: Names = ()
    client_of: Names = ()
    """All nodes that run one of these clients (their `client` tag)."""
    region: Names = ()
    source: Names = ()


class SourceTable(_Table):
    """Where a fact comes from."""

    id: Name
    cite: Annotated[str, Field(min_length=1)]
    """A document, an issue, a contract, a measurement: enough to find it."""
    fact: Annotated[str, Field(min_length=1)]
    """What it says, in one sentence."""


class AlertTable(_Table):
    """One alert that must be raised: this detector, about this subject, reaching this severity within the window."""

    detector: str
    node: str | None = None
    """The node it is about; without it, the chain (or the watchdog itself for `self.` detectors)."""
    severity: Annotated[Severity, PlainValidator(_severity)] = Severity.WARNING
    """An alert that gets worse has a table for each severity it reaches."""
    from_ns: DurationOrZero = Field(DurationNs(0), alias="from")
    to_ns: Duration | None = Field(None, alias="to")
    """Window in which it first reaches the severity; default up to the end."""
    ends: Literal["open", "resolved"] | None = None
    """How it stands at the end of the scenario; default either."""
    optional: bool = False
    """Whether it may as well stay away. For what chance decides; say why in a comment."""


class HeadTable(_Table):
    """What must hold of the agreed head at every tick of a window."""

    from_ns: DurationOrZero = Field(DurationNs(0), alias="from")
    to_ns: Duration | None = Field(None, alias="to")
    grades: Grades = ()
    """The grades that may occur; none given: any."""
    never: Grades = ()
    """Grades that may not occur."""
    reaches: Grades = ()
    """Grades each of which must occur at least once."""
    branch: str | None = None
    """The agreed head is on this branch: `main`, or the `branch` of a fault."""
    not_branch: Names = ()
    """The agreed head is not beyond the point where these branches parted."""
    stands: bool = False
    """The agreed head does not move."""


class ExpectTable(_Table):
    """The verdict."""

    alerts: Annotated[tuple[AlertTable, ...], Listed] = Field((), alias="alert")
    """The complete set: an alert that is not here is an error."""
    heads: Annotated[tuple[HeadTable, ...], Listed] = Field((), alias="head")


class ScenarioTable(_Table):
    """A whole file."""

    schema_: Literal[1] = Field(alias="schema")
    include: Annotated[tuple[FileName, ...], Listed] = ()
    """Globs of further files, such as one that `tocsin calibrate arrivals` wrote."""
    title: Annotated[str, Field(min_length=1, max_length=120)]
    summary: str = ""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    duration_ns: Duration = Field(alias="duration")
    chain: ChainTable = ChainTable.model_construct()
    nodes: Annotated[tuple[NodeTable, ...], Field(min_length=1), Listed] = Field(alias="node")
    arrival: Mapping[str, ArrivalTable] = {}
    detector: DetectorTables = {}
    """Params of detectors, as in the configuration; without it the shipped ones apply."""
    faults: Annotated[tuple[Mapping[str, Any], ...], Listed] = Field((), alias="fault")
    """Checked apart, since each kind has arguments of its own."""
    sources: Annotated[tuple[SourceTable, ...], Listed] = Field((), alias="source")
    expect: ExpectTable = ExpectTable.model_construct()


DEFAULT_ARRIVAL: Final = ArrivalTable(median=f"{int(1.5 * NS) // 10**6}ms", sigma=0.5)  # type: ignore[arg-type]
"""Within the range that the pool's design assumes for imports: medians of 1.2 to 3.0 s, sigma of 0.35 to 0.8."""
