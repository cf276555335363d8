"""Other watchdogs in the core: their words into records, and how each stands at a tick.

Nothing is concluded from silence while we could not have heard anything: without a connection to the broker, in the
first minute of one (whoever lost it with us may still be on the way back), and for a time in which this process stood
still. A last will counts only for the life that spoke last: that of an earlier one may come late.
"""

from collections.abc import Mapping

from tocsin.clock import NS
from tocsin.engine.shown import seconds
from tocsin.engine.state import EngineState
from tocsin.model.alert import Labels, Subject
from tocsin.model.event import PeerHeard, PeersListened
from tocsin.model.evolve import evolve
from tocsin.model.peer import PEER, PeerRecord, PeersRecord, PeerState, PeerView
from tocsin.model.settings import Settings

PERIOD_NS = 10 * NS
"""Between two heartbeats of a peer that does not say (see `tocsin.mqtt.publisher.Timers`)."""

_PERIODS_NS = (NS, 300 * NS)
"""What a peer may claim: who said a day would never be missed."""

UNHEARD_NS = 60 * NS
"""From here on a peer that has said nothing since we listen is missed: after a failure of the broker it comes back
within 30 s of back-off and 10 s of connecting."""

LOST_NS = NS
"""How long `lost` stands before it counts: a peer that connects anew puts it right within a fraction of that."""

_QUIET = 2
_MISSES = 3
_LEAVING = frozenset({"draining", "disconnected"})
_LOST = "lost"


def taken(state: EngineState, event: PeerHeard | PeersListened) -> PeersRecord:
    """Return the record of all peers after an event about them."""
    return _heard(state, event) if isinstance(event, PeerHeard) else _listened(state.peers, event)


def _listened(record: PeersRecord, event: PeersListened) -> PeersRecord:
    if not event.connected:
        deaf_ns = event.t_ns if record.deaf_ns is None else record.deaf_ns
        return evolve(record, listening={}, deaf_ns=deaf_ns)
    listening = {name: record.listening.get(name, event.t_ns) for name in event.peers}
    return evolve(record, listening=listening, deaf_ns=None, unnoticed_ns=event.unnoticed_ns)


def _heard(state: EngineState, event: PeerHeard) -> PeersRecord:
    record = state.peers
    if state.settings is None or event.peer not in state.settings.peers:
        return record  # what was still under way when the configuration changed
    old = record.known.get(event.peer, PeerRecord())
    after = _beaten(old, event) if not event.state else _told(old, event)
    return record if after is old else evolve(record, known={**record.known, event.peer: after})


def _beaten(old: PeerRecord, event: PeerHeard) -> PeerRecord:
    """Take a heartbeat. One that follows a goodbye by less than a period is the last of a life that drains."""
    if event.kept:
        return old
    period_ns = min(max(event.period_ns or PERIOD_NS, _PERIODS_NS[0]), _PERIODS_NS[1])
    is_parting = (
        old.left_ns is not None
        and old.has_left_live
        and event.boot == old.boot
        and event.t_ns - old.left_ns <= period_ns
    )
    if is_parting:
        return evolve(old, heard_ns=event.t_ns)
    is_over = old.lost_ns is not None or old.left_ns is not None or event.boot != old.boot
    said = "" if is_over else old.said
    return PeerRecord(boot=event.boot, said=said, period_ns=period_ns, heard_ns=event.t_ns)


def _told(old: PeerRecord, event: PeerHeard) -> PeerRecord:
    """Take a status."""
    if event.state == _LOST:
        return _missing(old, event)
    if event.state in _LEAVING:
        known = old.left_ns if event.boot == old.boot else None
        return evolve(
            old,
            boot=event.boot,
            said=event.state,
            heard_ns=old.heard_ns if event.kept else event.t_ns,
            lost_ns=None,
            left_ns=event.t_ns if known is None else known,
            has_left_live=not event.kept or (known is not None and old.has_left_live),
        )
    fresh = PeerRecord(boot=event.boot, said=event.state, period_ns=old.period_ns, heard_ns=old.heard_ns)
    return fresh if event.kept else evolve(fresh, heard_ns=event.t_ns)


def _missing(old: PeerRecord, event: PeerHeard) -> PeerRecord:
    if old.boot and event.boot != old.boot and not event.kept:
        return old
    if old.left_ns is not None and event.boot == old.boot:
        return old  # it said goodbye and was ended before it was through
    if event.kept:
        return evolve(old, boot=event.boot, said=event.state, left_ns=None)
    lost_ns = event.t_ns if old.lost_ns is None else old.lost_ns
    return evolve(old, boot=event.boot, said=event.state, lost_ns=lost_ns)


