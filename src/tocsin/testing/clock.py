"""Clocks that a test or a simulation moves by hand."""

from tocsin.clock import NS, Clock

_START_WALL_NS = 1_700_000_000 * NS
"""2023-11-14T22:13:20Z: any fixed instant would do."""


class ManualClock:
    """A `tocsin.clock.Clock` that stands still until told to move."""

    def __init__(self, *, monotonic_ns: int = 0, wall_ns: int = _START_WALL_NS) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def wall_ns(self) -> int:
        return self._wall_ns

    def advance(self, *, s: float = 0, ns: int = 0) -> None:
        """Let time pass on both clocks. Raises ValueError for a negative span: monotonic time never goes back."""
        span = round(s * NS) + ns
        if span < 0:
            raise ValueError(f"time does not go back: {span} ns")
        self._monotonic_ns += span
        self._wall_ns += span

    def step_wall(self, *, s: float = 0, ns: int = 0) -> None:
        """Step the wall clock alone, either way, as an administrator or NTP does."""
        self._wall_ns += round(s * NS) + ns


class ScaledClock:
    """A clock that runs `speed` times as fast as another one, and agrees with it at the moment of its making."""

    def __init__(self, base: Clock, *, speed: int) -> None:
        if speed < 1:
            raise ValueError(f"speed {speed} is not 1 or more")
        self._base = base
        self._speed = speed
        self._from_ns = base.monotonic_ns()
        self._wall_from_ns = base.wall_ns()

    def _passed_ns(self) -> int:
        return (self._base.monotonic_ns() - self._from_ns) * self._speed

    def monotonic_ns(self) -> int:
        return self._from_ns + self._passed_ns()

    def wall_ns(self) -> int:
        return self._wall_from_ns + self._passed_ns()
