"""What a reader is told: a status document, judged at the moment of reading, and put into words.

Pure, and wary of its input: the document may come from another version or from a disk that failed. What cannot be read
as "all is well" is UNKNOWN, never OK. Texts in it may come from a node, so control characters never reach a terminal.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.cli import _silences
from tocsin.cli._chains import chain_lines
from tocsin.cli._own import own_lines
from tocsin.cli._words import EXITS, NS, clean, number, paint, part, rows, say, span, started_ns, whole

SCHEMA = 1
MAX_STALE_S = 3600
"""A document cannot declare itself fresh for longer than this."""


class Verdict:
    """What a reader concludes. `source`: socket, file or none; `reason` says why it is unknown or second-hand.

    `fresh`: the document speaks for now, so its parts may be judged one by one.
    """

    __slots__ = ("age_ns", "document", "fresh", "level", "reason", "source")

    def __init__(
        self,
        *,
        level: str,
        reason: str,
        source: str,
        document: Mapping[str, Any] | None,
        age_ns: int | None,
        fresh: bool,
    ) -> None:
        self.level = level
        self.reason = reason
        self.source = source
        self.document = document
        self.age_ns = age_ns
        self.fresh = fresh

    @property
    def exit(self) -> int:
        """0 ok, 1 warning, 2 critical, 3 unknown."""
        return EXITS[self.level]


def unknown(reason: str, source: str = "none", document: Mapping[str, Any] | None = None) -> Verdict:
    """Return the verdict for everything that cannot be judged."""
    return Verdict(level="unknown", reason=clean(reason), source=source, document=document, age_ns=None, fresh=False)


def judge(document: object, *, source: str, now_wall_ns: int, note: str = "") -> Verdict:
    """Judge a status document by its schema and its age. `note` goes with a verdict that stands on second-hand news."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        schema = document.get("schema") if isinstance(document, dict) else None
        return unknown(f"the status has schema {schema!r}, this program reads {SCHEMA}: use one version", source)
    written, stale_s, level = document.get("written_wall_ns"), document.get("stale_after_s"), document.get("level")
    if not whole(written) or not whole(stale_s) or not isinstance(level, str) or level not in EXITS:
        return unknown("the status is not a status document", source)
    limit_ns = min(stale_s, MAX_STALE_S) * NS
    age_ns = now_wall_ns - written
    problem = ""
    if age_ns > limit_ns:
        problem = f"the status is {span(age_ns)} old, too old after {span(limit_ns)}: the daemon hangs or is gone"
    elif -age_ns > limit_ns:
        problem = f"the status is from {span(-age_ns)} in the future: the clock was set back"
    elif document.get("late"):
        problem = f"the daemon is stuck: no progress of {clean(str(document['late']))}"
    reason = "; ".join(part for part in (clean(note), problem) if part)
    return Verdict(
        level="unknown" if problem else level,
        reason=reason,
        source=source,
        document=document,
        age_ns=max(age_ns, 0),
        fresh=not problem,
    )


def envelope(verdict: Verdict) -> dict[str, Any]:
    """Return what `--json` prints; `docs/reference/cli-status.schema.json` describes it."""
    return {
        "schema": SCHEMA,
        "level": verdict.level,
        "exit": verdict.exit,
        "reason": verdict.reason,
        "source": verdict.source,
        "age_s": None if verdict.age_ns is None else round(verdict.age_ns / NS, 3),
        "status": verdict.document,
    }


def text(verdict: Verdict, *, now_wall_ns: int, colour: bool = False) -> str:
    """Return the page that `tocsin status` shows, with a line break at its end."""
    lines = [_headline(verdict, now_wall_ns, colour=colour)]
    if verdict.reason:
        lines.append(f"          {verdict.reason}")
    if verdict.document is not None:
        lines += own_lines(verdict.document)
        shift_ns = verdict.age_ns or 0
        lines += chain_lines(verdict.document, shift_ns, colour=colour)
        lines += _alert_lines(verdict.document, now_wall_ns, colour=colour)
        lines += _quiet_lines(verdict.document, now_wall_ns)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _headline(verdict: Verdict, now_wall_ns: int, *, colour: bool) -> str:
    word = paint(verdict.level, colour=colour).ljust(8 + (9 if colour else 0))
    if verdict.document is None:
        return word
    document = verdict.document
    dog = part(document, "watchdog")
    parts = [f"{say(dog, 'site')}/{say(dog, 'name')}", say(dog, "environment")]
    started = started_ns(dog.get("started_at"))
    if started is not None:
        parts.append(f"up {span(now_wall_ns - started)}")
    parts.append(f"seq {say(document, 'seq')}")
    if verdict.age_ns is not None:
        parts.append(f"{span(verdict.age_ns)} ago" + (" from the file" if verdict.source == "file" else ""))
    parts.append(f"tocsin {say(dog, 'version')}")
    return f"{word}  " + "  ".join(part for part in parts if part)


