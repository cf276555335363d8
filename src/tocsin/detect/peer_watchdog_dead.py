"""Another watchdog fell silent: what only it watched is watched by nobody.

Its last will comes 10 s after its process died, and 25 s after its host did; three missed heartbeats tell the same
where a broker sends no wills (`tocsin.mqtt.settings.BrokerSettings`; figures: `tocsin.lab.detection.watchers`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Json, Limits, Over
from tocsin.model.peer import PeerState, PeerView
from tocsin.model.view import SelfView

ID = "peer.watchdog_dead"

_MINUTE_NS = 60 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogDeadParams:
    """`critical` in heartbeats missed in a row; `away`, a warning, in minutes since its goodbye."""

    critical: Over | None = Over(over=3)
    away: Over | None = Over(over=10)


def peer_watchdog_dead(view: SelfView, params: WatchdogDeadParams) -> Iterator[Finding]:
    """Yield one finding per peer that is missed; `value` in heartbeats, or in minutes for one that said goodbye."""
    least = params.critical.over if params.critical is not None else 0
    dead, away = Limits(critical=params.critical), Limits(warning=params.away)
    for peer in view.peers:
        missed = max(peer.missed, least)
        match peer.state:
            case PeerState.LOST:
                yield _finding(view, peer, missed, "heartbeats", dead, "is lost: the broker misses it")
            case PeerState.UNHEARD:
                said = f"has said nothing for {peer.silent_ns // 10**9} s, since we listen"
                yield _finding(view, peer, missed, "heartbeats", dead, said)
            case PeerState.SILENT if peer.missed >= least:
                said = f"has been silent for {peer.silent_ns // 10**9} s"
                yield _finding(view, peer, missed, "heartbeats", dead, said)
            case PeerState.AWAY if params.away is not None and peer.away_ns // _MINUTE_NS >= params.away.over:
                minutes = peer.away_ns // _MINUTE_NS
                said = f"said goodbye {minutes} minutes ago and is not back"
                yield _finding(view, peer, minutes, "minutes", away, said)
            case _:
                pass


def _finding(view: SelfView, peer: PeerView, value: int, unit: str, limits: Limits, said: str) -> Finding:
    return Finding(
        detector=ID,
        labels=peer.labels,
        value=value,
        unit=unit,
        limits=limits,
        sample=view.tick,
        summary=f"the watchdog {peer.name} {said}",
        grade=Grade.UNCORROBORATED,
        evidence=_evidence(peer),
    )


def _evidence(peer: PeerView) -> Json:
    return {
        "state": peer.state.value,
        "said": peer.seen.said,
        "boot": peer.seen.boot,
        "silent_ms": peer.silent_ns // 10**6,
        "period_ms": peer.period_ns // 10**6,
    }


DETECTOR = SelfDetector(id=ID, params=WatchdogDeadParams, run=peer_watchdog_dead)
