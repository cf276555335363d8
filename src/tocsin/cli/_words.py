"""Reading a status document that may be anything, and putting numbers, times and tables into words.

Pure, and wary: what is not what it should be reads as missing. Texts may come from a node, so that control characters
never reach a terminal.
"""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from tocsin import units
from tocsin.wire import alertline

clean, span = alertline.clean, units.span_text

NS = 1_000_000_000
OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
EXITS = {"ok": OK, "warning": WARNING, "critical": CRITICAL, "unknown": UNKNOWN}
_COLOURS = {"ok": "32", "warning": "33", "critical": "31", "unknown": "35"}
_MOST_DECIMALS = 77
_LONGEST_AMOUNT = 78
"""Digits of the largest number that a contract can hold."""
_FRACTION = re.compile(r"(?<=:\d\d)\.\d+")


def table(cells: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield lines with aligned columns, indented by two."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def amount(values: Mapping[str, Any], key: str) -> str:
    """Say an amount in its smallest unit as people read it: with its point, where the document says where that is."""
    text, decimals = say(values, key), values.get("decimals")
    if not whole(decimals) or not 0 <= decimals <= _MOST_DECIMALS:
        return text
    return units.amount_text(int(text), decimals) if text.isdecimal() and len(text) <= _LONGEST_AMOUNT else text


def started_ns(stamp: object) -> int | None:
    """Return the wall nanoseconds of `started_at`, which is RFC 3339 or already a number; None when it is neither."""
    if whole(stamp):
        return int(str(stamp))
    if not isinstance(stamp, str):
        return None
    from datetime import datetime  # noqa: PLC0415 - only where a stamp has to be read

    try:
        instant = datetime.fromisoformat(stamp)
        return int(instant.timestamp()) * NS if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None


def stamp(values: Mapping[str, Any], key: str) -> str:
    """Say a time that a document has as RFC 3339, to the second."""
    return _FRACTION.sub("", say(values, key))


def moment(wall_ns: object) -> str:
    """Say when something is: in UTC, and by the clock of whoever reads it, where that is another."""
    if not whole(wall_ns):
        return "?"
    try:
        utc, here = time.gmtime(wall_ns // NS), time.localtime(wall_ns // NS)
    except (ValueError, OverflowError, OSError):
        return "?"
    said = time.strftime("%Y-%m-%d %H:%M UTC", utc)
    if here[:5] == utc[:5]:
        return said
    day = "" if here[:3] == utc[:3] else "%Y-%m-%d "
    return f"{said} ({time.strftime(f'{day}%H:%M %Z', here)})"


def paint(level: str, *, colour: bool) -> str:
    """Return the level as a word in capitals, in its colour where colours are wanted."""
    word = level.upper()
    return f"\x1b[{_COLOURS[level]}m{word}\x1b[0m" if colour and level in _COLOURS else word


def rows(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the tables in the list at `key`; what is no table is left out."""
    value = document.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the table at `key`, an empty one where there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def say(row: Mapping[str, Any], key: str) -> str:
    """Return what stands at `key` as a word, `-` where nothing does."""
    value = row.get(key)
    return "-" if value is None else clean(str(value))


def level_of(row: Mapping[str, Any]) -> str:
    """Return the level of a row, `unknown` where it has none."""
    level = row.get("level")
    return level if isinstance(level, str) and level in EXITS else "unknown"


def whole(value: object) -> TypeGuard[int]:
    """Tell whether a value is an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: object) -> float | None:
    """Return a value as a number, None where it is none or none that could be meant."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15  # noqa: PLR2004
    return float(value) if usable else None  # type: ignore[arg-type]


def counts(value: object) -> bool:
    """Tell whether a value is a number of things, and there are any."""
    return whole(value) and value > 0
