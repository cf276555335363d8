"""Effects to MQTT messages: topic, bytes and flags. The same effect always gives the same bytes.

Every message is a CloudEvents 1.0 event in structured JSON (cloudevents/spec, JSON format and MQTT binding). An alert
gives two messages with equal bytes, since they are one occurrence: the stream keeps each change, the retained topic
of the fingerprint keeps the last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import orjson

from tocsin import ids
from tocsin.errors import CorruptRecord
from tocsin.model.alert import Alert, AlertState, Json
from tocsin.model.block import BlockRef
from tocsin.model.effect import AlertChanged, StateChanged
from tocsin.model.selftest import ID as SELF_TEST
from tocsin.wire import topics

CONTENT_TYPE: Final = "application/cloudevents+json"
EVIDENCE_LIMIT: Final = 16 * 1024
"""Bytes of evidence that travel inside an alert; what is longer goes by digest."""
RESOLVED_EXPIRY_S: Final = 24 * 3600
"""How long the retained state of a resolved alert stays with the broker."""
TEST_EXPIRY_S: Final = 300
"""How long a word of the self-test is worth anything: it must not fill queues of those who are away."""

EXACT = 2**53
"""From here on JSON numbers lose digits in most readers (RFC 8259 section 6): larger ones are decimal strings."""
_DEEPEST = 32
_LONGEST_BITS = 4096
_YEAR_10000_S = 253_402_300_800
_SORTED = orjson.OPT_SORT_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who speaks: one watchdog of one site."""

    site: str
    watchdog: str

    @property
    def root(self) -> str:
        """The root of its topics, with the trailing slash."""
        return topics.root(self.site, self.watchdog)

    @property
    def source(self) -> str:
        """The CloudEvents source."""
        return f"/tocsin/{self.site}/{self.watchdog}"

    @property
    def vantage(self) -> str:
        """From where it was seen: two watchdogs share fingerprints, never vantages."""
        return f"{self.site}/{self.watchdog}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What goes to the broker. An empty payload on a retained topic clears it. `topic` is absolute."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    content_type: str | None = CONTENT_TYPE
    seq: int | None = None
    """Of the event stream; None for everything else."""
    fingerprint: str | None = None
    """Messages of one fingerprint keep their order."""
    severity: str | None = None


def render(effect: AlertChanged | StateChanged, origin: Origin, boot: str) -> tuple[Message, ...]:
    """Return what an effect publishes. `boot` names the life of the daemon that says a state."""
    if isinstance(effect, AlertChanged):
        return alert_messages(effect, origin)
    return (state_message(effect, origin, boot),)


def alert_messages(effect: AlertChanged, origin: Origin) -> tuple[Message, Message]:
    """Return the message for the stream and the retained state of the alert, in this order."""
    alert = effect.alert
    payload = _envelope(
        origin,
        kind="alert",
        id_=f"{origin.watchdog}:{effect.boot}:{effect.seq}",
        subject=alert.fingerprint,
        wall_ns=effect.wall_ns,
        data=alert_data(effect, origin),
        sequence=f"{effect.seq:020d}",
        stream=effect.stream,
    )
    stream = Message(
        topic=origin.root + topics.event(alert.severity, alert.detector),
        payload=payload,
        expiry_s=TEST_EXPIRY_S if alert.detector == SELF_TEST and alert.state is AlertState.FIRING else None,
        seq=effect.seq,
        fingerprint=alert.fingerprint,
        severity=alert.severity,
    )
    state = Message(
        topic=origin.root + topics.alert(alert.fingerprint),
        payload=payload,
        retain=True,
        expiry_s=RESOLVED_EXPIRY_S if alert.state is AlertState.RESOLVED else None,
        fingerprint=alert.fingerprint,
        severity=alert.severity,
    )
    return stream, state


def state_message(effect: StateChanged, origin: Origin, boot: str) -> Message:
    """Return the retained message of a state topic; without a document, the one that clears it."""
    if effect.document is None:
        return cleared(origin.root + effect.topic)
    return document_message(
        origin, boot, topic=effect.topic, kind=effect.kind, wall_ns=effect.wall_ns, data=effect.document
    )


def cleared(topic: str) -> Message:
    """Return the message that removes a retained topic from the broker. `topic` is absolute."""
    return Message(topic=topic, payload=b"", retain=True, content_type=None)


