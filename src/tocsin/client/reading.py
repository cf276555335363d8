"""What a watchdog says on the topics of its stream, read from bytes that anybody may have sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tocsin.client.entries import Entry, Step
from tocsin.client.ranges import Span
from tocsin.model.alert import AlertState, Severity
from tocsin.wire import topics
from tocsin.wire.envelope import EXACT, Origin

LONGEST: Final = 256 * 1024
"""Bytes of a message that are worth reading: an alert has 16 kB of evidence and little else."""
MOST_RANGES: Final = 10_000

_LONGEST_ID = 256
_FINGERPRINT = re.compile(r"[a-z0-9_-]{1,64}")
_BOOT = re.compile(r"[0-9A-Za-z_-]{1,64}")
_STREAM = re.compile(r"[0-9a-z]{1,64}")
_SAID = frozenset({AlertState.FIRING, AlertState.UNKNOWN, AlertState.RESOLVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """How far the stream is. `last_seq` is None from a daemon that does not tell."""

    boot: str
    beat: int
    last_seq: int | None
    waiting: int
    stream: str = ""
    since_seq: int | None = None
    """The last number that was given before this life of the daemon; None from one that does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Numbers that will not come."""

    spans: tuple[Span, ...]
    reason: str
    stream: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The daemon's answer to an ack; `reason` is None where it believed it."""

    reason: str | None
    at: int
    last_seq: int
    stream: str = ""


Said = Entry | Heartbeat | Gone | Answer


def read(origin: Origin, topic: str, payload: bytes) -> Said:
    """Return what a message of the watchdog says; `topic` is relative to its root. Raises ValueError with why not."""
    if len(payload) > LONGEST:
        raise ValueError(f"{len(payload)} bytes")
    event = _object(orjson.loads(payload), "event")
    if event.get("source") != origin.source:
        raise ValueError("another source")
    data = _object(event.get("data"), "data")
    match event.get("type"), topic.partition("/")[0]:
        case "dev.tocsin.alert.v1", "event" | "alert":
            return _entry(topic, event, data)
        case "dev.tocsin.dropped.v1", "event":
            return Gone(spans=_spans(data), reason=_text(data, "reason"), stream=_stream(event))
        case "dev.tocsin.heartbeat.v1", topics.HEARTBEAT:
            return _heartbeat(data)
        case "dev.tocsin.reply.v1", "reply":
            return _answer(data)
    raise ValueError("nothing of version 1")


def _entry(topic: str, event: Mapping[str, Any], data: Mapping[str, Any]) -> Entry:
    fingerprint, state = data.get("fingerprint"), AlertState(_text(data, "state"))
    severity = Severity(_text(data, "severity"))
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint) or state not in _SAID:
        raise ValueError("no alert")
    if topic not in (topics.event(severity, _text(data, "detector")), topics.alert(fingerprint)):
        raise ValueError("an alert of another topic")
    step = Step(activation=_number(data, "activation"), count=_number(data, "count"), over=state is AlertState.RESOLVED)
    return Entry(
        seq=_number(data, "seq"),
        id=_text(event, "id"),
        fingerprint=fingerprint,
        step=step,
        urgent=severity is Severity.CRITICAL,
        durable=data.get("durable") is not False,
        event=event,
        stream=_stream(event),
    )


def _heartbeat(data: Mapping[str, Any]) -> Heartbeat:
    boot = _text(data, "boot_id")
    if not _BOOT.fullmatch(boot):
        raise ValueError("no boot_id")
    last_seq = None if data.get("last_seq") is None else _number(data, "last_seq", least=0)
    since_seq = None if data.get("since_seq") is None else _number(data, "since_seq", least=0)
    return Heartbeat(
        boot=boot,
        beat=_number(data, "seq"),
        last_seq=last_seq,
        waiting=_number({"outbox": 0, **data}, "outbox", least=0),
        since_seq=since_seq,
        stream=_stream(data),
    )


def _answer(data: Mapping[str, Any]) -> Answer:
    reason = None if data.get("reason") is None else _text(data, "reason")
    return Answer(
        reason=reason,
        at=_number(data, "at", least=0),
        last_seq=_number(data, "last_seq", least=0),
        stream=_stream(data),
    )


def _spans(data: Mapping[str, Any]) -> tuple[Span, ...]:
    """Return the numbers that a `dropped` event names; none where it only tells between which they were."""
    ranges = data.get("ranges")
    if ranges is None:
        first, last = _number(data, "from"), _number(data, "to")
        return ((first, last),) if last - first + 1 == _number(data, "count") else ()
    if not isinstance(ranges, list) or len(ranges) > MOST_RANGES:
        raise ValueError("no ranges")
    return tuple(map(_span, ranges))


def _span(pair: object) -> Span:
    match pair:
        case [int(first), int(last)] if 1 <= first <= last < EXACT:
            return first, last
    raise ValueError("no range")


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"no {what}")  # noqa: TRY004 - as the rest
    return value


def _stream(data: Mapping[str, Any]) -> str:
    """Return which stream a message is of, empty where it does not say."""
    found = data.get("stream", "")
    if not isinstance(found, str) or (found and not _STREAM.fullmatch(found)):
        raise ValueError("no stream")
    return found


def _number(data: Mapping[str, Any], key: str, *, least: int = 1) -> int:
    value = data.get(key)
    if type(value) is not int or not least <= value < EXACT:
        raise ValueError(f"no {key}")
    return value


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or len(value) > _LONGEST_ID:
        raise ValueError(f"no {key}")
    return value
