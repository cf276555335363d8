"""When weekly windows come: their hours, by the clock of a place, as spans of time for the core.

The core knows no time zones: rules of zones change with the system's database, and a replay must not. So the hours are
looked up here, for the days to come, and journalled as an event: at the start, with every configuration, and when a
new day begins.

A day has an hour that does not exist when clocks go forward, and one that comes twice when they go back. What begins
or ends in the hour that is skipped does so by the clock before the change, so that no window is lost; what ends in
the hour that comes twice ends with the second one.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.clock import EngineClock
from tocsin.engine.state import EngineState
from tocsin.model.event import CalendarRevised, Event
from tocsin.model.silence import Span, WeeklyWindow

AHEAD_DAYS: Final = 15
"""How far the calendar reaches: it is made anew every day, and two weeks may pass without."""

_LOOK_S: Final = 600.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def spans(windows: tuple[WeeklyWindow, ...], wall_ns: int) -> tuple[Span, ...]:
    """Return when windows come, from those that began yesterday to those of the next days, in order of time."""
    found = [span for window in windows for span in _spans_of(window, wall_ns)]
    return tuple(sorted(found, key=lambda span: (span.from_wall_ns, span.until_wall_ns, span.window)))


def _spans_of(window: WeeklyWindow, wall_ns: int) -> Iterator[Span]:
    zone: tzinfo = UTC if window.zone == "UTC" else ZoneInfo(window.zone)
    today = (_EPOCH + timedelta(microseconds=wall_ns // 1000)).astimezone(zone).date()
    for offset in range(-1, AHEAD_DAYS + 1):
        begins = today + offset * _DAY
        if begins.weekday() not in window.days:
            continue
        ends = begins if window.to_minute > window.from_minute else begins + _DAY
        yield _span(window.name, _instants(begins, window.from_minute, zone), _instants(ends, window.to_minute, zone))


def _span(name: str, begins: tuple[int, int], ends: tuple[int, int]) -> Span:
    until = max(ends)
    # What begins in the hour that is skipped and ends soon after it began before the change.
    since = begins[0] if begins[0] < until else min(begins)
    return Span(window=name, from_wall_ns=since, until_wall_ns=until)


def _instants(day: date, minute: int, zone: tzinfo) -> tuple[int, int]:
    """Return the two instants at which a clock may show an hour, by the rule before and after a change of the clock."""
    shown = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001 - the zone follows
    first, second = (shown.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    return _wall_ns(first), _wall_ns(second)


def _wall_ns(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


class Calendar:
    """Tells the core when its weekly windows come."""

    def __init__(self, clock: EngineClock, *, state: Callable[[], EngineState], emit: Callable[[Event], None]) -> None:
        self._clock = clock
        self._state = state
        self._emit = emit
        self._told: tuple[Span, ...] | None = None

    def revise(self) -> None:
        """Tell it if that is news, as after a new configuration."""
        state = self._state()
        windows = state.settings.windows if state.settings is not None else ()
        fresh = spans(windows, self._clock.wall_ns())
        if fresh != self._told and (fresh or state.calendar):
            self._emit(CalendarRevised(t_ns=self._clock.t_ns(), spans=fresh))
        self._told = fresh

    async def run(self) -> None:
        """Tell it whenever a new day begins. Belongs to a task of the caller."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.revise()
