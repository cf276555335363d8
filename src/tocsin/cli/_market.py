"""How amounts of markets are written for people, and in tables for programs."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tocsin.cli._words import part, say

_SHOWN = 2


def amount(text: object, decimals: object, base: object = "") -> str:
    """Write whole base units as an amount: two digits behind the point, cut, and what it is in."""
    if not isinstance(text, str) or not text.isdecimal() or not isinstance(decimals, int):
        return "?"
    whole, rest = divmod(int(text), 10**decimals)
    behind = str(rest).rjust(decimals, "0")[:_SHOWN].ljust(_SHOWN, "0") if decimals else "00"
    return f"{whole:,}.{behind}{f' {base}' if base else ''}"


def millionths(value: object, *, digits: int = 4) -> str:
    """Write millionths as a decimal number, cut."""
    if not isinstance(value, int):
        return "-"
    sign, value = ("-" if value < 0 else ""), abs(value)
    return f"{sign}{value // 10**6}.{str(value % 10**6).rjust(6, '0')[:digits]}"


def share(value: object) -> str:
    """Write millionths as per cent."""
    return "-" if not isinstance(value, int) else f"{value / 10**4:+.2f} %"


def points(value: object) -> str:
    """Write basis points as per cent."""
    if not isinstance(value, int):
        return "?"
    return f"{value / 100:+g}%"


def span(seconds: object) -> str:
    """Write seconds in the unit that fits."""
    if not isinstance(seconds, int):
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def header(told: Mapping[str, Any]) -> str:
    """Say of which market and block something is, and how that is known."""
    block = part(told, "block")
    return (
        f"{say(told, 'market')} on {say(told, 'chain')} at block {say(block, 'number')} {say(block, 'hash')} "
        f"(revision {say(told, 'revision')}, {say(told, 'exactness')}, {say(told, 'grade')})"
    )


def table(names: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return lines whose columns stand below each other: the first to the left, all others to the right."""
    all_ = [list(names), *map(list, lines)]
    widths = [max(len(row[at]) for row in all_) for at in range(len(names))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in all_
    ]


def csv_text(names: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows(lines)
    return out.getvalue()
