"""Which channels of people are told of what, and what each is told.

A channel is told of alerts that it matches, from its floor of severity up, unless they are silenced or another alert
that covers them says all that they do. Whether an alert is over it is told if, and only if, it was told that it fired,
whatever was silenced or configured meanwhile. A fallback channel is told of a critical alert when the broker brought
it to nobody: once of each firing, and when it is over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.alerting.grouping import Channel, Desk, Ready
from tocsin.alerting.matching import Names, sieve
from tocsin.alerting.silences import Silences
from tocsin.model import selftest
from tocsin.model.alert import Alert, AlertState, Severity
from tocsin.model.effect import Notify
from tocsin.model.notice import News, Told
from tocsin.model.settings import ChannelSettings

OPEN = "open"
"""Why a channel is told of an alert that fired before there was the channel."""
_NEW = frozenset({"fired", "raised", "changed", "reminder", "unsilenced", "flapping", "state-lost", OPEN})
"""Reasons of an alert for which somebody is told who knows nothing of it."""
_AGAIN = frozenset({"changed", "unsilenced", "flapping"})
"""Reasons for which somebody is told again."""
_REMINDER = "reminder"
_ACKED = "acked"
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What is remembered of all channels, by name. `number` is the one last used for a message."""

    number: int = 0
    channels: Mapping[str, Channel] = field(default_factory=dict)
    due_ns: int | None = None
    """When one of them has something to be told, in engine time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What is new at a moment.

    `unheard` alerts reached nobody, `opened` ones are news to channels that are new; who was told of those that are
    `lost`, by fingerprint, is not known any more.
    """

    now_ns: int
    wall_ns: int
    site: str
    silences: Silences = Silences()  # noqa: RUF009 - frozen
    names: Names = Names()  # noqa: RUF009 - frozen
    alerts: Sequence[Alert] = ()
    unheard: Sequence[Alert] = ()
    opened: Sequence[Alert] = ()
    lost: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether there is no news."""
        return not (self.alerts or self.unheard or self.opened)


def routed(routing: Routing, channels: Sequence[ChannelSettings], mail: Mail) -> tuple[Routing, tuple[Notify, ...]]:
    """Return the routing after some news, and the messages that are due, the worst first.

    Channels that are configured no longer are forgotten.
    """
    after: dict[str, Channel] = {}
    ready: list[tuple[str, Ready]] = []
    for settings in channels:
        known = routing.channels.get(settings.name)
        if known is not None and mail.is_empty and (known.due_ns is None or mail.now_ns < known.due_ns):
            after[settings.name] = known
            continue
        desk = Desk(known or Channel(), settings, site=mail.site, now_ns=mail.now_ns)
        for told in _news(desk, mail, is_new=known is None):
            desk.take(told)
        ready += [(settings.name, one) for one in desk.flush(mail.silences)]
        after[settings.name] = desk.channel()
    ready.sort(key=lambda one: -one[1].severity.rank)
    notices = tuple(
        Notify(
            number=routing.number + at,
            channel=name,
            group=one.group,
            severity=one.severity,
            wall_ns=mail.wall_ns,
            notice=one.notice,
        )
        for at, (name, one) in enumerate(ready, 1)
    )
    due = [channel.due_ns for channel in after.values() if channel.due_ns is not None]
    return Routing(number=routing.number + len(notices), channels=after, due_ns=min(due, default=None)), notices


def _news(desk: Desk, mail: Mail, *, is_new: bool) -> Iterable[Told]:
    """Yield what is news to a channel; what waits and is none any more is dropped."""
    is_fallback = desk.settings.is_fallback
    for alert in mail.opened if is_new and not is_fallback else ():
        if alert.acked_by is None and _is_meant(alert, desk.settings, mail.names):
            yield _told(alert, News.FIRING, mail.names)
    for alert in mail.alerts:
        news = _news_of(alert, desk, mail)
        if news is not None:
            yield _told(alert, news, mail.names)
    for alert in mail.unheard if is_fallback else ():
        is_known = _key(alert) in desk.heard or desk.waits(_key(alert))
        is_critical = alert.severity is Severity.CRITICAL
        if is_critical and not is_known and _is_meant(alert, desk.settings, mail.names):
            yield _told(alert, News.FIRING, mail.names)


def _news_of(alert: Alert, desk: Desk, mail: Mail) -> News | None:
    """Return what an alert that changed is to a channel, None where that is nothing."""
    key, settings = _key(alert), desk.settings
    heard = desk.heard.get(key)
    if alert.state is AlertState.RESOLVED:
        may_know = alert.fingerprint in mail.lost and _is_meant(alert, settings, mail.names)
        if heard is None:
            desk.drop(key)
        return News.RESOLVED if heard is not None or may_know else None
    if settings.is_fallback or not _is_meant(alert, settings, mail.names):
        return None
    if alert.reason == _ACKED and heard is not None and not desk.waits(key):
        return None if settings.gathers else News.SEEN
    if heard is None:
        return News.FIRING if alert.reason in _NEW or desk.waits(key) else None
    is_worse = alert.severity.rank > heard.severity.rank
    is_again = alert.reason in _AGAIN or (
        alert.reason == _REMINDER and desk.now_ns - heard.told_ns >= settings.repeat.of(alert.severity)
    )
    return News.FIRING if is_worse or is_again or desk.waits(key) else None


def _is_meant(alert: Alert, settings: ChannelSettings, names: Names) -> bool:
    if alert.silenced or alert.inhibited_by is not None or alert.detector == selftest.ID:
        return False
    if alert.severity.rank < settings.floor.rank:
        return False
    return sieve(settings.match).fits(alert.detector, alert.severity, (*alert.labels, *names.of(alert.labels)))


def _key(alert: Alert) -> str:
    return f"{alert.fingerprint}:{alert.activation}"


def _told(alert: Alert, news: News, names: Names) -> Told:
    return Told(
        fingerprint=alert.fingerprint,
        activation=alert.activation,
        news=news,
        detector=alert.detector,
        severity=alert.severity,
        state=alert.state,
        labels=alert.labels,
        names=names.of(alert.labels),
        summary=alert.summary[:_LONGEST],
        reason=alert.reason,
        started_wall_ns=alert.started_wall_ns,
        changed_wall_ns=alert.updated_wall_ns,
        acked_by=alert.acked_by,
    )