def document_message(
    origin: Origin,
    boot: str,
    *,
    topic: str,
    kind: str,
    wall_ns: int,
    data: Json,
    qos: int = 1,
    retain: bool = True,
    expiry_s: int | None = None,
) -> Message:
    """Return a message about a topic of its own, outside of the numbered stream."""
    id_ = f"{origin.watchdog}:{boot}:s{wall_ns}:{topic}"
    payload = _envelope(origin, kind=kind, id_=id_, subject=topic, wall_ns=wall_ns, data=plain(data))
    return Message(topic=origin.root + topic, payload=payload, qos=qos, retain=retain, expiry_s=expiry_s)


def dropped_message(
    origin: Origin,
    boot: str,
    *,
    first: int,
    last: int,
    count: int,
    reason: str,
    wall_ns: int,
    spans: Sequence[tuple[int, int]] = (),
    stream: str = "",
) -> Message:
    """Return the one event that stands for `count` rows between `first` and `last` that nobody will send any more.

    `spans` has first and last of every stretch of them, as far as that is known.
    """
    topic = topics.event("warning", "self.dropped")
    known = spans or ([(first, last)] if count == last - first + 1 else None)
    payload = _envelope(
        origin,
        kind="dropped",
        id_=f"{origin.watchdog}:{boot}:d{first}-{last}" + (f"x{count}" if len(spans) > 1 else ""),
        subject=topic,
        wall_ns=wall_ns,
        data={
            "from": first,
            "to": last,
            "count": count,
            "reason": plain(reason),
            "ranges": None if known is None else [list(span) for span in known],
        },
        stream=stream,
    )
    return Message(topic=origin.root + topic, payload=payload, severity="warning")


def alert_data(effect: AlertChanged, origin: Origin) -> dict[str, object]:
    """Return the `data` of an alert as the wire contract lists it."""
    alert = effect.alert
    return {
        "seq": effect.seq,
        "fingerprint": alert.fingerprint,
        "activation": alert.activation,
        "detector": alert.detector,
        "severity": alert.severity,
        "state": alert.state,
        "labels": plain(dict(alert.labels)),
        "summary": plain(alert.summary),
        "value": plain(alert.value),
        "limit": plain(alert.limit),
        "unit": alert.unit,
        "grade": alert.grade,
        "exactness": alert.exactness,
        "block": _block(alert.block),
        "evidence": evidence(alert),
        "vantage": origin.vantage,
        "runbook": f"docs/detectors/{alert.detector}.md",
        "started_at": rfc3339(alert.started_wall_ns),
        "updated_at": rfc3339(alert.updated_wall_ns),
        "resolved_at": None if alert.resolved_wall_ns is None else rfc3339(alert.resolved_wall_ns),
        "count": alert.count,
        "silenced": alert.silenced,
        "flapping": alert.flapping,
        "inhibited_by": alert.inhibited_by,
        "previous": alert.previous,
        "reason": plain(alert.reason),
        "acked_by": plain(alert.acked_by),
    }


def not_durable(payload: bytes) -> bytes:
    """Return the payload of an alert with the mark that it is not on disk: a crash may say it again or not at all."""
    event = orjson.loads(payload)
    event["data"]["durable"] = False
    return orjson.dumps(event, option=_SORTED)


def data_in(payload: bytes) -> Mapping[str, Any]:
    """Return the data of an event that was kept. Raises CorruptRecord for what is none: a disk may change any byte."""
    try:
        data = orjson.loads(payload)["data"]
    except (ValueError, LookupError, TypeError) as error:
        raise CorruptRecord(f"an event that was kept cannot be read: {error!r}") from error
    if not isinstance(data, dict):
        raise CorruptRecord("an event that was kept has no data")
    found: Mapping[str, Any] = data
    return found


