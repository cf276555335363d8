"""Other watchdogs on the same broker: what is heard of them, and how they stand at a tick."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tocsin.model.alert import Labels

PEER = "peer"
"""Label of a watchdog that is watched; `watchdog` is the one that speaks of itself."""


class PeerState(StrEnum):
    """How a peer stands, as its messages tell."""

    UNKNOWN = "unknown"
    """Nothing is concluded: we do not listen, or not for long enough."""
    ALIVE = "alive"
    UNHEARD = "unheard"
    """It has said nothing since we began to listen, for longer than a peer takes to connect again."""
    SILENT = "silent"
    LOST = "lost"
    """The broker misses it."""
    AWAY = "away"
    """It said goodbye."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRecord:
    """What one peer has shown. Times are engine ns; a word counts as live when the broker did not keep it for us."""

    boot: str = ""
    """The life that spoke last."""
    said: str = ""
    """The newest `state` of its status, live or kept."""
    period_ns: int = 0
    """Between two of its heartbeats, 0 until it said so."""
    heard_ns: int | None = None
    """The newest live word that shows it alive."""
    lost_ns: int | None = None
    """Since when the broker says `lost` of the life that spoke last."""
    left_ns: int | None = None
    """Since when it has said goodbye, or since we found its goodbye."""
    has_left_live: bool = False
    """Whether we heard the goodbye itself, not what the broker kept of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersRecord:
    """All peers. `listening` has those whose topics the broker gives us, each since when."""

    listening: Mapping[str, int] = field(default_factory=dict)
    deaf_ns: int | None = None
    """Since when there has been no connection to the broker; None while there is one."""
    unnoticed_ns: int = 0
    """How long a connection that is dead may look alive to us."""
    known: Mapping[str, PeerRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerView:
    """One peer at one tick. `missed` are whole heartbeat periods without a word."""

    name: str
    labels: Labels
    state: PeerState
    seen: PeerRecord
    missed: int = 0
    period_ns: int = 0
    silent_ns: int = 0
    """Since its last word, or since we listen, whichever is shorter."""
    away_ns: int = 0
    """Since its goodbye."""
