"""The kinds of values that configuration keys take, each checked once, here.

Every validator raises ValueError with what would be accepted; none converts silently: a number written as a string
is refused.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, NewType
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from tocsin.chain.abi import checksummed
from tocsin.units import DurationNs, duration_ns, duration_text

NAME_PATTERN = r"^[a-z0-9_-]{1,64}$"
_NAME = re.compile(NAME_PATTERN)
_MILLISECOND = 10**6
_LONGEST = duration_ns("3650d")
"""Journals and JSON keep nanoseconds in 64 bits."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_HASH = re.compile(r"0x[0-9a-f]{64}")
_LONGEST_TOPIC = 128

CallsPerDay = NewType("CallsPerDay", int)
"""A budget of JSON-RPC calls a day; written as "300k/day", "25/s", "10M/month"."""

_BUDGET = re.compile(r"(\d{1,9})(?:\.(\d{1,3}))?([kM]?)/(s|min|hour|day|month)")
_MULTIPLES = {"": 1, "k": 10**3, "M": 10**6}
_PER_DAY = {"s": (86_400, 1), "min": (1_440, 1), "hour": (24, 1), "day": (1, 1), "month": (1, 30)}
"""Calls a day for one call per unit, as a fraction: a month counts 30 days, so that a quota is never overrun."""

_BLOCKS = re.compile(r"(\d{1,7}) blocks?")

Size = NewType("Size", int)
"""Bytes; written as "2GB", "512MB" (powers of 1000) or "1GiB"."""

_SIZE = re.compile(r"(\d{1,9})(kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_BYTES = {
    **{unit: 1000**power for power, unit in enumerate(("kB", "MB", "GB", "TB"), 1)},
    **{unit: 1024**power for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), 1)},
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("write a string")  # noqa: TRY004 - pydantic collects ValueErrors
    return value


def name(value: Any) -> str:
    """Check a name: it becomes a level of MQTT topics and a label."""
    if not _NAME.fullmatch(_text(value)):
        raise ValueError("a name has 1 to 64 of a-z, 0-9, dash and underscore")
    return str(value)


def duration(value: Any) -> DurationNs:
    """Read a duration of more than nothing."""
    ns = duration_or_zero(value)
    if ns == 0:
        raise ValueError("is no time at all; write a number and ms, s, m, h or d, such as 12s")
    return ns


def duration_or_zero(value: Any) -> DurationNs:
    """Read a duration; a number without a unit is refused."""
    if not isinstance(value, str):
        raise ValueError("write a duration as a string, such as '12s', '250ms' or '4m'")  # noqa: TRY004
    try:
        ns = duration_ns(value)
    except ValueError:
        raise ValueError("is not a duration; write a number and ms, s, m, h or d, such as 12s") from None
    if ns % _MILLISECOND:
        raise ValueError("is finer than a millisecond")
    if ns > _LONGEST:
        raise ValueError("is longer than ten years")
    return ns


@dataclass(frozen=True, slots=True)
class Blocks:
    """So many agreed blocks, where otherwise a duration stands."""

    count: int


def held(value: Any) -> DurationNs | Blocks:
    """Read for how long a condition has to hold: a duration, or a number of blocks."""
    match = _BLOCKS.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        return Blocks(int(match[1]))
    try:
        return duration_or_zero(value)
    except ValueError as error:
        raise ValueError(f"{error}; or a number of blocks, such as '3 blocks'") from None


def held_text(ns: int, blocks: int) -> str:
    """Write for how long a condition has to hold."""
    if not blocks:
        return duration_text(ns)
    return "1 block" if blocks == 1 else f"{blocks} blocks"


@dataclass(frozen=True, slots=True)
class Within:
    """Bounds a duration, both ends allowed."""

    shortest: str
    longest: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._check, handler(source), serialization=core_schema.plain_serializer_function_ser_schema(duration_text)
        )

    def _check(self, ns: DurationNs) -> DurationNs:
        if not duration_ns(self.shortest) <= ns <= duration_ns(self.longest):
            raise ValueError(f"must be between {self.shortest} and {self.longest}")
        return ns


