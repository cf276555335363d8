"""What people are told, from what was decided: the last stage of each step."""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from tocsin.alerting.matching import Names
from tocsin.alerting.routing import OPEN, Mail, routed
from tocsin.alerting.saying import say
from tocsin.alerting.tracked import Moment, Tracked
from tocsin.engine import silencing
from tocsin.engine.labels import names_of
from tocsin.engine.opened import open_alert, open_alerts
from tocsin.engine.state import EngineState
from tocsin.model.alert import Alert
from tocsin.model.effect import AlertChanged, Effect, Notify
from tocsin.model.event import Booted, ConfigRevised, Event, Ticked, Unheard
from tocsin.model.evolve import evolve
from tocsin.model.settings import Settings


def notified(
    before: EngineState, event: Event, state: EngineState, effects: Sequence[Effect]
) -> tuple[EngineState, tuple[Notify, ...]]:
    """Return the state after people were told of what an event led to, and the messages."""
    if isinstance(event, Booted) and event.notice > state.routing.number:
        state = evolve(state, routing=evolve(state.routing, number=event.notice))
    settings = state.settings
    if settings is None or not (settings.channels or state.routing.channels):
        return state, ()
    alerts = [effect.alert for effect in effects if isinstance(effect, AlertChanged)]
    if not alerts and not _is_due(state, event):
        return state, ()
    mail = _mail(state, settings, event, alerts)
    if state.orphans is not before.orphans and before.orphans:
        mail = evolve(mail, lost=frozenset(orphan.fingerprint for orphan in before.orphans))
    routing, notices = routed(state.routing, settings.channels, mail)
    return evolve(state, routing=routing), notices


def _is_due(state: EngineState, event: Event) -> bool:
    """Tell whether an event without alerts leads to a message: ticks pass the time, and only they do."""
    if isinstance(event, ConfigRevised | Unheard):
        return True
    due_ns = state.routing.due_ns
    return isinstance(event, Ticked) and due_ns is not None and state.t_ns >= due_ns


def _mail(state: EngineState, settings: Settings, event: Event, alerts: Sequence[Alert]) -> Mail:
    silences = silencing.in_force(state, state.wall_ns)
    moment = Moment(now_ns=state.t_ns, wall_ns=state.wall_ns, silences=silences)
    is_news = bool(alerts) or isinstance(event, ConfigRevised | Unheard)
    told = {alert.fingerprint for alert in alerts}
    return Mail(
        now_ns=state.t_ns,
        wall_ns=state.wall_ns,
        site=settings.site,
        silences=silences,
        names=names_of(settings) if is_news else Names(),
        alerts=alerts,
        unheard=tuple(_unheard(state, event, moment)) if isinstance(event, Unheard) else (),
        opened=tuple(_opened(state, moment, told)) if isinstance(event, ConfigRevised) else (),
    )


def _unheard(state: EngineState, event: Unheard, moment: Moment) -> Iterator[Alert]:
    """Yield the alert that reached nobody, if it has not ended meanwhile."""
    tracked = open_alert(state, event.fingerprint)
    if tracked is not None and tracked.activation == event.activation:
        yield _said(event.fingerprint, tracked, moment, event.why)


def _opened(state: EngineState, moment: Moment, told: set[str]) -> Iterator[Alert]:
    """Yield the alerts that are open, but those that something was just said of: for channels that are new."""
    for key, tracked in sorted(open_alerts(state), key=itemgetter(0)):
        if key not in told:
            yield _said(key, tracked, moment, OPEN)


def _said(key: str, tracked: Tracked, moment: Moment, reason: str) -> Alert:
    return say(key, tracked, moment, state=tracked.state, reason=reason)[1]
