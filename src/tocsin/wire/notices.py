"""Messages to people: short, and what somebody needs who was just woken by it.

How bad, what and where come first, since a locked screen shows one line. Then since when, what to do, how many others
there are, and who says so. The words are made with the message and kept with it: a message that is sent again says the
same.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from tocsin.model.alert import AlertState
from tocsin.model.effect import Notify
from tocsin.model.notice import News, Notice, Told
from tocsin.units import span_text
from tocsin.wire.alertline import clean
from tocsin.wire.envelope import Origin, document_message, plain, rfc3339

KIND: Final = "notice"
LONGEST_TITLE: Final = 160
"""Characters: what a phone shows of a notification, and a short message carries."""

_COMES_AGAIN: Final = {
    "changed": "it has changed once more since it was told",
    "reminder": "still so, and nobody has acknowledged it",
    "flapping": "it comes and goes; it counts as firing until it has been quiet",
    "unsilenced": "it was silenced until now",
    "state-lost": "the watchdog lost its state: it may be over",
    "open": "it fired before this channel was set up",
    "refused": "nobody heard of it over MQTT: the broker refused it",
    "late": "nobody heard of it over MQTT: the broker did not take it",
    "nobody": "nobody heard of it over MQTT: no subscriber is there",
}
"""What the reason of an alert adds to its summary, for people."""
_ENDED: Final = {
    "acked": "acknowledged",
    "unconfigured": "it is watched no longer",
    "maintenance": "taken into maintenance",
    "detector-suspect": "its detector is not believed any more",
}
_CUT: Final = "..."
_UNSAID: Final = frozenset({"environment", "provider", "watchdog"})
"""Labels that say nothing to people about where something is, beside others."""
_NS = 10**9


def payload(effect: Notify, origin: Origin, boot: str, *, environment: str, runbook: str) -> bytes:
    """Return a message as a CloudEvents event in JSON: what is kept, and what a webhook is sent.

    `runbook` is where instructions are; `{detector}` in it stands for the detector.
    """
    data = document(effect, origin, environment=environment, runbook=runbook)
    topic = f"{KIND}/{effect.number}"
    return document_message(origin, boot, topic=topic, kind=KIND, wall_ns=effect.wall_ns, data=data).payload


def document(effect: Notify, origin: Origin, *, environment: str, runbook: str) -> dict[str, object]:
    """Return the `data` of a message."""
    notice = effect.notice
    return {
        "number": effect.number,
        "channel": effect.channel,
        "group": effect.group,
        "severity": effect.severity,
        "environment": environment,
        "vantage": origin.vantage,
        "title": title(notice),
        "text": text(effect, origin, environment=environment, runbook=runbook),
        "firing": notice.firing,
        "resolved": notice.resolved,
        "others": notice.others,
        "groups": notice.groups,
        "detectors": [{"detector": name, "alerts": count} for name, count in notice.detectors],
        "alerts": [_alert(told, runbook) for told in notice.told],
    }


def title(notice: Notice) -> str:
    """Return the one line that a locked screen shows: how bad, how many, and what the worst of them is."""
    if not notice.told:
        return f"{notice.firing} alerts, more than can be told"
    worst = notice.told[0]
    is_over = worst.news is News.RESOLVED
    how_bad = "OVER" if is_over else "SEEN" if worst.news is News.SEEN else worst.severity.upper()
    said = f"{_whom(worst)} ({worst.detector})" if is_over else clean(worst.summary)
    return _cut(f"{how_bad}{_many(notice)}: {said}", LONGEST_TITLE)


def _many(notice: Notice) -> str:
    if notice.firing and notice.resolved:
        return f", {notice.firing} firing, {notice.resolved} over"
    count = notice.firing + notice.resolved
    return f", {count} alerts" if count > 1 else ""


def text(effect: Notify, origin: Origin, *, environment: str, runbook: str) -> str:
    """Return what stands below the title."""
    notice = effect.notice
    lines = [*_lines(notice, effect.wall_ns), *_others(notice), *_advice(notice, runbook)]
    lines.append(f"{environment}, seen by {origin.vantage}, {_clock(effect.wall_ns)}")
    return "\n".join(lines)


def _lines(notice: Notice, wall_ns: int) -> Iterator[str]:
    """Yield lines for each alert; the title has said what one that is alone is about."""
    is_said = len(notice.told) == 1 and not title(notice).endswith(_CUT)
    for told in notice.told:
        if told.news is News.RESOLVED:
            lasted = span_text(told.changed_wall_ns - told.started_wall_ns)
            why = f" ({_ENDED[told.reason]})" if told.reason in _ENDED else ""
            yield f"over after {lasted}{why}" + ("" if is_said else f": {_whom(told)} ({told.detector})")
            continue
        if not is_said:
            yield f"{told.severity.upper()}: {clean(told.summary)}"
        since = f"since {_clock(told.started_wall_ns)} ({span_text(wall_ns - told.started_wall_ns)})"
        yield f"{'' if is_said else '  '}{_whom(told)}, {since}"
        yield from (f"{'' if is_said else '  '}{word}" for word in _words(told))


def _words(told: Told) -> Iterator[str]:
    """Yield what is to be known of an alert that fires beside its summary."""
    if told.state is AlertState.UNKNOWN and told.reason != "state-lost":
        yield "there is no data now to tell whether it is still so"
    if told.reason in _COMES_AGAIN:
        yield _COMES_AGAIN[told.reason]
    if told.acked_by:
        yield f"acknowledged by {clean(told.acked_by)}"


def _others(notice: Notice) -> Iterator[str]:
    if notice.others:
        kinds = ", ".join(f"{count} {name}" for name, count in notice.detectors)
        yield f"and {notice.others} more; in all {notice.firing} firing, {notice.resolved} over: {kinds}"


def _advice(notice: Notice, runbook: str) -> Iterator[str]:
    firing = [told for told in notice.told if told.news is News.FIRING]
    for detector in dict.fromkeys(told.detector for told in firing):
        yield f"what to do: {runbook_of(runbook, detector)} (tocsin explain {detector})"
    if firing and firing[0].acked_by is None:
        yield f"take it: tocsin ack {firing[0].fingerprint[:12]}"


def runbook_of(runbook: str, detector: str) -> str:
    """Return where the instructions for a detector are."""
    return runbook.replace("{detector}", detector)


def _whom(told: Told) -> str:
    """Say where something is by the names people use."""
    known = {key: value for key, value in (*told.labels, *told.names) if value}
    said = [value for key, value in known.items() if key not in _UNSAID and key != "chain"]
    said += [known["provider"]] if "provider" in known and "node" not in known else []
    where = f" on {known['chain']}" if "chain" in known and said else ""
    return clean(" ".join(said) + where) or clean(known.get("chain", "") or known.get("watchdog", ""))


def _clock(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(max(0, wall_ns) // _NS, UTC):%d %b %H:%M:%S} UTC"


def _cut(said: str, room: int) -> str:
    return said if len(said) <= room else said[: room - len(_CUT)].rstrip() + _CUT


def _alert(told: Told, runbook: str) -> dict[str, object]:
    return {
        "fingerprint": told.fingerprint,
        "activation": told.activation,
        "news": told.news,
        "detector": told.detector,
        "severity": told.severity,
        "state": told.state,
        "labels": plain(dict(told.labels)),
        "names": plain(dict(told.names)),
        "summary": clean(told.summary),
        "reason": told.reason,
        "started_at": rfc3339(told.started_wall_ns),
        "updated_at": rfc3339(told.changed_wall_ns),
        "acked_by": plain(told.acked_by),
        "runbook": runbook_of(runbook, told.detector),
    }
