"""Channels of people: which alerts they are told of, how often, and by which way."""

import re
from importlib.util import find_spec
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from tocsin.clock import NS
from tocsin.config.documents import Document
from tocsin.config.problems import Problems
from tocsin.config.secrets import ConfiguredUrl, ConsumerKey
from tocsin.config.table import Table
from tocsin.config.times import Match
from tocsin.config.values import Duration, DurationOrZero, FileName, Listed, Name, Within
from tocsin.model.alert import Severity
from tocsin.model.settings import RUNBOOK, ChannelSettings, PerSeverity
from tocsin.units import DurationNs

ChannelKind = Literal["webhook", "pagerduty", "apprise"]
PAGERDUTY: Final = "https://events.pagerduty.com/v2/enqueue"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}://.")
_HTTP = ("http", "https")
_GATHERING = ("group_by", "group_wait_ns", "group_interval_ns", "per_minute")

Label = Annotated[str, Field(pattern="^[a-z_][a-z0-9_]{0,63}$")]


class ChannelUrl(ConfiguredUrl):
    """Where messages go. Of what is no web address only the scheme is shown: its parts may all be keys."""

    __slots__ = ()

    def _fragments(self) -> list[str]:
        parts = super()._fragments()
        if self.scheme in _HTTP or "@" in self._value:
            return parts
        host = urlsplit(self._value).netloc
        return [*parts, self._value, *([host] if host else [])]

    def __str__(self) -> str:
        return super().__str__() if self.scheme in _HTTP else f"{self.scheme}://***"

    def shown(self) -> object:
        """Return what `config show` prints."""
        if self.source is not None or self.scheme in _HTTP:
            return super().shown()
        return str(self)

    @classmethod
    def checked(cls, value: str, source: object = None) -> "ChannelUrl":
        if value.startswith(("http://", "https://")):
            return super().checked(value, source)  # type: ignore[arg-type]
        try:
            urlsplit(value)
        except ValueError:
            raise ValueError("is not a URL") from None
        if not _SCHEME.match(value) or any(ord(char) <= ord(" ") for char in value):
            raise ValueError(
                "is not a URL; write https://host/path, or for apprise such as mailto://, slack://, tgram://"
            )
        return cls(value, source)  # type: ignore[arg-type]


class ChannelKey(ConsumerKey):
    """What a webhook is signed with, or the integration key of PagerDuty."""

    __slots__ = ()
    origin: ClassVar[str] = f"of PagerDuty it is its integration key; for a webhook {ConsumerKey.origin}"


class NotifyTable(Table):
    """A channel of people: a chat, a pager, a mailbox."""

    name: Name
    """Unique; `status` and `tocsin notify test` name it so."""
    kind: ChannelKind
    """`webhook`: signed JSON; `pagerduty`: its Events API v2; `apprise`: anything that Apprise sends to."""
    url: ChannelUrl | None = None
    """Where it goes; better not in the file itself, if a key stands in it. PagerDuty's own is known."""
    key: ChannelKey | None = None
    """Signs what a webhook gets, of 16 bytes at least; of PagerDuty the integration key. Better not in the file."""
    match: Match = "detector=*"
    """Which alerts, such as `chain=ethereum detector=node.*`."""
    severity: Literal["info", "warning", "critical"] = "warning"
    """The least that it is told of."""
    only: Literal["fallback"] | None = None
    """`fallback`: told of critical alerts only that reached nobody over the broker."""
    group_by: Annotated[tuple[Label, ...], Field(max_length=8), Listed] = ("site", "chain", "detector")
    """Labels, `detector` or `site`: alerts of one severity that share these are told in one message."""
    group_wait_ns: Annotated[DurationOrZero, Within("0s", "1d")] | None = Field(None, alias="group_wait")
    """How long a first alert waits for others. Default: critical 0s, warning 30s, info 1h."""
    group_interval_ns: Annotated[DurationOrZero, Within("0s", "1d")] | None = Field(None, alias="group_interval")
    """The least time between two messages about one group. Default: critical 30s, warning 5m, info 1h."""
    repeat_ns: Annotated[DurationOrZero, Within("0s", "30d")] = Field(DurationNs(0), alias="repeat")
    """The least time until a reminder of the same alert; when there are reminders, [alerts] says."""
    per_minute: Annotated[int, Field(ge=1, le=60)] = 6
    """So many messages of one severity in a minute; what is more is merged into one."""
    timeout_ns: Annotated[Duration, Within("1s", "2m")] = Field(DurationNs(15 * NS), alias="timeout")
    """How long one try may take."""
    ca: FileName | None = None
    """PEM file of the authority that signed the receiver's certificate; the system's own when left out."""
    runbook: Annotated[str, Field(min_length=1, max_length=500)] = RUNBOOK
    """Where people find what to do; `{detector}` in it stands for the detector."""

    @model_validator(mode="after")
    def _consistent(self) -> "NotifyTable":
        if self.kind == "apprise":
            self._check_apprise()
        elif self.key is None:
            what = "signs its messages" if self.kind == "webhook" else "is the integration key"
            raise ValueError(f"a {self.kind} needs a key, which {what}")
        if self.url is None and self.kind != "pagerduty":
            raise ValueError(f"a channel of kind {self.kind} needs a url")
        if self.kind != "apprise" and self.address.scheme not in _HTTP:
            raise ValueError(f"a {self.kind} has a url of http or https; other schemes are for kind apprise")
        if self.ca is not None and self.address.scheme != "https":
            raise ValueError("ca does nothing without https")
        if self.kind == "pagerduty" and self.model_fields_set.intersection(_GATHERING):
            raise ValueError("pagerduty takes each alert by itself: group_* and per_minute do nothing there")
        return self

    def _check_apprise(self) -> None:
        if self.key is not None or self.ca is not None:
            raise ValueError("apprise takes neither key nor ca: all it needs stands in its url")

    @property
    def address(self) -> ChannelUrl:
        """Where it goes."""
        return self.url or ChannelUrl(PAGERDUTY)

    def channel(self) -> ChannelSettings:
        """Return it as the core has it."""
        fresh = ChannelSettings(name=self.name)
        return ChannelSettings(
            name=self.name,
            match=self.match,
            floor=Severity(self.severity),
            group_by=self.group_by,
            wait=_same(self.group_wait_ns, fresh.wait),
            interval=_same(self.group_interval_ns, fresh.interval),
            repeat=_same(self.repeat_ns, fresh.repeat),
            per_minute=self.per_minute,
            gathers=self.kind != "pagerduty",
            is_fallback=self.only == "fallback",
            runbook=self.runbook,
        )


def _same(ns: int | None, default: PerSeverity) -> PerSeverity:
    return default if ns is None else PerSeverity(critical=ns, warning=ns, info=ns)


def check_channels(
    channels: tuple[NotifyTable, ...], document: Document, problems: Problems, *, has_broker: bool
) -> None:
    """Report channels that nothing could go through: without the library, or without a broker to fall back from."""
    for at, channel in enumerate(channels):
        if channel.kind == "apprise" and find_spec("apprise") is None:
            where = ("notify", at, "kind")
            message = "needs Apprise, which is not installed; install it with: pip install 'tocsin[notify]'"
            problems.error(document.place(where), where, message)
        if channel.only and not has_broker:
            where = ("notify", at, "only")
            problems.error(document.place(where), where, "there is no broker to fall back from; write [mqtt]")
