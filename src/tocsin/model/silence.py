"""What people do not want to hear of: silences, weekly windows, and the spans of time that those come to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts that are marked as silenced for a time. `match` says which, as `tocsin.alerting.matching` reads it.

    Critical alerts are meant only where `critical` says so. Times are wall nanoseconds, the end is not part of it.
    """

    id: str
    match: str
    by: str
    reason: str
    from_wall_ns: int
    until_wall_ns: int
    critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyWindow:
    """Maintenance that comes again every week, by the clock on the wall of some place.

    `days` count from Monday, 0; they are those on which it begins. Minutes count from midnight; one that ends at or
    before its beginning ends on the next day.
    """

    name: str
    match: str
    by: str
    reason: str
    days: tuple[int, ...]
    from_minute: int
    to_minute: int
    zone: str
    critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One occurrence of a weekly window, in wall nanoseconds."""

    window: str
    from_wall_ns: int
    until_wall_ns: int
