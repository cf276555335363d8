"""What is remembered of alerts between two looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.model.alert import AlertState, Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """A condition that holds without interruption: in how many subjects, since when, last counted in which."""

    count: int
    since_ns: int
    sample: int

    def reaches(self, polls: int, for_ns: int, now_ns: int) -> bool:
        """Tell whether it held in enough subjects and for long enough."""
        return self.count >= polls and now_ns - self.since_ns >= for_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """One alert that is pending, firing or unknown."""

    finding: Finding
    """The newest reading; `value` 0 for one at rest."""
    state: AlertState
    rising: Mapping[str, Streak] = field(default_factory=dict)
    falling: Streak | None = None
    severity: Severity | None = None
    started_wall_ns: int = 0
    activation: int = 0
    count: int = 0
    acked_by: str | None = None
    muted_since_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """All alerts of one scope, by fingerprint; `activations` remembers how often each ever fired."""

    tracked: Mapping[str, Tracked] = field(default_factory=dict)
    activations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a tick happens: engine time for durations, wall time for stamps."""

    now_ns: int
    wall_ns: int
