"""Values that say when, and about which alerts: instants, hours of the day, days of the week, time zones, matches."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from tocsin.alerting.matching import LONGEST, parse

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 24 * 60

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


def instant(value: Any) -> int:
    """Read a point in time as wall nanoseconds."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("is no time with its offset; write it as 2026-11-22T14:00:00Z or 2026-11-22T15:00:00+01:00")
    return (value - _EPOCH) // _MICROSECOND * 1000


def instant_text(wall_ns: int) -> str:
    """Write a point in time in UTC."""
    return (_EPOCH + timedelta(microseconds=wall_ns // 1000)).isoformat().replace("+00:00", "Z")


def minute(value: Any) -> int:
    """Read an hour of the day as minutes from midnight."""
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError("is no hour of the day; write '02:00', from '00:00' to '24:00'")
    hours, minutes = value.split(":")
    return 60 * int(hours) + int(minutes)


def minute_text(count: int) -> str:
    """Write minutes from midnight as an hour of the day."""
    return f"{count // 60:02d}:{count % 60:02d}"


def day(value: Any) -> int:
    """Read a day of the week, 0 for Monday."""
    if value not in DAYS:
        raise ValueError(f"write one of {', '.join(DAYS)}")
    return DAYS.index(value)


def zone(value: Any) -> str:
    """Check the name of a time zone; UTC is always known, others as this system knows them."""
    try:
        if value != "UTC":
            ZoneInfo(value)
    except (ValueError, TypeError, OSError, ZoneInfoNotFoundError):
        raise ValueError(
            "is no time zone that this system knows; write its name of the IANA database, such as Europe/Berlin "
            "(package tzdata)"
        ) from None
    return str(value)


def match(value: str) -> str:
    """Check a text that says which alerts are meant."""
    parse(value)
    return value


def words(value: str) -> str:
    """Check that something is said."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


Instant = Annotated[
    int,
    PlainValidator(instant),
    PlainSerializer(instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T14:00:00Z"]}),
]
"""Wall nanoseconds."""
MinuteOfDay = Annotated[
    int,
    PlainValidator(minute),
    PlainSerializer(minute_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", "examples": ["02:00"]}),
]
Weekday = Annotated[
    int,
    PlainValidator(day),
    PlainSerializer(lambda at: DAYS[at], return_type=str),
    WithJsonSchema({"enum": list(DAYS)}),
]
Zone = Annotated[
    str, PlainValidator(zone), WithJsonSchema({"type": "string", "minLength": 1, "examples": ["Europe/Berlin"]})
]
Match = Annotated[str, AfterValidator(match), Field(max_length=LONGEST)]
"""Which alerts are meant."""
Words = Annotated[str, AfterValidator(words), Field(max_length=500)]
"""Something that a person says to others."""
