r"""How far a consumer of the stream has come, in bytes that it signs: MQTT itself only tells what a broker took.

A registered consumer publishes on `ack/<consumer>`:

    {"at": 1790000000123, "max": 41, "missing": [17, 39], "hmac": "..."}

`hmac` is the HMAC-SHA-256 (RFC 2104) with the consumer's key, in lower-case hex, over the UTF-8 text

    tocsin-ack-v1\n<source>\n<consumer>\n<at>\n<max>\n<missing, joined by commas>

in which `source` is that of the watchdog's events, `/tocsin/<site>/<watchdog>`. Fields that are not known are ignored.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

import orjson

from tocsin.wire.envelope import Message, Origin, document_message
from tocsin.wire.topics import name

LONGEST: Final = 16 * 1024
"""Bytes of a message that are worth reading; one with as many holes as may be has less than 9 kB."""
MOST_MISSING: Final = 500
SHORTEST_KEY: Final = 16
"""Bytes of a key: it must not be found by trying."""

REPLY_EXPIRY_S: Final = 60
"""How long an answer waits for a consumer that is not there."""

_EXACT = 2**53
"""As for every number of the wire contract: from here on readers of JSON lose digits."""
_HEX_DIGITS = 64


class Refusal(StrEnum):
    """Why an ack is not believed. The first ones are about its bytes, the others about who says what when."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    UNSIGNED = "unsigned"
    FORGED = "forged"
    RETAINED = "retained"
    """The broker had kept it: it says nothing of now."""
    UNREGISTERED = "unregistered"
    REPLAYED = "replayed"
    """Its `at` is not above that of the last one that was believed."""
    FUTURE = "future"
    """Its `max` is above the last number of the stream: the consumer speaks of an earlier state directory."""


class AckRefused(ValueError):  # noqa: N818 - reads as the condition
    """An ack that is not believed; `reason` is what it is counted under, the message what is wrong with it."""

    def __init__(self, reason: Refusal, what: str) -> None:
        super().__init__(f"{reason}: {what}")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What a consumer has of the stream: everything up to `max` but what is `missing`.

    `at` is milliseconds since 1970 by the consumer's clock; it has to rise from ack to ack. `missing` is sorted,
    without repetition, below `max`, and has at most 500 numbers (`claim` sees to that). Raises ValueError.
    """

    at: int
    max: int
    missing: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if (what := _defect(self.at, self.max, self.missing)) is not None:
            raise ValueError(what)


def claim(at: int, highest: int, holes: Iterable[int]) -> Ack:
    """Return the ack of a consumer that has `highest`, and none of the `holes` below it.

    Where there are more than one ack can name, it claims less: `max` ends before the first hole that finds no room.
    """
    missing = sorted({hole for hole in holes if hole < highest})
    if len(missing) > MOST_MISSING:
        highest = missing[MOST_MISSING] - 1
        del missing[MOST_MISSING:]
    while missing and missing[-1] == highest:
        missing.pop()
        highest -= 1
    return Ack(at=at, max=highest, missing=tuple(missing))


def encode(ack: Ack, source: str, consumer: str, key: bytes) -> bytes:
    """Return the signed message for `ack/<consumer>` of the watchdog with this `source`. Raises ValueError."""
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"a key has at least {SHORTEST_KEY} bytes, this one {len(key)}")
    return orjson.dumps(
        {
            "at": ack.at,
            "max": ack.max,
            "missing": list(ack.missing),
            "hmac": _signature(ack, source, name(consumer), key),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An ack as it came in: well formed, signed by nobody knows whom."""

    ack: Ack
    hmac: str


def decode(payload: bytes) -> Signed:
    """Return what a message says. Raises AckRefused: too-large, malformed or unsigned."""
    if len(payload) > LONGEST:
        raise AckRefused(Refusal.TOO_LARGE, f"{len(payload)} bytes; more than {LONGEST} are not read")
    try:
        said = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise AckRefused(Refusal.MALFORMED, "no JSON") from None
    if not isinstance(said, dict) or not isinstance(said.get("missing"), list):
        raise AckRefused(Refusal.MALFORMED, "no JSON object, or its missing is no array")
    fields: dict[str, Any] = said
    try:
        ack = Ack(at=fields.get("at", 0), max=fields.get("max", -1), missing=tuple(fields["missing"]))
    except ValueError as error:
        raise AckRefused(Refusal.MALFORMED, str(error)) from None
    signature = fields.get("hmac")
    if not isinstance(signature, str) or len(signature) != _HEX_DIGITS or not signature.isascii():
        raise AckRefused(Refusal.UNSIGNED, "hmac is no 64 hex digits")
    return Signed(ack=ack, hmac=signature)


def verify(payload: bytes, source: str, consumer: str, key: bytes) -> Ack:
    """Return what the consumer with this key says to the watchdog with this `source`.

    Raises AckRefused: too-large, malformed, unsigned or forged.
    """
    signed = decode(payload)
    if not hmac.compare_digest(signed.hmac, _signature(signed.ack, source, consumer, key)):
        raise AckRefused(Refusal.FORGED, f"not signed with the key of {consumer} for {source}")
    return signed.ack


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the watchdog believes of a consumer: its last ack, zeros before one, beside how far the stream is."""

    at: int
    max: int
    last_seq: int


def reply(
    origin: Origin, boot: str, topic: str, *, reason: Refusal | None, standing: Standing, wall_ns: int
) -> Message:
    """Return the answer to an ack on `topic`, relative to the root; without a `reason` it was believed."""
    data = {
        "request": "ack",
        "accepted": reason is None,
        "reason": reason,
        "at": standing.at,
        "max": standing.max,
        "last_seq": standing.last_seq,
    }
    return document_message(
        origin, boot, topic=topic, kind="reply", wall_ns=wall_ns, data=data, retain=False, expiry_s=REPLY_EXPIRY_S
    )


def _signature(ack: Ack, source: str, consumer: str, key: bytes) -> str:
    missing = ",".join(map(str, ack.missing))
    text = f"tocsin-ack-v1\n{source}\n{consumer}\n{ack.at}\n{ack.max}\n{missing}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _defect(at: Any, highest: Any, missing: tuple[Any, ...]) -> str | None:
    """Return what is wrong with the parts of an ack, which come from anybody."""
    if type(at) is not int or not 0 < at < _EXACT:
        return "at is no number of milliseconds since 1970"
    if type(highest) is not int or not 0 <= highest < _EXACT:
        return "max is no number of the stream"
    if len(missing) > MOST_MISSING:
        return f"missing has {len(missing)} numbers; {MOST_MISSING} are the most"
    if any(type(hole) is not int for hole in missing):
        return "missing has what is no number"
    bounds = (0, *missing, highest) if missing else ()
    if any(low >= high for low, high in pairwise(bounds)):
        return "missing is not sorted, repeats itself, or reaches max"
    return None
