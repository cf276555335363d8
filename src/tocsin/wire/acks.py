r"""How far a consumer of the stream has come, in bytes that it signs: MQTT itself only tells what a broker took.

A registered consumer publishes on `ack/<consumer>`:

    {"at": 1790000000123, "max": 41, "missing": [17, 39], "hmac": "..."}

`hmac` is the HMAC-SHA-256 (RFC 2104) with the consumer's key, in lower-case hex, over the UTF-8 text

    tocsin-ack-v1\n<source>\n<consumer>\n<at>\n<max>\n<missing, joined by commas>

in which `source` is that of the watchdog's events, `/tocsin/<site>/<watchdog>`. Fields that are not known are ignored.

A consumer that has more in memory than it has handled may add `wanted`, the stretches that it wants sent again now, and
then a line to the text: `\n<first>-<last>` of each, joined by commas. One that has anything says of which stream, in
`stream`, with a last line `\nstream=<id>`: numbers of another state directory mean other messages. Without it whoever
has heard an ack could say it again to a watchdog that has lost its state, and with that the `at` of the last one.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, pairwise
from typing import Any, Final

import orjson

from tocsin.wire.envelope import EXACT, Message, Origin, document_message
from tocsin.wire.topics import name

LONGEST: Final = 16 * 1024
"""Bytes of a message that are worth reading; one with as many holes as may be has less than 9 kB."""
MOST_MISSING: Final = 500
MOST_WANTED: Final = 100
"""Stretches that one ack may ask for."""
OPEN_END: Final = EXACT - 1
"""What a stretch ends with that has no end."""
SHORTEST_KEY: Final = 16
"""Bytes of a key: it must not be found by trying."""

REPLY_EXPIRY_S: Final = 60
"""How long an answer waits for a consumer that is not there."""

_HEX_DIGITS = 64
_STREAM = re.compile(r"[0-9a-z]{1,64}")


Stretch = tuple[int, int]
"""First and last of numbers that follow each other."""


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
    NO_STREAM = "no-stream"
    """It says that its consumer has something, and not of which stream."""
    OTHER_STREAM = "other-stream"
    """It speaks of the numbers of another state directory."""
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
    without repetition, below `max`, and has at most 500 numbers (`claim` sees to that). `wanted` are stretches, first
    and last, of what is to be sent again now; None: all that it lacks. Raises ValueError.
    """

    at: int
    max: int
    missing: tuple[int, ...] = ()
    wanted: tuple[Stretch, ...] | None = None
    stream: str = ""
    """Of which stream it speaks; empty where it does not say: that is believed of one that has nothing."""

    def __post_init__(self) -> None:
        what = _defect(self.at, self.max, self.missing) or _defect_of(self.wanted)
        if what is None and self.stream and not _STREAM.fullmatch(self.stream):
            what = "stream is no id of one"
        if what is not None:
            raise ValueError(what)


def claim(
    at: int, highest: int, holes: Iterable[int], wanted: Iterable[Stretch] | None = None, *, stream: str = ""
) -> Ack:
    """Return the ack of a consumer that has `highest`, and none of the `holes` below it.

    Where there are more than one ack can name, it claims less: `max` ends before the first hole that finds no room. Of
    what is `wanted` it names the lowest.
    """
    missing = sorted({hole for hole in holes if hole < highest})
    if len(missing) > MOST_MISSING:
        highest = missing[MOST_MISSING] - 1
        del missing[MOST_MISSING:]
    while missing and missing[-1] == highest:
        missing.pop()
        highest -= 1
    some = None if wanted is None else tuple(islice(wanted, MOST_WANTED))
    return Ack(at=at, max=highest, missing=tuple(missing), wanted=some, stream=stream)


def encode(ack: Ack, source: str, consumer: str, key: bytes) -> bytes:
    """Return the signed message for `ack/<consumer>` of the watchdog with this `source`. Raises ValueError."""
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"a key has at least {SHORTEST_KEY} bytes, this one {len(key)}")
    return orjson.dumps(
        {
            "at": ack.at,
            "max": ack.max,
            "missing": list(ack.missing),
            **({} if ack.wanted is None else {"wanted": [list(span) for span in ack.wanted]}),
            **({"stream": ack.stream} if ack.stream else {}),
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
        ack = Ack(
            at=fields.get("at", 0),
            max=fields.get("max", -1),
            missing=tuple(fields["missing"]),
            wanted=_stretches(fields.get("wanted")),
            stream=_stream(fields.get("stream")),
        )
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
    stream: str = ""


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
        **({"stream": standing.stream} if standing.stream else {}),
    }
    return document_message(
        origin, boot, topic=topic, kind="reply", wall_ns=wall_ns, data=data, retain=False, expiry_s=REPLY_EXPIRY_S
    )


def _signature(ack: Ack, source: str, consumer: str, key: bytes) -> str:
    missing = ",".join(map(str, ack.missing))
    text = f"tocsin-ack-v1\n{source}\n{consumer}\n{ack.at}\n{ack.max}\n{missing}"
    if ack.wanted is not None:
        text += "\n" + ",".join(f"{first}-{last}" for first, last in ack.wanted)
    if ack.stream:
        text += f"\nstream={ack.stream}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _stream(said: Any) -> str:
    """Return the stream that a message names. Raises ValueError for what cannot be that."""
    if said is None:
        return ""
    if not isinstance(said, str) or not said:
        raise ValueError("stream is no id of one")
    return said


def _stretches(said: Any) -> tuple[Stretch, ...] | None:
    """Return what a message says of what is wanted. Raises ValueError for what cannot be that."""
    if said is None:
        return None
    if not isinstance(said, list) or not all(isinstance(span, list) for span in said):
        raise ValueError("wanted is no array of arrays")
    return tuple(tuple(span) for span in said)


def _defect_of(wanted: Any) -> str | None:
    """Return what is wrong with the stretches that an ack wants."""
    if wanted is None:
        return None
    if len(wanted) > MOST_WANTED:
        return f"wanted has {len(wanted)} stretches; {MOST_WANTED} are the most"
    if any(len(span) != 2 or any(type(end) is not int for end in span) for span in wanted):  # noqa: PLR2004
        return "wanted has what is no first and last number"
    if any(not 0 < first <= last <= OPEN_END for first, last in wanted):
        return "wanted has what is no stretch of the stream"
    if any(before[1] >= after[0] for before, after in pairwise(wanted)):
        return "wanted is not sorted, or overlaps"
    return None


def _defect(at: Any, highest: Any, missing: tuple[Any, ...]) -> str | None:
    """Return what is wrong with the parts of an ack, which come from anybody."""
    if type(at) is not int or not 0 < at < EXACT:
        return "at is no number of milliseconds since 1970"
    if type(highest) is not int or not 0 <= highest < EXACT:
        return "max is no number of the stream"
    if len(missing) > MOST_MISSING:
        return f"missing has {len(missing)} numbers; {MOST_MISSING} are the most"
    if any(type(hole) is not int for hole in missing):
        return "missing has what is no number"
    bounds = (0, *missing, highest) if missing else ()
    if any(low >= high for low, high in pairwise(bounds)):
        return "missing is not sorted, repeats itself, or reaches max"
    return None
