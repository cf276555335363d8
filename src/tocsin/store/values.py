"""What goes into the store and what comes out of it: bytes and numbers, no events.

Event numbers count everything that entered, from 1, without holes, over the life of a state directory. Effect
numbers count what was decided to leave. `t_ns` is engine time, `wall_ns` nanoseconds since 1970 (see `tocsin.clock`).
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tocsin.model.alert import Severity

MINUTE_NS = 60 * 10**9
DAY_NS = 24 * 60 * MINUTE_NS
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the store may hold. Every bound has a record of what it cost: a gap, a drop, a removed segment."""

    segment_age_ns: int = 10 * MINUTE_NS
    """A live segment older than this asks for a snapshot and rolls."""
    segment_bytes: int = 64 * MIB
    """As does one with more raw bytes than this."""
    segment_events: int = 20_000
    """Or with so many events: a start has to decide all of them again before it watches."""
    inherited_events: int = 1_000
    """One with more than so many asks at the start: lives that end early would leave ever more to the next one."""
    journal_bytes: int = 8 * 1024 * MIB
    journal_age_ns: int = 7 * DAY_NS
    outbox_rows: int = 100_000
    """Rows that wait for the broker, or that a registered consumer has not confirmed."""
    outbox_bytes: int = 1024 * MIB
    sent_age_ns: int = 7 * DAY_NS
    """How long a delivered row stays, for consumers that ask again; a cleared retained topic as well."""
    sent_rows: int = 200_000
    reserve_bytes: int = 16 * MIB
    """Preallocated, given up to the outbox when the disk is full."""
    resume_free_bytes: int = 32 * MIB
    """Free space beyond the reserve at which a stopped journal starts again."""
    resume_every_ns: int = 5 * 10**9
    unsaved_rows: int = 10_000
    """Alerts kept in memory while not even the outbox can be written."""
    notice_rows: int = 5_000
    """Messages to people that wait."""
    notice_bytes: int = 16 * MIB
    queue_groups: int = 1024
    queue_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who wrote a segment: program version, schema of the codec's records, hash of the configuration in force."""

    code: str = ""
    codec: int = 0
    config_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One encoded event. `bodies` are what it refers to, by `tocsin.ids.digest` of their bytes."""

    event_no: int
    data: bytes
    bodies: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One encoded event, read back."""

    event_no: int
    t_ns: int
    wall_ns: int
    effect_no: int
    """The last effect number that was decided when its group closed."""
    data: bytes
    bodies: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The engine's state after event `event_no`, in bytes; a new segment begins behind it."""

    event_no: int
    data: bytes
    config_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotAt:
    """A snapshot, read back, with the instant and the effect number it was taken at."""

    event_no: int
    t_ns: int
    wall_ns: int
    effect_no: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events that were not journalled, first to last. What follows starts from a snapshot of its own."""

    first_event: int
    last_event: int
    reason: str
    wall_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One message that must reach the broker. `seq` is contiguous, `id` unique, order holds per fingerprint."""

    seq: int
    id: str
    fingerprint: str
    severity: Severity
    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1
    expiry_s: int | None = None
    content_type: str = "application/cloudevents+json"
    created_wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A row that waits. `durable` False: it is in memory only and must be published with that mark."""

    row: OutboxRow
    attempts: int
    durable: bool
    lane: int
    """0: critical, or ahead of a critical row of the same fingerprint; 1: the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedRow:
    """A retained topic's document; None clears the topic."""

    topic: str
    payload: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """A retained topic as it should stand on the broker, and how far the broker is known to have it."""

    topic: str
    payload: bytes | None
    revision: int
    published: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    """One message to people through a channel. `number` is unique; messages of one group keep their order."""

    number: int
    channel: str
    group: str
    severity: Severity
    payload: bytes
    created_wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticesHeld:
    """How many messages wait in which channel, how many were dropped for lack of room, and the highest number."""

    waiting: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is committed together. `t_ns` and `wall_ns` are the instant at which the group closed.

    A snapshot holds the state behind the last record of the same group (or behind the last committed one).
    """

    t_ns: int
    wall_ns: int
    effect_no: int
    records: tuple[Record, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    retained: tuple[RetainedRow, ...] = ()
    notices: tuple[NoticeRow, ...] = ()
    snapshot: Snapshot | None = None

    def cost(self) -> int:
        """Bytes that the group holds in memory, roughly."""
        size = len(self.snapshot.data) if self.snapshot else 0
        for record in self.records:
            size += len(record.data)
            for body in record.bodies.values():
                size += len(body)
        for row in self.outbox:
            size += len(row.payload)
        return size + sum(len(notice.payload) for notice in self.notices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """How a group ended: `durable` False means its rows are in memory only, `journalled` False leaves a gap."""

    durable: bool
    journalled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far the stream has come. Changed by a commit, as a whole."""

    event_no: int
    effect_no: int
    t_ns: int
    wall_ns: int
    gap: Gap | None


