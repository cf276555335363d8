"""A message as the broker hands it over, read in one short pass.

Brokers pass on the properties that anybody has put on a message, as they are. paho's reader copies the rest of the
packet for each of them, so that one message with 500 kB of user properties stops the loop for minutes, and it ends the
connection over U+FEFF in a text, which brokers let through; a retained message would do so at every connect. Here what
is wrong with a property costs the properties, never the message or the connection.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_RESPONSE_TOPIC: Final = 0x08
_CORRELATION_DATA: Final = 0x09
_FIXED: Final[Mapping[int, int]] = {0x01: 1, 0x02: 4, 0x23: 2}
_TEXTS: Final[Mapping[int, int]] = {0x03: 1, _RESPONSE_TOPIC: 1, _CORRELATION_DATA: 1, 0x26: 2}
"""How many bytes, or how many texts with their lengths before them, follow the number of a property of a PUBLISH
(MQTT 5.0, 3.3.2.3). 0x0B, the one that is left, is of varying length."""
_VARYING: Final = 0x0B
_MOST: Final = 64
"""Properties that are looked at."""
_LONGEST_VARYING: Final = 4
"""Bytes of a number of varying length (MQTT 5.0, 1.5.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A PUBLISH. `packet` is what it is to be confirmed by, 0 where nothing is."""

    topic: bytes
    payload: bytes
    packet: int
    retained: bool
    response_topic: str = ""
    correlation: bytes | None = None


def published(command: int, body: bytes | bytearray) -> Published:
    """Read what follows the fixed header. Raises ValueError for what is no PUBLISH of QoS 0 or 1: the broker errs."""
    qos = command >> 1 & 3
    if qos > 1:
        raise ValueError("a message of a QoS that was not asked for")
    topic, at = _text(body, 0, len(body))
    packet = 0
    if qos:
        packet, at = int.from_bytes(_some(body, at, 2, len(body))), at + 2
    length, at = _number(body, at, len(body))
    payload = at + length
    if payload > len(body):
        raise ValueError("properties that are longer than their packet")
    response_topic, correlation = _answer(body, at, payload)
    return Published(
        topic=topic,
        payload=bytes(body[payload:]),
        packet=packet,
        retained=bool(command & 1),
        response_topic=response_topic,
        correlation=correlation,
    )


def _answer(body: bytes | bytearray, at: int, end: int) -> tuple[str, bytes | None]:
    """Return where an answer is wanted and what it has to carry: both, or where the properties are unsound neither."""
    try:
        found = dict(_properties(body, at, end))
        topic = found.get(_RESPONSE_TOPIC, b"").decode()
    except ValueError:
        return "", None
    return topic, found.get(_CORRELATION_DATA)


def _properties(body: bytes | bytearray, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield the first properties, each with its (last) text where it has one. Raises ValueError."""
    for _ in range(_MOST):
        if at >= end:
            return
        number, at = body[at], at + 1
        value = b""
        if number == _VARYING:
            _, at = _number(body, at, end)
        elif number in _FIXED:
            at += _FIXED[number]
        elif number in _TEXTS:
            for _ in range(_TEXTS[number]):
                value, at = _text(body, at, end)
        else:
            raise ValueError("a property that no message has")
        yield number, value


def _text(body: bytes | bytearray, at: int, end: int) -> tuple[bytes, int]:
    """Return what has its length before it, and where it ends."""
    first = at + 2
    last = first + int.from_bytes(_some(body, at, 2, end))
    return _some(body, first, last - first, end), last


def _number(body: bytes | bytearray, at: int, end: int) -> tuple[int, int]:
    """Return a number of varying length, and where it ends."""
    value = 0
    for place in range(_LONGEST_VARYING):
        (byte,) = _some(body, at + place, 1, end)
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return value, at + place + 1
    raise ValueError("a number that does not end")


def _some(body: bytes | bytearray, at: int, count: int, end: int) -> bytes:
    if at + count > end:
        raise ValueError("a packet that ends too early")
    return bytes(body[at : at + count])
