"""What a price gateway answers: a JSON document, and where in it a price and its time stand. Exact, and wary.

Numbers are read as they are written: 2297.50 stays that, whatever a float would make of it. Keys are words, positions
in arrays numbers, joined by dots.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

from tocsin.clock import NS
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.price import decimal, fraction
from tocsin.wire import jsonrpc, quirks

LARGEST: Final = 256 * 1024
"""Bytes of an answer; that of an exchange for one price has a few hundred."""

_LONGEST: Final = 160
"""Characters of a number."""
_DEEPEST: Final = 32
_SCALES: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (10**20, 1))
"""Unix time below so much counts in units of so many nanoseconds: 10^11 s are the year 5138, 10^11 ms 1973."""
_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)")
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Price:
    """A price as a gateway gives it; `at_ns` (Unix) when it was so, None where the document does not say."""

    value: str
    at_ns: int | None = None


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def read(
    status: int,
    body: bytes,
    price: str,
    time: str | None = None,
    *,
    low: str = "",
    high: str = "",
    retry_after_ns: int | None = None,
) -> Price | Fault:
    """Return the price in an answer, or why there is none. Takes any bytes; never raises."""
    if status != HTTPStatus.OK:
        return quirks.fault_of_status(status, body, retry_after_ns=retry_after_ns)
    document = _document(body)
    if isinstance(document, Fault):
        return document
    found = _at(document, price)
    value = decimal(found) if isinstance(found, str) and len(found) <= _LONGEST else None
    if value is None:
        return _malformed(f"{price} is no number")
    if fraction(value) <= 0:
        return _malformed(f"{price} is {value}, which is no price")
    if (low and fraction(value) <= fraction(low)) or (high and fraction(value) >= fraction(high)):
        return _malformed(f"{price} is {value}, which is out of its bounds")
    if time is None:
        return Price(value)
    at_ns = _instant(_at(document, time))
    return _malformed(f"{time} is no time") if at_ns is None else Price(value, at_ns)


def _document(body: bytes) -> Any:
    dense = jsonrpc.too_dense(body)
    if dense is not None:
        return dense
    if len(body) > LARGEST:
        return Fault(kind=FaultKind.TOO_LARGE, detail=f"the answer is longer than {LARGEST} bytes")
    try:
        return json.loads(body, parse_float=_Number, parse_int=_Number, parse_constant=_nothing)
    except (ValueError, RecursionError):
        return Fault(kind=FaultKind.NOT_JSON, detail=quirks.clean(f"no JSON: {quirks.words(body)}"))


def _nothing(_: str) -> None:
    """Take NaN and Infinity, which are not JSON, for nothing."""


def _at(document: Any, path: str) -> object:
    for key in path.split("."):
        match document:
            case dict():
                document = document.get(key)
            case list() if key.isdecimal() and key.isascii() and len(key) < _DEEPEST and int(key) < len(document):
                document = document[int(key)]
            case _:
                return None
    return document


def _instant(found: object) -> int | None:
    """Return a time as Unix nanoseconds: a number in s, ms, us or ns by its size, or a text as of RFC 3339."""
    if not isinstance(found, str) or len(found) > _LONGEST:
        return None
    number = decimal(found)
    if number is not None:
        count = Decimal(number)
        return next((int(count * unit) for below, unit in _SCALES if 0 < count < below), None)
    stamp = _STAMP.fullmatch(found)
    if stamp is None:
        return None
    text, fraction_, zone = stamp.groups()
    try:
        moment = datetime.fromisoformat(text.replace(" ", "T").upper() + zone.upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS + int((fraction_ or "0").ljust(9, "0"))


def _malformed(what: str) -> Fault:
    return Fault(kind=FaultKind.MALFORMED, detail=quirks.clean(what))