def budget(value: Any) -> CallsPerDay:
    """Read a budget of calls."""
    match = _BUDGET.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a budget; write calls per s, min, hour, day or month, such as '300k/day'")
    whole, fraction, multiple, unit = match.groups()
    factor, divisor = _PER_DAY[unit]
    thousandths = int(whole) * 1000 + int((fraction or "0").ljust(3, "0"))
    calls = thousandths * _MULTIPLES[multiple] * factor // (1000 * divisor)
    if calls == 0:
        raise ValueError("allows less than one call a day; leave it out for no limit")
    return CallsPerDay(calls)


def budget_text(calls: int) -> str:
    """Write a budget exactly, in the largest multiple: 300k/day."""
    for sign, multiple in (("M", 10**6), ("k", 10**3)):
        if calls % multiple == 0:
            return f"{calls // multiple}{sign}/day"
    return f"{calls}/day"


def size(value: Any) -> Size:
    """Read a number of bytes."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a size; write a whole number and kB, MB, GB, KiB, MiB or GiB, such as '2GB'")
    return Size(int(match[1]) * _BYTES[match[2]])


def size_text(count: int) -> str:
    """Write bytes exactly, in the largest unit."""
    for unit, scale in sorted(_BYTES.items(), key=lambda item: -item[1]):
        if count and count % scale == 0:
            return f"{count // scale}{unit}"
    return f"{count // 1000}kB"


def block_hash(value: Any) -> str:
    """Check a block hash."""
    if not _HASH.fullmatch(_text(value)):
        raise ValueError("is not a block hash; write 0x and 64 lower-case hex digits")
    return str(value)


def address(value: Any) -> str:
    """Check the address of a contract, its checksum where it has one, and return it in lower case."""
    text = _text(value)
    if not _ADDRESS.fullmatch(text):
        raise ValueError("is not an address; write 0x and 40 hex digits")
    right = checksummed(text.lower())
    if text not in (text.lower(), right):
        raise ValueError(f"has a wrong checksum (EIP-55), so a digit may be wrong: if none is, write {right}")
    if int(text, 16) == 0:
        raise ValueError("is the zero address; write that of the contract")
    return text.lower()


def word(value: Any) -> str:
    """Check a slot of storage: its number, or 0x and 64 hex digits."""
    if type(value) is int and 0 <= value < 1 << 63:
        return f"0x{value:064x}"
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError("is no slot; write its number, or a string of 0x and 64 hex digits")
    return value.lower()


def choice(words: list[str], what: str = "nothing that can be watched") -> AfterValidator:
    """Return a check that a text is one of some words; else it is `what`."""

    def check(value: str) -> str:
        if value not in words:
            near = get_close_matches(value.lower()[:64], words, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"is {what}; write {', '.join(words)}{hint}")
        return value

    return AfterValidator(check)


def tag(value: Any) -> str:
    """Check a free-text tag: printable, at most 64 characters."""
    longest = 64
    if not 0 < len(_text(value)) <= longest or not value.isprintable():
        raise ValueError("a tag has 1 to 64 printable characters")
    return str(value)


def node_id(value: Any) -> str:
    """Check a node's global id: names, joined by dots."""
    if not all(_NAME.fullmatch(part) for part in _text(value).split(".")):
        raise ValueError("an id is names of a-z, 0-9, dash and underscore, joined by dots, such as ams.geth")
    return str(value)


def file_name(value: Any) -> str:
    """Check the name of a file or folder."""
    if not _text(value) or "\0" in value:
        raise ValueError("is not a file name")
    return str(value)


def header_name(value: str) -> str:
    """Check the name of an HTTP header (a token of RFC 9110, section 5.6.2)."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", value):
        raise ValueError("is not the name of an HTTP header")
    if value.lower() in {"host", "content-length", "content-type", "transfer-encoding", "connection"}:
        raise ValueError("is a header that the transport sets itself")
    return value


def method_name(value: str) -> str:
    """Check the name of a JSON-RPC method."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]{1,64}", value):
        raise ValueError("is not the name of a JSON-RPC method, such as eth_call")
    return value


def unit_name(value: Any) -> str:
    """Check the name of a systemd unit (systemd.unit(5)), its suffix written out."""
    if not re.fullmatch(
        r"[A-Za-z0-9:_.@][A-Za-z0-9:_.@\\-]{0,250}\.(service|socket|timer|mount|target|path)", _text(value)
    ):
        raise ValueError("is not the name of a systemd unit; write it with its suffix, such as geth.service")
    return str(value)


