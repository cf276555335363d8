"""What people are told: messages through channels, each about the alerts of one group."""

from dataclasses import dataclass
from enum import StrEnum

from tocsin.model.alert import AlertState, Labels, Severity


class News(StrEnum):
    """What a message says of one alert."""

    FIRING = "firing"
    SEEN = "seen"
    """Somebody acknowledged it. Only channels that take each alert by itself are told."""
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One alert as people are told of it. Times are wall nanoseconds."""

    fingerprint: str
    activation: int
    news: News
    detector: str
    severity: Severity
    state: AlertState
    labels: Labels
    names: Labels = ()
    """Further pairs: what people call the subject."""
    summary: str
    reason: str
    """Why it is told: the reason of the alert, or why nobody heard of it over the broker."""
    started_wall_ns: int
    changed_wall_ns: int
    acked_by: str | None = None

    @property
    def key(self) -> str:
        """Identify one activation of one alert."""
        return f"{self.fingerprint}:{self.activation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message: how many alerts it is about, and the worst of them in full, the worst first."""

    firing: int
    resolved: int
    groups: int
    """More than one where a burst was merged into this message."""
    told: tuple[Told, ...]
    detectors: tuple[tuple[str, int], ...] = ()
    """How many alerts of each detector there are, the most frequent first; not more than a message has room for."""

    @property
    def others(self) -> int:
        """How many alerts it is about that are not told of in full."""
        return self.firing + self.resolved - len(self.told)
