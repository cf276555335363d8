"""How it stands with the broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Link(StrEnum):
    """Whether there is a connection."""

    NONE = "none configured"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DOWN = "down"


@dataclass(slots=True)
class Tally:
    """What happened since the start."""

    connects: int = 0
    sent: int = 0
    """Rows of the stream that the broker took."""
    retained: int = 0
    """Retained messages that the broker took, repetitions included."""
    refused: int = 0
    received: int = 0
    garbage: int = 0
    """Messages on our own topics that are nothing of ours, and on those of peers that are nothing of theirs."""
    corrections: int = 0
    """How often `status` said what was not so."""


@dataclass(slots=True, kw_only=True)
class Contact:
    """The connection as it stands now."""

    link: Link
    since_wall_ns: int
    error: str = ""

    def note(self, link: Link, error: str, wall_ns: int) -> None:
        """Take down how it stands from now on."""
        if link is not self.link:
            self.since_wall_ns = wall_ns
        self.link, self.error = link, error


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The state of the link, for a person and for self-alerts."""

    link: Link
    broker: str
    """Scheme, host and port; empty when none is configured."""
    since_wall_ns: int
    error: str
    """Why it is down, and what to do; empty when it is not."""
    refused: tuple[str, ...]
    """One line for each topic that the broker refuses: what waits there is kept."""
    rival: str
    """The boot id of a second daemon with our name; empty when there is none."""
    tally: Tally
    unheard: int = 0
    """Critical alerts that reached nobody over the broker, since the start."""
    acks: Mapping[str, int] = field(default_factory=dict)
    """Acks of consumers since the start: those believed, and the others by the reason why not."""