def _alert_lines(document: Mapping[str, Any], now_wall_ns: int, *, colour: bool) -> Iterator[str]:
    alerts = rows(document, "alerts")
    by_id = {say(row, "id"): row for row in rows(document, "silences")}
    by_fingerprint = {say(row, "fingerprint"): row for row in alerts}
    total = document.get("alerts_total")
    left_out = total - len(alerts) if whole(total) else 0
    yield _alerts_heading(alerts, left_out)
    for alert in alerts:
        since = alert.get("since_wall_ns")
        age = f"for {span(now_wall_ns - since)}" if whole(since) else ""
        acked = f"acked by {say(alert, 'acked_by')}" if alert.get("acked_by") else ""
        flapping = "flapping" if alert.get("flapping") is True else ""
        labels = alert.get("labels")
        pairs = " ".join(f"{k}={v}" for k, v in sorted(labels.items())) if isinstance(labels, dict) else ""
        severity = paint(say(alert, "severity"), colour=colour)
        heading = [severity, say(alert, "state"), say(alert, "detector"), clean(pairs), age, flapping, acked]
        yield "  " + "  ".join(part for part in heading if part)
        yield f"    {said_of(alert)}  (ack {say(alert, 'fingerprint')[:12]})"
        for one in _silencing(alert):
            yield f"    silenced {_silences.whose(by_id.get(one, {}))} ({one})"
        if covering := alert.get("inhibited_by"):
            yield f"    covered by {_covering(clean(str(covering)), by_fingerprint)}"


def said_of(alert: Mapping[str, Any]) -> str:
    """Return the summary of an alert; of one that is well at the moment, that it is, since the summary is of before."""
    well_s = number(alert.get("well_s"))
    summary = say(alert, "summary")
    return summary if well_s is None else f"well for {span(int(well_s * NS))}; before: {summary}"


def _alerts_heading(alerts: list[Mapping[str, Any]], left_out: int) -> str:
    """Say how many alerts are open, and how many of those that follow nobody is told of, or somebody has seen."""
    marks = {
        "silenced": sum(bool(_silencing(alert)) for alert in alerts),
        "acknowledged": sum(bool(alert.get("acked_by")) for alert in alerts),
        "flapping": sum(alert.get("flapping") is True for alert in alerts),
    }
    counted = [f"{count} {word}" for word, count in marks.items() if count]
    heading = f"alerts {len(alerts) + left_out}" if alerts else "no alerts"
    if left_out > 0:
        heading += f", the worst {len(alerts)} of them"
    return f"{heading} ({', '.join(counted)})" if counted else heading


def _silencing(alert: Mapping[str, Any]) -> list[str]:
    """Return the ids of the silences that an alert is under."""
    ids = alert.get("silenced_by")
    return [clean(str(one)) for one in ids] if isinstance(ids, list) else []


def _covering(fingerprint: str, alerts: Mapping[str, Mapping[str, Any]]) -> str:
    """Name the alert that covers another one, by its detector where it is known."""
    found = alerts.get(fingerprint)
    return f"{say(found, 'detector')} ({fingerprint[:12]})" if found is not None else fingerprint[:12]


def _quiet_lines(document: Mapping[str, Any], now_wall_ns: int) -> Iterator[str]:
    """Yield the silences, and the nodes that are in maintenance, where there are any."""
    if silences := rows(document, "silences"):
        later = sum(row.get("active") is False for row in silences)
        yield f"silences {len(silences) - later}" + (f", {later} to come" if later else "")
        yield from _silences.listed(document, now_wall_ns)
    windows = [
        (chain, node, window)
        for chain in rows(document, "chains")
        for node in (*rows(chain, "nodes"), *rows(chain, "beacons"))
        if (window := part(node, "maintenance"))
    ]
    if windows:
        yield f"in maintenance {len(windows)}"
    for chain, node, window in windows:
        name = f"{say(chain, 'name')}/{say(node, 'name')}"
        yield f"  {name}  {_silences.whose(window)}"
        yield f"    to end it: tocsin maintenance node {name} --end"
