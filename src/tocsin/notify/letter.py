"""One message as it is kept, opened for those who send it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tocsin.errors import CorruptRecord
from tocsin.model.alert import AlertState, Severity
from tocsin.model.effect import Notify
from tocsin.model.notice import News, Notice, Told
from tocsin.wire.envelope import Origin
from tocsin.wire.notices import payload

TEST = "self.test"
_NO_FINGERPRINT = "0" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be said. `body` is the whole event, as a webhook gets it; the rest is what stands in it."""

    id: str
    """The same however often it is sent: who got it twice knows it by this."""
    body: bytes
    title: str
    text: str
    severity: Severity
    vantage: str
    firing: int
    alerts: Sequence[Mapping[str, Any]]


def opened(body: bytes) -> Letter:
    """Return the letter in a body. Raises CorruptRecord for what is none."""
    try:
        event = orjson.loads(body)
        data = event["data"]
        return Letter(
            id=str(event["id"]),
            body=body,
            title=str(data["title"]),
            text=str(data["text"]),
            severity=Severity(data["severity"]),
            vantage=str(data["vantage"]),
            firing=int(data["firing"]),
            alerts=tuple(dict(alert) for alert in data["alerts"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptRecord(f"a message to people cannot be read: {error!r}") from error


def trial(channel: str, origin: Origin, *, wall_ns: int, environment: str, runbook: str, is_over: bool) -> Letter:
    """Return a message that says of itself that it is a test, or that the test is over."""
    told = Told(
        fingerprint=_NO_FINGERPRINT,
        activation=1,
        news=News.RESOLVED if is_over else News.FIRING,
        detector=TEST,
        severity=Severity.INFO,
        state=AlertState.RESOLVED if is_over else AlertState.FIRING,
        labels=(("channel", channel), ("watchdog", origin.vantage)),
        summary=f"this is a test of the channel {channel}; nothing is wrong",
        reason="fired",
        started_wall_ns=wall_ns,
        changed_wall_ns=wall_ns,
    )
    notice = Notice(firing=int(not is_over), resolved=int(is_over), groups=1, told=(told,), detectors=((TEST, 1),))
    effect = Notify(number=0, channel=channel, group="test", severity=Severity.INFO, wall_ns=wall_ns, notice=notice)
    return opened(payload(effect, origin, f"test{wall_ns}", environment=environment, runbook=runbook))
