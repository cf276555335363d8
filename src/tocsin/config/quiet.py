"""Tables that say how alerts are spoken of: reminders and flapping, silences, weekly windows."""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated

from pydantic import Field, model_validator

from tocsin.alerting.matching import Sign, may_mean, parse
from tocsin.config.documents import Document
from tocsin.config.locate import Path
from tocsin.config.problems import Problems
from tocsin.config.table import Table
from tocsin.config.times import DAY_MINUTES, Instant, Match, MinuteOfDay, Weekday, Words, Zone
from tocsin.config.values import Duration, Listed, Name, Within
from tocsin.engine.silencing import LONGEST_NS
from tocsin.model.settings import AlertRules
from tocsin.model.silence import Silence, WeeklyWindow
from tocsin.units import DurationNs

Gaps = Annotated[tuple[Annotated[Duration, Within("1m", "30d")], ...], Field(max_length=16), Listed]

_RULES = AlertRules()


def _gaps(ns: Iterable[int]) -> tuple[DurationNs, ...]:
    return tuple(DurationNs(gap) for gap in ns)


class AlertsTable(Table):
    """What holds for all alerts."""

    remind_critical_ns: Gaps = Field(_gaps(_RULES.remind_critical_ns), alias="remind_critical")
    """Gaps after which a firing alert that nobody acknowledged is said again; the last one for ever. None for never."""
    remind_warning_ns: Gaps = Field(_gaps(_RULES.remind_warning_ns), alias="remind_warning")
    """The same of warnings."""
    remind_info_ns: Gaps = Field((), alias="remind_info")
    """The same of information."""
    flap_transitions: Annotated[int, Field(ge=0, le=100)] = _RULES.flap_transitions
    """So many firings and ends within `flap_within` make an alert flapping: it is kept firing. 0 for never."""
    flap_within_ns: Annotated[Duration, Within("1m", "1d")] = Field(
        DurationNs(_RULES.flap_within_ns), alias="flap_within"
    )
    """See `flap_transitions`."""
    flap_quiet_ns: Annotated[Duration, Within("1m", "1d")] = Field(DurationNs(_RULES.flap_quiet_ns), alias="flap_quiet")
    """A flapping alert that has not come or gone for so long flaps no more."""

    @model_validator(mode="after")
    def _consistent(self) -> "AlertsTable":
        if self.flap_transitions == 1:
            raise ValueError("flap_transitions is 2 at least, or 0: every alert fires once")
        return self

    def rules(self) -> AlertRules:
        """Return them as the core has them."""
        return AlertRules(**dict(self))


class SilenceTable(Table):
    """Alerts that are marked as silenced for a time; people's channels skip them, the event stream does not."""

    match: Match
    """Which alerts, such as `detector=node.* chain=ethereum severity<=warning`."""
    author: Words
    """Who wants it."""
    reason: Words
    """Why."""
    from_wall_ns: Instant | None = Field(None, alias="from")
    """When it begins. Default: seven days before its end."""
    until_wall_ns: Instant = Field(alias="until")
    """When it ends, seven days after its beginning at the latest."""
    critical: bool = False
    """Whether it is meant for critical alerts too."""

    @model_validator(mode="after")
    def _consistent(self) -> "SilenceTable":
        if not 0 < self.until_wall_ns - self.begins_wall_ns <= LONGEST_NS:
            raise ValueError("a silence ends after it begins, and after seven days at the latest")
        return self

    @property
    def begins_wall_ns(self) -> int:
        """When it begins."""
        return self.until_wall_ns - LONGEST_NS if self.from_wall_ns is None else self.from_wall_ns

    def silence(self, number: int) -> Silence:
        """Return it as the core has it."""
        return Silence(
            id=f"config:{number}",
            match=self.match,
            by=self.author,
            reason=self.reason,
            from_wall_ns=self.begins_wall_ns,
            until_wall_ns=self.until_wall_ns,
            critical=self.critical,
        )


class MaintenanceTable(Table):
    """A silence that comes again every week, by the clock of a place."""

    name: Name
    """Unique."""
    match: Match
    """Which alerts, such as `chain=ethereum`."""
    author: Words
    """Who wants it."""
    reason: Words
    """Why."""
    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7), Listed]
    """On which it begins: mon, tue, wed, thu, fri, sat, sun."""
    from_minute: MinuteOfDay = Field(alias="from")
    """The hour at which it begins."""
    to_minute: MinuteOfDay = Field(alias="to")
    """The hour at which it ends; of the next day, if that is not after `from`."""
    zone: Zone = "UTC"
    """Whose clock, such as Europe/Berlin."""
    critical: bool = False
    """Whether it is meant for critical alerts too."""

    @model_validator(mode="after")
    def _consistent(self) -> "MaintenanceTable":
        if self.from_minute == DAY_MINUTES:
            raise ValueError("begins at 24:00; write 00:00 and the next day")
        if self.from_minute == self.to_minute:
            raise ValueError("ends when it begins; a whole day is from 00:00 to 24:00")
        return self

    def window(self) -> WeeklyWindow:
        """Return it as the core has it."""
        return WeeklyWindow(
            name=self.name,
            match=self.match,
            by=self.author,
            reason=self.reason,
            days=tuple(sorted(set(self.days))),
            from_minute=self.from_minute,
            to_minute=self.to_minute,
            zone=self.zone,
            critical=self.critical,
        )


def warn_of_matches(
    tables: Iterable[tuple[Path, str]], names: Mapping[str, Collection[str]], document: Document, problems: Problems
) -> None:
    """Warn of texts (each with its path) that mean what there is not; `names` are those that there are, by key."""
    for path, text in tables:
        for term in parse(text):
            known = names.get(term.key)
            if not known or term.sign is not Sign.IS or term.choices == ("",):
                continue
            if not any(may_mean(term, name) for name in known):
                where, what = (*path, "match"), "|".join(term.choices)
                problems.warn(document.place(where), where, f"no {term.key} is {what}: it means nothing")
