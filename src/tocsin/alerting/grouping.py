"""News gathered into messages: at most one per group and interval, and a burst in one.

A group is alerts of one severity that share what the channel groups by. Since severities have groups of their own,
nothing critical ever waits behind what is less. A group that was silent waits for `wait` and is then told of; one that
was told of lately, until `interval` has passed. When more groups are due than the channel may be told of in a minute,
one message tells of all of them. What is silenced when its group is due stays with the group until it is not.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

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
    """One channel while news comes in and messages go out at one moment; `channel()` is what is left to remember."""

    def __init__(self, channel: Channel, settings: ChannelSettings, *, site: str, now_ns: int) -> None:
        self.settings = settings
        self.heard = dict(channel.heard)
        self.now_ns = now_ns
        self._site = site
        self._groups = dict(channel.waiting)
        self._owned: dict[str, dict[str, Told]] = {}
        """News of groups that were touched: copies that may be written to."""
        self._place = {key: name for name, group in channel.waiting.items() for key in group.news}
        self._spoken = dict(channel.spoken)
        self._recent = dict(channel.recent)

    # What comes in.

    def waits(self, key: str) -> bool:
        """Tell whether there is news of an alert that was not told yet."""
        return key in self._place

    def take(self, told: Told) -> None:
        """Gather news; what waited of the same alert is outdated."""
        name = self._group_of(told)
        if self._place.get(told.key, name) != name:
            self.drop(told.key)
        due_ns = self._due_ns(told.severity, name)
        group = self._groups.get(name) or Gathered(severity=told.severity, due_ns=due_ns)
        is_known = told.key in self.heard or told.key in self._place
        is_kept = is_known or len(self.heard) + len(self._place) < MOST_KNOWN
        if is_kept:
            self._news(name)[told.key] = told
            self._place[told.key] = name
        self._groups[name] = evolve(group, due_ns=min(group.due_ns, due_ns), more=group.more + (not is_kept))

    def drop(self, key: str) -> None:
        """Forget what waits of an alert."""
        name = self._place.pop(key, None)
        if name is None:
            return
        news = self._news(name)
        del news[key]
        if not news and not self._groups[name].more:
            del self._groups[name]

    def _news(self, name: str) -> dict[str, Told]:
        if name not in self._owned:
            known = self._groups.get(name)
            self._owned[name] = dict(known.news) if known is not None else {}
        return self._owned[name]

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
            found = [
                (group.due_ns, name)
                for name, group in self._groups.items()
                if group.due_ns <= self.now_ns and group.severity is severity
            ]
            due = [name for _, name in sorted(found)]
            sounding = [name for name in due if not self._is_put_off(name, silences)]
            for names in self._shared_out(sounding, severity):
                yield self._speak(names, severity, silences)

    def _is_put_off(self, name: str, silences: Silences) -> bool:
        """Put a group off that has nothing but silenced news, and tell whether it was."""
        group = self._groups[name]
        news = self._owned.get(name, group.news)
        if not silences.active or group.more or not all(_is_silenced(told, silences) for told in news.values()):
            return False
        self._groups[name] = evolve(group, due_ns=self._later_ns(group.severity))
        return True

    def _later_ns(self, severity: Severity) -> int:
        return self.now_ns + max(MINUTE_NS, self.settings.interval.of(severity))

    def _shared_out(self, due: list[str], severity: Severity) -> Iterable[list[str]]:
        """Return the groups of each message that the channel may get now."""
        if not self.settings.gathers:
            return [[name] for name in due]
        lately = sum(self.now_ns - at < MINUTE_NS for at in self._recent.get(severity, ()))
        room = self.settings.per_minute - lately
        if len(due) <= room:
            return [[name] for name in due]
        return [due] if room > 0 else []

    def _speak(self, names: list[str], severity: Severity, silences: Silences) -> Ready:
        groups = [self._groups.pop(name) for name in names]
        waited = [self._owned.pop(name, group.news) for name, group in zip(names, groups, strict=True)]
        told: list[Told] = []
        for name, news in zip(names, waited, strict=True):
            silenced = {key: one for key, one in news.items() if _is_silenced(one, silences)}
            told += [one for key, one in news.items() if key not in silenced]
            if silenced:
                self._groups[name] = Gathered(severity=severity, due_ns=self._later_ns(severity), news=silenced)
        for one in told:
            self._learn(one)
        if self.settings.gathers:
            self._spoken |= dict.fromkeys(names, self.now_ns + self.settings.interval.of(severity))
            self._recent[severity.value] = (*self._recent.get(severity, ()), self.now_ns)
        group = names[0] if len(names) == 1 else severity.value
        return Ready(group=group, severity=severity, notice=_notice(told, len(names), sum(one.more for one in groups)))

    def _learn(self, told: Told) -> None:
        del self._place[told.key]
        if told.news is News.RESOLVED:
            self.heard.pop(told.key, None)
        else:
            self.heard[told.key] = Heard(severity=told.severity, told_ns=self.now_ns)

    # What is remembered.

    def channel(self) -> Channel:
        """Return what is left to remember of the channel."""
        waiting = {
            name: replace(group, news=self._owned[name]) if name in self._owned else group
            for name, group in self._groups.items()
        }
        recent = {
            severity: kept
            for severity, times in self._recent.items()
            if (kept := tuple([at for at in times if self.now_ns - at < MINUTE_NS]))
        }
        due = [max(group.due_ns, self._free_ns(recent.get(group.severity, ()))) for group in waiting.values()]
        return Channel(
            heard=self.heard,
            waiting=waiting,
            spoken={name: until_ns for name, until_ns in self._spoken.items() if until_ns > self.now_ns},
            recent=recent,
            due_ns=min(due, default=None),
        )

    def _free_ns(self, recent: tuple[int, ...]) -> int:
        """Return when the channel may get one more message."""
        return 0 if len(recent) < self.settings.per_minute else recent[-self.settings.per_minute] + MINUTE_NS


def _is_silenced(told: Told, silences: Silences) -> bool:
    return told.news is News.FIRING and silences.covers(told.detector, told.severity, told.labels)


def _notice(news: Collection[Told], groups: int, more: int) -> Notice:
    """Return the message about some alerts: what fires before what is over, the worst and the oldest first."""
    ordered = sorted(
        news,
        key=lambda told: (told.news is News.RESOLVED, -told.severity.rank, told.started_wall_ns, told.key),
    )
    counts: dict[str, int] = {}
    for told in ordered:
        counts[told.detector] = counts.get(told.detector, 0) + 1
    ended = sum(told.news is News.RESOLVED for told in ordered)
    return Notice(
        firing=len(ordered) - ended + more,
        resolved=ended,
        groups=groups,
        told=tuple(ordered[:MOST_TOLD]),
        detectors=tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MOST_DETECTORS]),
    )
