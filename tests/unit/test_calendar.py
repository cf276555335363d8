"""When weekly windows come, in time zones whose clocks change."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pool import settings_for

from tocsin.clock import EngineClock
from tocsin.config.times import instant, instant_text
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.event import CalendarRevised, Event
from tocsin.model.silence import Span, WeeklyWindow
from tocsin.runtime.calendar import AHEAD_DAYS, Calendar, spans
from tocsin.testing import ManualClock

HOUR = 3600 * 10**9
EVERY = (0, 1, 2, 3, 4, 5, 6)


def window(begins: int, ends: int, *, zone: str = "Europe/Berlin", days: tuple[int, ...] = EVERY) -> WeeklyWindow:
    return WeeklyWindow(
        name="w", match="detector=*", by="a", reason="b", days=days, from_minute=begins, to_minute=ends, zone=zone
    )


def hours_of(found: tuple[Span, ...], day: str) -> list[tuple[str, str]]:
    """Return the hours in UTC of the occurrences that begin on a day in UTC."""
    told = [
        tuple(f"{datetime.fromtimestamp(ns // 10**9, UTC):%d %H:%M}" for ns in (one.from_wall_ns, one.until_wall_ns))
        for one in found
    ]
    return [(begins, ends) for begins, ends in told if begins.startswith(day)]


SPRING = instant("2026-03-28T12:00:00Z")
"""On 29 March 2026 clocks in Berlin go from 02:00 to 03:00, at 01:00 UTC."""
AUTUMN = instant("2026-10-24T12:00:00Z")
"""On 25 October 2026 they go from 03:00 back to 02:00, at 01:00 UTC."""


@pytest.mark.parametrize(
    ("begins", "ends", "hours"),
    [
        ((1, 0), (4, 0), ("29 00:00", "29 02:00")),
        ((1, 30), (2, 30), ("29 00:30", "29 01:30")),
        ((2, 15), (2, 45), ("29 01:15", "29 01:45")),
        ((2, 0), (3, 0), ("29 00:00", "29 01:00")),
        ((2, 30), (3, 15), ("29 00:30", "29 01:15")),
        ((4, 0), (5, 0), ("29 02:00", "29 03:00")),
    ],
)
def test_in_the_night_in_which_an_hour_is_skipped_no_window_is_lost(
    begins: tuple[int, int], ends: tuple[int, int], hours: tuple[str, str]
) -> None:
    minutes = (60 * begins[0] + begins[1], 60 * ends[0] + ends[1])
    assert hours_of(spans((window(*minutes),), SPRING), "29")[0] == hours


@pytest.mark.parametrize(
    ("begins", "ends", "hours"),
    [
        ((2, 0), (3, 0), ("25 00:00", "25 02:00")),
        ((2, 15), (2, 45), ("25 00:15", "25 01:45")),
        ((1, 0), (2, 30), ("24 23:00", "25 01:30")),
        ((3, 0), (4, 0), ("25 02:00", "25 03:00")),
    ],
)
def test_an_hour_that_comes_twice_is_covered_twice(
    begins: tuple[int, int], ends: tuple[int, int], hours: tuple[str, str]
) -> None:
    minutes = (60 * begins[0] + begins[1], 60 * ends[0] + ends[1])
    assert hours in hours_of(spans((window(*minutes),), AUTUMN), hours[0][:2])


def test_a_window_over_midnight_ends_on_the_next_day_and_one_begins_only_on_its_days() -> None:
    sunday = window(23 * 60, 60, zone="UTC", days=(6,))
    found = spans((sunday,), instant("2026-11-22T12:00:00Z"))
    assert [instant_text(one.from_wall_ns) for one in found] == [
        "2026-11-22T23:00:00Z",
        "2026-11-29T23:00:00Z",
        "2026-12-06T23:00:00Z",
    ]
    assert {(one.until_wall_ns - one.from_wall_ns) // HOUR for one in found} == {2}


def test_a_whole_day_is_one() -> None:
    found = spans((window(0, 24 * 60, zone="UTC", days=(0,)),), instant("2026-11-22T12:00:00Z"))
    assert [(one.until_wall_ns - one.from_wall_ns) // HOUR for one in found] == [24, 24, 24]


@given(
    begins=st.integers(0, 24 * 60 - 1),
    length=st.integers(1, 24 * 60 - 1),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    wall=st.integers(1_750_000_000, 1_850_000_000),
)
def test_every_night_has_its_window_and_none_is_empty(begins: int, length: int, zone: str, wall: int) -> None:
    ends = (begins + length) % (24 * 60)
    found = spans((window(begins, ends, zone=zone),), wall * 10**9)
    assert len(found) == AHEAD_DAYS + 2
    assert found == tuple(sorted(found, key=lambda one: one.from_wall_ns))
    for one in found:
        assert 0 < one.until_wall_ns - one.from_wall_ns <= (length + 120) * 60 * 10**9
    assert found[0].from_wall_ns <= wall * 10**9, "what began yesterday may still last"
    assert found[-1].from_wall_ns > wall * 10**9 + (AHEAD_DAYS - 1) * 24 * HOUR


class Told:
    """A core that only remembers when the windows come."""

    def __init__(self, *windows: WeeklyWindow) -> None:
        self.time = ManualClock(wall_ns=instant("2026-11-22T12:00:00Z"))
        self.events: list[CalendarRevised] = []
        self.state = EngineState(settings=replace(settings_for(("a",)), windows=windows))
        self.calendar = Calendar(EngineClock(self.time), state=lambda: self.state, emit=self.take)

    def take(self, event: Event) -> None:
        assert isinstance(event, CalendarRevised)
        self.events.append(event)
        self.state = step(self.state, event).state


def test_the_core_is_told_once_and_again_with_every_new_day() -> None:
    told = Told(window(60, 120, zone="UTC"))
    for _ in range(24):
        told.calendar.revise()
        told.time.advance(ns=HOUR)
    assert len(told.events) == 2
    first, second = told.events
    assert first.spans[1:] == second.spans[:-1]
    assert told.state.calendar == second.spans


def test_a_configuration_without_windows_ends_those_there_were_and_says_nothing_else() -> None:
    told = Told(window(60, 120))
    told.calendar.revise()
    assert told.state.settings is not None
    told.state = replace(told.state, settings=replace(told.state.settings, windows=()))
    told.calendar.revise()
    assert told.state.calendar == ()
    told.calendar.revise()
    assert len(told.events) == 2
    silent = Told()
    silent.calendar.revise()
    assert silent.events == []
