"""Units that appear in configuration and on the wire."""

import re
from typing import NewType

DurationNs = NewType("DurationNs", int)
"""A span of time in nanoseconds; written in configuration as "12s", "250ms", "4m", "1h", "7d"."""

_UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_DURATION = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?(ms|s|m|h|d)")


def duration_ns(text: str) -> DurationNs:
    """Read "12s", "1.5s", "250ms", "4m", "1h" or "7d" exactly. Raises ValueError with what would be accepted."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write a number and ms, s, m, h or d, such as 12s")
    whole, fraction, unit = match.groups()
    scale = _UNITS[unit]
    return DurationNs(int(whole) * scale + int((fraction or "0").ljust(6, "0")) * scale // 10**6)


def duration_text(ns: int) -> str:
    """Write a duration in the largest unit that holds it exactly: 12s, 1500ms, 4m."""
    for unit in ("d", "h", "m", "s"):
        if ns and ns % _UNITS[unit] == 0:
            return f"{ns // _UNITS[unit]}{unit}"
    return f"{ns // 10**6}ms"


def span_text(ns: int) -> str:
    """Write a span of time as people read it, not exactly: 6 s, 3 min 12 s, 5 h 04 min, 3 d 04 h."""
    seconds = max(0, ns) // _UNITS["s"]
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24:02} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    return f"{minutes} min {seconds % 60:02} s" if minutes else f"{seconds} s"


def amount_text(units: int, decimals: int) -> str:
    """Write an amount of a smallest unit exactly, with at most `decimals` digits behind the point: 1000.5."""
    whole, behind = divmod(units, 10**decimals)
    digits = f"{behind:0{decimals}d}".rstrip("0") if behind else ""
    return f"{whole}.{digits}" if digits else str(whole)