def watchdog_name(value: Any) -> str:
    """Check the name of another watchdog: its site and its own, as its topics have them."""
    if not re.fullmatch(r"[a-z0-9_-]{1,64}/[a-z0-9_-]{1,64}", _text(value)):
        raise ValueError("is not a watchdog; write its site and its name, such as 'ams/host-b'")
    return str(value)


def topic_name(value: Any) -> str:
    """Check a topic of somebody else's, such as where Home Assistant listens."""
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", text) or len(text) > _LONGEST_TOPIC:
        raise ValueError("is no topic; write names joined by slashes, such as homeassistant/status, without wildcards")
    if text.split("/")[0] == "tocsin":
        raise ValueError("lies below tocsin/, where watchdogs speak; write the topic of the other program")
    return text


def time_server(value: Any) -> str:
    """Check the address of a time server; the port is 123 unless written."""
    try:
        parts = urlsplit(f"//{_text(value)}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("is not a time server; write a host, or host:port, such as 'ntp.example:123'")
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port or 123}"


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _string(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_DURATION_SCHEMA = _string(r"^[0-9]{1,12}(\.[0-9]{1,6})?(ms|s|m|h|d)$", "12s")

Listed = BeforeValidator(_tuple)
"""For tuples: TOML has arrays only, and strict mode takes nothing else for one."""

Name = Annotated[str, PlainValidator(name), _string(NAME_PATTERN, "ethereum")]
Tag = Annotated[str, PlainValidator(tag), _string("^.{1,64}$", "alchemy")]
NodeId = Annotated[str, PlainValidator(node_id), _string(r"^[a-z0-9_.-]+$", "ams.geth")]
FileName = Annotated[str, PlainValidator(file_name), WithJsonSchema({"type": "string", "minLength": 1})]
BlockHash = Annotated[str, PlainValidator(block_hash), _string("^0x[0-9a-f]{64}$", "0x" + "0" * 64)]
Address = Annotated[str, PlainValidator(address), _string("^0x[0-9a-fA-F]{40}$", "0x" + "c0ffee" + "0" * 34)]
Word = Annotated[
    str,
    PlainValidator(word),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}]}
    ),
]
HeaderName = Annotated[str, AfterValidator(header_name)]
MethodName = Annotated[str, AfterValidator(method_name)]
Duration = Annotated[
    DurationNs,
    PlainValidator(duration),
    PlainSerializer(duration_text, return_type=str),
    _DURATION_SCHEMA,
]
DurationOrZero = Annotated[
    DurationNs,
    PlainValidator(duration_or_zero),
    PlainSerializer(duration_text, return_type=str),
    _DURATION_SCHEMA,
]
Held = Annotated[
    DurationNs | Blocks,
    PlainValidator(held),
    _string(r"^([0-9]{1,12}(\.[0-9]{1,6})?(ms|s|m|h|d)|[0-9]{1,7} blocks?)$", "30s"),
]
Budget = Annotated[
    CallsPerDay,
    PlainValidator(budget),
    PlainSerializer(budget_text, return_type=str),
    _string(r"^[0-9]{1,9}(\.[0-9]{1,3})?[kM]?/(s|min|hour|day|month)$", "300k/day"),
]
ByteSize = Annotated[
    Size,
    PlainValidator(size),
    PlainSerializer(size_text, return_type=str),
    _string(r"^[0-9]{1,9}([kMGT]B|[KMGT]iB)$", "2GB"),
]
Units = Annotated[int, Field(ge=0, le=1_000_000)]
"""What one call costs, as a provider counts."""
Slots = Annotated[int, Field(ge=1, le=10_000_000)]
UnixTime = Annotated[int, Field(ge=1, le=2**40)]
"""Seconds since 1970."""
ChainId = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""EIP-155 sets no limit; wallets and this program's JSON keep to 63 bits."""
UnitName = Annotated[str, PlainValidator(unit_name), _string(r"^.+\.[a-z]+$", "geth.service")]
WatchdogName = Annotated[
    str, PlainValidator(watchdog_name), _string("^[a-z0-9_-]{1,64}/[a-z0-9_-]{1,64}$", "ams/host-b")
]
TopicName = Annotated[
    str, PlainValidator(topic_name), _string("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", "homeassistant/status")
]
TimeServer = Annotated[str, PlainValidator(time_server), _string("^.{1,260}$", "ntp.example:123")]
