"""Time, injected.

Decisions never read a clock: they get instants from events. Two kinds of time exist:

* *engine time* (`t_ns`): nanoseconds, monotonic, continued across restarts; all durations are differences of it;
* *wall time* (`wall_ns`): nanoseconds since 1970, UTC; used for stamps and compared with block timestamps only.
"""

import time
from typing import Protocol

NS = 1_000_000_000
MS = 1_000_000


class Clock(Protocol):
    """Where instants come from; `tocsin.testing.ManualClock` is the other implementation."""

    def monotonic_ns(self) -> int:
        """Nanoseconds of a clock that never steps."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The host's clocks. CLOCK_MONOTONIC does not count suspends: a sleep of the host ages nothing."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()


class EngineClock:
    """Engine time over any clock: monotonic inside a boot, continued from the last journalled instant.

    After a restart the gap is taken from the wall clock; a wall clock that went backwards counts as no gap.
    """

    def __init__(self, clock: Clock, *, last_t_ns: int = 0, last_wall_ns: int = 0) -> None:
        self._clock = clock
        wall = clock.wall_ns()
        gap = max(0, wall - last_wall_ns) if last_t_ns else wall
        self._offset = last_t_ns + gap - clock.monotonic_ns()

    def t_ns(self) -> int:
        """Engine time now."""
        return self._clock.monotonic_ns() + self._offset

    def at(self, monotonic_ns: int) -> int:
        """Engine time of an instant of the underlying monotonic clock."""
        return monotonic_ns + self._offset

    def wall_ns(self) -> int:
        """Wall time now."""
        return self._clock.wall_ns()
