"""Findings and alerts: what a detector says, and what is published about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tocsin.model.block import BlockRef

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs; with the detector they identify an alert. Never values, heights or texts."""

Json = Mapping[str, object]


class Severity(StrEnum):
    """How bad, in rising order; `rank` compares."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0, 1 or 2."""
        return _RANK[self]


_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class Grade(StrEnum):
    """How a published fact is known."""

    PROVEN = "proven"
    QUORUM = "quorum"
    MAJORITY = "majority"
    UNCORROBORATED = "uncorroborated"
    SPLIT = "split"
    BLIND = "blind"


class Exactness(StrEnum):
    """How a number of a market is known. Closed."""

    EXACT = "exact"
    """Counted by the contracts' own roundings, which were held against the contracts."""
    SCREENED = "screened"
    """Counted by rules that were not, or ranked by floats."""
    CHAIN = "chain"
    """Asked of the protocol's own view function."""
    UNVERIFIED = "unverified"


class AlertState(StrEnum):
    """Where an alert is in its life; only the last three are ever published."""

    PENDING = "pending"
    FIRING = "firing"
    UNKNOWN = "unknown"
    RESOLVED = "resolved"


REASONS = (
    "fired",
    "raised",
    "changed",
    "reminder",
    "test",
    "flapping",
    "steady",
    "unsilenced",
    "data-missing",
    "data-back",
    "cleared",
    "acked",
    "unconfigured",
    "maintenance",
    "detector-suspect",
    "state-lost",
)
"""Why an alert changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """A limit that is reached at `over` or more, in `polls` distinct samples in a row, and for `for_ns` or `blocks`.

    Blocks are agreed ones: while nothing is agreed on, none pass.
    """

    over: int
    polls: int = 1
    for_ns: int = 0
    blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Under:
    """A condition that is gone when the value is below `under` in `polls` samples in a row, and for as long."""

    under: int
    polls: int = 1
    for_ns: int = 0
    blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a value is held against. `latched`: only a person's `ack` lets a cleared alert resolve."""

    info: Over | None = None
    warning: Over | None = None
    critical: Over | None = None
    clear: Under = Under(under=1)
    latched: bool = False
    at_most: Severity | None = None
    """Whatever is reached, no worse is said: the detector is not wholly believed yet."""
    keep_firing_ns: int = 0
    """For so long it has to stay clear before it resolves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """How well a subject is observed: the number of its newest observation, None while there is none to judge by.

    `lost` says that this has lasted so long that what was known of it is worth nothing any more.
    """

    sample: int | None
    lost: bool = False
    part_of: Labels = ()
    """Pairs that it shares with what it depends on, beside its labels: a node's provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One detector's reading of one subject in one tick.

    A detector yields nothing for a subject at rest (value 0, condition absent), nor for one that gives no data; which
    of the two it is the `Subject` tells. `sample` numbers the observation behind the value, so that "in two polls"
    counts polls and not ticks.
    """

    detector: str
    labels: Labels
    value: int
    unit: str
    limits: Limits
    sample: int
    summary: str
    grade: Grade
    block: BlockRef | None = None
    evidence: Json = field(default_factory=dict)
    whole: bytes = b""
    """All of it in canonical JSON where that is too long to travel; `evidence` is what travels of it then."""
    unmuted: bool = False
    """Whether no other alert says this in its place, whatever the table of inhibitions says of its detector."""
    news: str = ""
    """What an alert that goes on is said again for at once when it becomes another one; empty where nothing is."""
    exactness: Exactness | None = None
    """How the value is known; None where it is no number of a market."""
    fading: bool = False
    """Whether the newest observation speaks against it: an alert goes on by what came before, and none begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """The published record of one alert. Times are wall nanoseconds; `activation` counts its firings, from 1."""

    fingerprint: str
    activation: int
    detector: str
    severity: Severity
    state: AlertState
    labels: Labels
    summary: str
    value: int | None
    limit: int | None
    unit: str
    grade: Grade
    block: BlockRef | None
    evidence: Json
    started_wall_ns: int
    updated_wall_ns: int
    resolved_wall_ns: int | None
    count: int
    """How many events this activation has published, this one included."""
    reason: str
    """Why it changed: one of `REASONS`."""
    acked_by: str | None = None
    previous: AlertState | None = None
    inhibited_by: str | None = None
    """The fingerprint of an alert that says all that this one does."""
    silenced: bool = False
    """Whether people are not to be told. The end of an alert is, where nobody was told of it."""
    flapping: bool = False
    """Whether it comes and goes, and is kept firing meanwhile."""
    whole: bytes = b""
    """As in a finding."""
    exactness: Exactness | None = None
    """As in a finding."""