class Mode(StrEnum):
    """How far down the disk has pushed the store."""

    NORMAL = "normal"
    JOURNAL_STOPPED = "journal-stopped"
    """Alerts are durable, events are not recorded."""
    NOT_DURABLE = "not-durable"
    """Alerts live in memory only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The outbox: rows and bytes that wait, the critical ones among the rows, and delivered rows still kept.

    `unsaved` rows are among those that wait, unconfirmed ones among those that were delivered.
    """

    pending: int
    pending_bytes: int
    critical: int
    unsaved: int
    sent: int
    unconfirmed: int = 0
    """Delivered to the broker, but not yet confirmed by every registered consumer."""
    unconfirmed_bytes: int = 0
    unconfirmed_critical: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a registered consumer has come: it has everything up to `max` but what is `missing`.

    `at` is that of its last ack, 0 before the first; `heard_wall_ns` is when that came, or when it was registered.
    """

    name: str
    max: int
    at: int
    missing: tuple[int, ...]
    heard_wall_ns: int

    def lag(self, last_seq: int) -> int:
        """Return how many messages it lacks of a stream that has come so far."""
        return max(0, last_seq - self.max) + len(self.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What an ack led to."""

    cursor: Cursor
    rearmed: int
    """Rows that wait again."""
    gone: tuple[tuple[int, int], ...]
    """What the consumer lacks and nobody can send again, as spans of first and last `seq`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What a bound has cost. `what` is `outbox` (first and last are seq) or `segment` (event numbers)."""

    id: int
    what: str
    first: int
    last: int
    count: int
    reason: str
    wall_ns: int
    spans: tuple[tuple[int, int], ...] = ()
    """First and last of every stretch of rows that went; empty where that was not recorded."""


class NoticeKind(StrEnum):
    """What the store did by itself that a person should know."""

    MIGRATED = "migrated"
    QUARANTINED = "quarantined"
    ROWS_DAMAGED = "rows-damaged"
    MADE_ANEW = "made-anew"
    SNAPSHOT_UNREADABLE = "snapshot-unreadable"
    RECORDS_UNREADABLE = "records-unreadable"
    SEGMENT_MISSING = "segment-missing"
    SEGMENT_UNREADABLE = "segment-unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One such thing, in words that say what happened and where the remains are."""

    kind: NoticeKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The state of the store at its last transaction."""

    mode: Mode
    reason: str
    """Why not normal; empty when it is."""
    gap: Gap | None
    """Events that are missing from the journal right now, as long as it has not resumed."""
    saturated: bool
    """The outbox is at its bound and drops what is least severe."""
    counts: Counts
    last_seq: int
    """The highest `seq` of the stream that was handed over to be sent, on disk or in memory."""
    event_no: int
    effect_no: int
    segment: int | None
    """Number of the live segment, None while nothing is journalled."""
    segment_bytes: int
    unsealed: int
    """Closed segments that still wait for their file."""
    seal_error: str
    consumers: tuple[Cursor, ...] = ()
    """Registered ones, by name."""
    stream: str = ""
    """Which stream its numbers count: made with the state directory."""
    notices: NoticesHeld = NoticesHeld()
    damaged: int = 0
    """Messages of the stream that were damaged on disk and had to be dropped, since the start."""

    @property
    def durable(self) -> bool:
        """Whether a committed alert survives a crash."""
        return self.mode is not Mode.NOT_DURABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentInfo:
    """One segment of the journal. `state` is live, closed or sealed; `size` is its file's, or its raw bytes."""

    number: int
    state: str
    first_event: int
    last_event: int
    first_wall_ns: int
    last_wall_ns: int
    size: int
    origin: Origin
    gap: Gap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Where to go on from: newest usable snapshot, then `tail` in order.

    `complete` False: events after the tail are lost (a gap, a quarantined database), although their effects up to
    `last_effect_no` may have left. Numbering must go on behind `last_event_no`, `last_effect_no` and `last_seq`, never
    below.
    """

    snapshot: bytes | None
    snapshot_event_no: int
    tail: AsyncIterator[Entry]
    tail_events: int
    last_event_no: int
    last_effect_no: int
    last_seq: int
    """The highest `seq` that the outbox has ever held. A row of this number or below counts as a repetition."""
    last_t_ns: int
    last_wall_ns: int
    complete: bool
    origin: Origin
    """Of the segment that the snapshot heads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What a recording holds, and what of the asked span is missing in it."""

    first_event: int
    last_event: int
    events: int
    gaps: tuple[Gap, ...]
