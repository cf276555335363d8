"""What is remembered of alerts between two looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.alerting.silences import Silences
from tocsin.model.alert import AlertState, Finding, Over, Severity, Under
from tocsin.model.settings import AlertRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """A condition that holds without interruption: in how many samples, since when, last counted in which."""

    count: int
    since_ns: int
    sample: int
    blocks: int = 0
    """How many agreed blocks have come meanwhile."""
    height: int | None = None
    """The highest of them; None where none was agreed yet, or nobody looked when it was."""

    def reaches(self, limit: Over | Under, now_ns: int) -> bool:
        """Tell whether it held in enough samples, for long enough and through enough blocks."""
        lasted = now_ns - self.since_ns >= limit.for_ns and self.blocks >= limit.blocks
        return lasted and self.count >= limit.polls


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap:
    """An alert that comes and goes (see `tocsin.alerting.flap`): when its condition turned last, and to what."""

    since_ns: int
    is_clear: bool


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
    muted_by: str | None = None
    """The fingerprint of the alert that covers this one, until it has done so for too long."""
    muted_since_ns: int | None = None
    clear_since_ns: int | None = None
    """Since when it has been clear, where it has to stay so for some time before it resolves."""
    told_ns: int = 0
    """When it was spoken of last, in engine time."""
    said: str = ""
    """The news of its finding when it was spoken of last."""
    reminded: int = 0
    """How often it was said again since it fired, or became worse."""
    flap: Flap | None = None
    was_heard: bool = True
    """Whether any word that it fires was not silenced."""
    is_hushed: bool = False
    """Whether how bad it is was said under a silence only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """All alerts of one scope, by fingerprint; `activations` remembers how often each ever fired."""

    tracked: Mapping[str, Tracked] = field(default_factory=dict)
    activations: Mapping[str, int] = field(default_factory=dict)
    turns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """When each fired and resolved lately, in engine time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a tick happens and what holds then: engine time for durations, wall time for stamps."""

    now_ns: int
    wall_ns: int
    height: int | None = None
    """Of the agreed head, where there is one."""
    rules: AlertRules = AlertRules()  # noqa: RUF009 - frozen
    silences: Silences = Silences()  # noqa: RUF009 - frozen