def anew(record: PeersRecord, t_ns: int) -> PeersRecord:
    """Return the record as a new life takes it over: we are deaf until the broker says otherwise."""
    known = {name: evolve(one, heard_ns=None, lost_ns=None) for name, one in record.known.items()}
    return PeersRecord(deaf_ns=t_ns, known=known)


def resumed(record: PeersRecord, t_ns: int, gap_ns: int) -> PeersRecord:
    """Return the record after a time in which this process stood still: nobody was silent meanwhile."""
    return evolve(
        record,
        listening={name: min(t_ns, since + gap_ns) for name, since in record.listening.items()},
        known={
            name: evolve(one, heard_ns=min(t_ns, one.heard_ns + gap_ns)) if one.heard_ns is not None else one
            for name, one in record.known.items()
        },
    )


def kept(record: PeersRecord, settings: Settings) -> PeersRecord:
    """Return what is still watched under a new configuration."""
    return evolve(
        record,
        listening={name: since for name, since in record.listening.items() if name in settings.peers},
        known={name: one for name, one in record.known.items() if name in settings.peers},
    )


# -- at a tick


def labels_of(settings: Settings, peer: str) -> Labels:
    """Return the labels of a peer: without those of this watchdog, so that all who watch it mean one alert."""
    return (("environment", settings.environment), (PEER, peer))


def own_subjects(settings: Settings) -> list[Labels]:
    """Return the labels of all peers."""
    return [labels_of(settings, peer) for peer in settings.peers]


def views(state: EngineState, settings: Settings, t_ns: int) -> tuple[PeerView, ...]:
    """Return how each peer stands at engine time `t_ns`."""
    return tuple([_view(state.peers, name, labels_of(settings, name), t_ns) for name in settings.peers])


def subjects(state: EngineState, views: tuple[PeerView, ...], t_ns: int) -> dict[Labels, Subject]:
    """Return how well each peer is observed: not at all while we cannot hear it."""
    record = state.peers
    is_lost = record.deaf_ns is None or t_ns - record.deaf_ns >= UNHEARD_NS
    return {
        view.labels: Subject(
            sample=None if view.state is PeerState.UNKNOWN else state.tick,
            lost=is_lost and view.name not in record.listening,
        )
        for view in views
    }


def _view(record: PeersRecord, name: str, labels: Labels, t_ns: int) -> PeerView:
    seen, since_ns = record.known.get(name, PeerRecord()), record.listening.get(name)
    period_ns = max(seen.period_ns or PERIOD_NS, record.unnoticed_ns // _MISSES)
    if since_ns is None:
        return PeerView(name=name, labels=labels, state=PeerState.UNKNOWN, seen=seen, period_ns=period_ns)
    silent_ns = max(0, t_ns - max(since_ns, seen.heard_ns or 0))
    missed = silent_ns // period_ns
    return PeerView(
        name=name,
        labels=labels,
        state=_state(seen, since_ns, t_ns, missed),
        seen=seen,
        missed=missed,
        period_ns=period_ns,
        silent_ns=silent_ns,
        away_ns=t_ns - seen.left_ns if seen.left_ns is not None else 0,
    )


def _state(seen: PeerRecord, since_ns: int, t_ns: int, missed: int) -> PeerState:
    has_spoken = seen.heard_ns is not None and seen.heard_ns >= since_ns
    is_settled = has_spoken or t_ns - since_ns >= UNHEARD_NS
    if not is_settled:
        return PeerState.UNKNOWN
    if seen.left_ns is not None:
        return PeerState.AWAY
    if not has_spoken:
        return PeerState.UNHEARD
    if seen.lost_ns is not None and t_ns - seen.lost_ns >= LOST_NS:
        return PeerState.LOST
    return PeerState.SILENT if missed >= _QUIET else PeerState.ALIVE


def rows(state: EngineState, t_ns: int) -> list[dict[str, object]]:
    """Return the peers as the status shows them."""
    settings = state.settings
    return [_row(view, state.peers.listening, t_ns) for view in views(state, settings, t_ns)] if settings else []


def _row(view: PeerView, listening: Mapping[str, int], t_ns: int) -> dict[str, object]:
    seen = view.seen
    return {
        "name": view.name,
        "state": view.state.value,
        "said": seen.said,
        "boot": seen.boot,
        "listening": view.name in listening,
        "heard_s_ago": None if seen.heard_ns is None else seconds(max(0, t_ns - seen.heard_ns)),
    }