def retained_expiry_s(topic: str, payload: bytes, wall_ns: int) -> int | None:
    """Return how long a retained message may stay, in seconds; None for ever, 0 that its time is over.

    Only the state of a resolved alert ends, a day after it resolved: also when it is sent anew. One that cannot be read
    may be of an alert that is open.
    """
    if not payload or not topics.is_alert(topic):
        return None
    try:
        data = data_in(payload)
        if data["state"] != AlertState.RESOLVED:
            return None
        resolved_s = datetime.fromisoformat(data["resolved_at"] or data["updated_at"]).timestamp()
    except (CorruptRecord, KeyError, TypeError, ValueError):
        return None
    return min(max(int(resolved_s) + RESOLVED_EXPIRY_S - wall_ns // 10**9, 0), RESOLVED_EXPIRY_S)


def evidence_bytes(alert: Alert) -> bytes:
    """Return the whole evidence in canonical JSON: what `digest` in a cut one is the digest of."""
    return alert.whole or written(alert.evidence)


def written(found: Json) -> bytes:
    """Return evidence in canonical JSON."""
    return orjson.dumps(plain(found), option=_SORTED)


def evidence(alert: Alert) -> dict[str, object]:
    """Return the evidence as it travels: whole up to the limit, else the entries that fit and the digest of all."""
    return travelling(written(alert.evidence))


def travelling(whole: bytes) -> dict[str, object]:
    """Return what travels of evidence that is written; of what has been cut already all of it does."""
    entries: dict[str, object] = orjson.loads(whole)
    if len(whole) <= EVIDENCE_LIMIT:
        return entries
    cut: dict[str, object] = {"truncated": True, "digest": ids.digest(whole), "size": len(whole)}
    room = EVIDENCE_LIMIT - len(orjson.dumps(cut))
    kept: dict[str, object] = {}
    for key, value in entries.items():
        size = len(orjson.dumps({key: value}))
        if size <= room:
            kept[key] = value
            room -= size
    return kept | cut


def rfc3339(wall_ns: int) -> str:
    """Return a wall instant as RFC 3339 in UTC, always with six digits of a second."""
    micros = min(max(wall_ns // 1000, 0), _YEAR_10000_S * 10**6 - 1)
    seconds, micros = divmod(micros, 10**6)
    return f"{_to_the_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=256)
def _to_the_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


_NESTS = (dict, list, tuple, set, frozenset, Mapping)
"""The abstract class comes last: nearly nothing has to be asked whether it is one, which is slow."""


def plain(value: object, depth: int = 0) -> object:
    """Return a value as JSON can carry it exactly: large integers as decimal strings, bytes as 0x-hex.

    Text that is no Unicode and nesting that is too deep come from nodes; both are made harmless, never an error.
    """
    kind = type(value)
    if kind is str or kind is int or value is None or kind is bool:  # nearly everything, so asked first
        return _scalar(value)
    if not isinstance(value, _NESTS):
        return _block(value) if isinstance(value, BlockRef) else _scalar(value)
    if depth == _DEEPEST:
        return "(nested too deeply)"
    if isinstance(value, dict | Mapping):
        return {_text(str(key)): plain(item, depth + 1) for key, item in value.items()}
    items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
    return [plain(item, depth + 1) for item in items]


def _scalar(value: object) -> object:
    if type(value) is str:
        return _text(value)
    if type(value) is int:
        return value if -EXACT < value < EXACT else _digits(value)
    match value.value if isinstance(value, Enum) else value:
        case None | bool() | float() as same:
            return same
        case int(number):
            return number if -EXACT < number < EXACT else _digits(number)
        case bytes(octets):
            return "0x" + octets.hex()
        case other:
            return _text(str(other))


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _digits(value: int) -> str:
    # Python refuses to write more than 4,300 decimal digits; a number that long is no amount of anything.
    return str(value) if value.bit_length() <= _LONGEST_BITS else hex(value)


def _block(block: BlockRef | None) -> dict[str, object] | None:
    return None if block is None else {"number": plain(block.number), "hash": block.hash}


def _envelope(
    origin: Origin,
    *,
    kind: str,
    id_: str,
    subject: str,
    wall_ns: int,
    data: object,
    sequence: str | None = None,
    stream: str = "",
) -> bytes:
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": id_,
        "source": origin.source,
        "type": f"dev.tocsin.{kind}.v1",
        "subject": subject,
        "time": rfc3339(wall_ns),
        "datacontenttype": "application/json",
        "data": data,
    }
    if sequence is not None:
        event["sequence"] = sequence
    if stream:
        event["stream"] = stream
    return orjson.dumps(event, option=_SORTED)
