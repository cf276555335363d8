"""News gathered into messages: at most one per group and interval, and a burst in one.

A group is alerts of one severity that share what the channel groups by. Since severities have groups of their own,
nothing critical ever waits behind what is less. A group that was silent waits for `wait` and is then told of; one that
was told of lately, until `interval` has passed. When more groups are due than the channel may be told of in a minute,
one message tells of all of them. What is silenced when its group is due stays with the group until it is not.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tocsin.alerting.agenda import Agenda, Agendas
from tocsin.alerting.silences import Silences
from tocsin.model.alert import Severity
from tocsin.model.evolve import evolve
from tocsin.model.notice import News, Notice, Told
from tocsin.model.settings import ChannelSettings

MOST_TOLD = 8
"""Alerts that one message tells of in full: more is read by nobody who was woken by it."""
MOST_DETECTORS = 5
MOST_KNOWN = 20_000
"""Alerts that are remembered of a channel, told or to be told. What is beyond them is counted in messages alone, and
that it is over is not told."""
MINUTE_NS = 60 * 10**9

_WORST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a channel was told of an alert that fires: how bad it is, and when that was."""

    severity: Severity
    told_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """News of one group that waits until `due_ns`, by alert; `more` were too many to be kept."""

    severity: Severity
    due_ns: int
    news: Mapping[str, Told] = field(default_factory=dict)
    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What is remembered of a channel. Times are engine time."""

    heard: Mapping[str, Heard] = field(default_factory=dict)
    """Alerts it was told of, until it is told that they are over."""
    waiting: Mapping[str, Gathered] = field(default_factory=dict)
    """Groups with news that it was not told of yet."""
    spoken: Mapping[str, int] = field(default_factory=dict)
    """Until when groups that were told of lately are not told of again."""
    recent: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """When it got its messages of the last minute, by severity."""
    due_ns: int | None = None
    """When there is something to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A message that is due."""

    group: str
    severity: Severity
    notice: Notice


class Desk:
    """One channel while news comes in and messages go out at one moment; `channel()` is what is left to remember.

    What it costs goes with what is new, not with what is remembered: mappings are copied when they are first written
    to, and what is due is looked up (see `tocsin.alerting.agenda`).
    """

    def __init__(self, channel: Channel, settings: ChannelSettings, *, site: str, now_ns: int) -> None:
        self.settings = settings
        self.heard = channel.heard
        self.now_ns = now_ns
        self._site = site
        self._groups = channel.waiting
        self._written: dict[str, Gathered] | None = None
        """The groups, once they were written to."""
        self._owned: dict[str, dict[str, Told]] = {}
        """News of groups that were touched: copies that may be written to."""
        self._spoken = channel.spoken
        self._recent = dict(channel.recent)
        self._agenda = _agendas.pop(channel) or _agenda_of(channel)

    # What comes in.

    def waits(self, key: str) -> bool:
        """Tell whether there is news of an alert that was not told yet."""
        return key in self._agenda.place

    def take(self, told: Told) -> None:
        """Gather news; what waited of the same alert is outdated."""
        name, place = self._group_of(told), self._agenda.place
        if place.get(told.key, name) != name:
            self.drop(told.key)
        due_ns = self._due_ns(told.severity, name)
        group = self._groups.get(name) or Gathered(severity=told.severity, due_ns=due_ns)
        is_known = told.key in self.heard or told.key in place
        is_kept = is_known or len(self.heard) + len(place) < MOST_KNOWN
        if is_kept:
            self._news(name)[told.key] = told
            place[told.key] = name
        # Where each alert is a group by itself, it may have become worse while it waited to be told of.
        after = evolve(group, severity=told.severity, due_ns=min(group.due_ns, due_ns), more=group.more + (not is_kept))
        self._put(name, after)

    def drop(self, key: str) -> None:
        """Forget what waits of an alert."""
        name = self._agenda.place.pop(key, None)
        if name is None:
            return
        news = self._news(name)
        del news[key]
        if not news and not self._groups[name].more:
            self._remove(name)

    def _news(self, name: str) -> dict[str, Told]:
        if name not in self._owned:
            known = self._groups.get(name)
            self._owned[name] = dict(known.news) if known is not None else {}
        return self._owned[name]

    def _put(self, name: str, group: Gathered) -> None:
        before, groups = self._groups.get(name), self._own_groups()
        groups[name] = group
        if before is None or (before.severity, before.due_ns) != (group.severity, group.due_ns):
            self._agenda.note(group.severity, group.due_ns, name)

    def _remove(self, name: str) -> Gathered:
        self._owned.pop(name, None)
        return self._own_groups().pop(name)

    def _own_groups(self) -> dict[str, Gathered]:
        if self._written is None:
            self._groups = self._written = dict(self._groups)
        return self._written

    def _group_of(self, told: Told) -> str:
        if not self.settings.gathers:
            return told.fingerprint
        known = {"site": self._site, "detector": told.detector, **dict(told.labels), **dict(told.names)}
        return " ".join([told.severity.value, *(f"{key}={known.get(key, '')}" for key in self.settings.group_by)])

    def _due_ns(self, severity: Severity, name: str) -> int:
        if not self.settings.gathers:
            return self.now_ns
        until_ns = self._spoken.get(name)
        return self.now_ns + self.settings.wait.of(severity) if until_ns is None else max(self.now_ns, until_ns)

    # What goes out.

    def flush(self, silences: Silences) -> Iterator[Ready]:
        """Yield what is due, the worst first."""
        for severity in _WORST_FIRST:
            room = self._room(severity)
            due = self._agenda.due(severity, self.now_ns, self._due_now) if room > 0 else []
            sounding = [name for name in due if not self._is_put_off(name, silences)] if silences.active else due
            is_burst = self.settings.gathers and len(sounding) > room
            for names in [sounding] if is_burst else [[name] for name in sounding]:
                yield self._speak(names, severity, silences)

    def _due_now(self, name: str) -> tuple[Severity, int] | None:
        group = self._groups.get(name)
        return None if group is None else (group.severity, group.due_ns)

    def _room(self, severity: Severity) -> int:
        """Return how many messages a channel that gathers may get now; one tells of all groups that are more."""
        if not self.settings.gathers:
            return 1
        return self.settings.per_minute - sum(self.now_ns - at < MINUTE_NS for at in self._recent.get(severity, ()))

    def _is_put_off(self, name: str, silences: Silences) -> bool:
        """Put a group off that has nothing but silenced news, and tell whether it was."""
        group = self._groups[name]
        news = self._owned.get(name, group.news)
        if group.more or not all(_is_silenced(told, silences) for told in news.values()):
            return False
        self._put(name, evolve(group, due_ns=self._later_ns(group.severity)))
        return True

    def _later_ns(self, severity: Severity) -> int:
        return self.now_ns + max(MINUTE_NS, self.settings.interval.of(severity))

    def _speak(self, names: list[str], severity: Severity, silences: Silences) -> Ready:
        told: dict[str, Told] = {}
        more = 0
        for name in names:
            news = self._owned.get(name, self._groups[name].news)
            silenced = {key: one for key, one in news.items() if _is_silenced(one, silences)} if silences.active else {}
            told |= {key: one for key, one in news.items() if key not in silenced} if silenced else news
            more += self._remove(name).more
            if silenced:
                self._put(name, Gathered(severity=severity, due_ns=self._later_ns(severity), news=silenced))
        self._learn(told)
        if self.settings.gathers:
            until_ns = self.now_ns + self.settings.interval.of(severity)
            self._spoken = {**self._spoken, **dict.fromkeys(names, until_ns)}
            self._agenda.spoke(names, until_ns)
            self._recent[severity.value] = (*self._recent.get(severity, ()), self.now_ns)
        group = names[0] if len(names) == 1 else severity.value
        return Ready(group=group, severity=severity, notice=_notice(told, len(names), more))

    def _learn(self, told: Mapping[str, Told]) -> None:
        """Note what the channel has been told."""
        now = {severity: Heard(severity=severity, told_ns=self.now_ns) for severity in _WORST_FIRST}
        heard = dict(self.heard)
        for key, one in told.items():
            del self._agenda.place[key]
            if one.news is News.RESOLVED:
                heard.pop(key, None)
            else:
                heard[key] = now[one.severity]
        self.heard = heard

    # What is remembered.

    def channel(self) -> Channel:
        """Return what is left to remember of the channel; the desk is done with."""
        for name, news in self._owned.items():
            self._own_groups()[name] = evolve(self._groups[name], news=news)
        recent = {
            severity: kept
            for severity, times in self._recent.items()
            if (kept := tuple([at for at in times if self.now_ns - at < MINUTE_NS]))
        }
        self._agenda.tidy(len(self._groups), len(self._spoken), self._due_now)
        firsts = {one: self._agenda.first(one, self._due_now) for one in _WORST_FIRST}
        due = [max(at, self._free_ns(recent.get(one, ()))) for one, at in firsts.items() if at is not None]
        after = Channel(
            heard=self.heard,
            waiting=self._groups,
            spoken=self._agenda.unspoken(self._spoken, self.now_ns),
            recent=recent,
            due_ns=min(due, default=None),
        )
        _agendas.keep(after, self._agenda)
        return after

    def _free_ns(self, recent: tuple[int, ...]) -> int:
        """Return when the channel may get one more message."""
        return 0 if len(recent) < self.settings.per_minute else recent[-self.settings.per_minute] + MINUTE_NS


def _agenda_of(channel: Channel) -> Agenda:
    return Agenda(
        place={key: name for name, group in channel.waiting.items() for key in group.news},
        groups=[(group.severity, group.due_ns, name) for name, group in channel.waiting.items()],
        spoken=channel.spoken,
    )


_agendas: Agendas[Channel] = Agendas()


def _is_silenced(told: Told, silences: Silences) -> bool:
    return told.news is News.FIRING and silences.covers(told.detector, told.severity, told.labels)


def _notice(news: Mapping[str, Told], groups: int, more: int) -> Notice:
    """Return the message about some alerts: what fires before what is over, the worst and the oldest first."""

    def place(item: tuple[str, Told]) -> tuple[bool, int, int, str]:
        key, told = item
        return told.news is News.RESOLVED, -told.severity.rank, told.started_wall_ns, key

    counts = Counter([told.detector for told in news.values()])
    ended = sum([told.news is News.RESOLVED for told in news.values()])
    return Notice(
        firing=len(news) - ended + more,
        resolved=ended,
        groups=groups,
        told=tuple([told for _, told in heapq.nsmallest(MOST_TOLD, news.items(), key=place)]),
        detectors=tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MOST_DETECTORS]),
    )
