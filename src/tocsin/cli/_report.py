"""What a reader is told: a status document, judged at the moment of reading, and put into words.

Pure, and wary of its input: the document may come from another version or from a disk that failed. What cannot be read
as "all is well" is UNKNOWN, never OK. Texts in it may come from a node, so control characters never reach a terminal.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from tocsin.wire import alertline

clean = alertline.clean

NS = 1_000_000_000
OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
EXITS = {"ok": OK, "warning": WARNING, "critical": CRITICAL, "unknown": UNKNOWN}
SCHEMA = 1
MAX_STALE_S = 3600
"""A document cannot declare itself fresh for longer than this."""

_FAR_H = 1000
"""A disk that will be full in more hours than this is not about to be."""

_QUORUM_GROUPS = 2
"""Fewer groups than this have nobody to contradict them, whatever they say."""

_COLOURS = {"ok": "32", "warning": "33", "critical": "31", "unknown": "35"}


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
    if not _whole(written) or not _whole(stale_s) or not isinstance(level, str) or level not in EXITS:
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
        lines += _own_lines(verdict.document)
        shift_ns = verdict.age_ns or 0
        lines += _chain_lines(verdict.document, shift_ns, colour=colour)
        lines += _alert_lines(verdict.document, now_wall_ns, colour=colour)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def nagios(verdict: Verdict, chain: str | None = None) -> tuple[str, int]:
    """Return the line of `tocsin check` (with perfdata, without line break) and the exit code.

    With `chain` the level is that chain's; a name that is not watched is unknown.
    """
    level, reason = verdict.level, verdict.reason
    chains = rows(verdict.document or {}, "chains")
    if chain is not None and verdict.document is not None:
        known = ", ".join(_str(row, "name") for row in chains) or "none"
        chains = [row for row in chains if row.get("name") == chain]
        if not chains:
            level, reason = "unknown", f"no chain {clean(chain)!r}; watched: {known}"
        elif verdict.fresh:
            level = _level(chains[0])
    said = reason if level == "unknown" and reason else _gist(verdict.document or {}, chains, level)
    perf = " ".join(_perfdata(verdict, chains)) if level != "unknown" or chains else ""
    line = f"{level.upper()} - {said.replace('|', '/')}" + (f" | {perf}" if perf else "")
    return clean(line), EXITS[level]


def _headline(verdict: Verdict, now_wall_ns: int, *, colour: bool) -> str:
    word = paint(verdict.level, colour=colour).ljust(8 + (9 if colour else 0))
    if verdict.document is None:
        return word
    document = verdict.document
    dog = _table(document, "watchdog")
    parts = [f"{_str(dog, 'site')}/{_str(dog, 'name')}", _str(dog, "environment")]
    started = started_ns(dog.get("started_at"))
    if started is not None:
        parts.append(f"up {span(now_wall_ns - started)}")
    parts.append(f"seq {_str(document, 'seq')}")
    if verdict.age_ns is not None:
        parts.append(f"{span(verdict.age_ns)} ago" + (" from the file" if verdict.source == "file" else ""))
    parts.append(f"tocsin {_str(dog, 'version')}")
    return f"{word}  " + "  ".join(part for part in parts if part)


def _own_lines(document: Mapping[str, Any]) -> Iterator[str]:
    config = _table(document, "config")
    if config.get("ok") is True:
        yield f"config    ok  loaded {_str(config, 'loaded_at')}  {_str(config, 'hash')[:12]}"
    else:
        yield "config    the last reload was refused, the old configuration stays:"
        problems = config.get("problems")
        yield from (f"          {clean(line)}" for line in (problems if isinstance(problems, list) else []))
    broker = _table(document, "broker")
    yield f"broker    {_str(broker, 'state')}  {_str(broker, 'outbox')} to send  {_str(broker, 'detail')}"
    store = _table(document, "store")
    if store.get("state") != "ok":
        yield f"store     {_str(store, 'state')}  {_str(store, 'detail')}"
    if peers := rows(document, "peers"):
        yield f"peers     {'; '.join(_peer(row) for row in peers)}"
    yield from _host_lines(_table(document, "host"))
    if bill := [row for row in rows(document, "bill") if _whole(row.get("forecast_calls"))]:
        yield f"asks      {'; '.join(_cost(row) for row in bill)}"


def _host_lines(host: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each kind of thing that is watched of the host."""
    disks = [_disk(row) for row in rows(host, "disks")]
    units = [f"{_str(row, 'unit')} {_str(row, 'active')}" for row in rows(host, "units")]
    certificates = [_certificate(row) for row in rows(host, "certificates")]
    for name, parts in (("disks", disks), ("units", units), ("certs", certificates)):
        if parts:
            yield f"{name:<10}{'; '.join(parts)}"
    if clock := _table(host, "clock"):
        offset = clock.get("offset_ms")
        known = f"within {abs(offset)} ms of {_str(clock, 'usable')} time servers" if _whole(offset) else "unknown"
        troubles = [clean(str(each)) for key in ("problems", "false") for each in clock.get(key) or []]
        yield f"clock     {known}" + (f"  ({'; '.join(troubles)})" if troubles else "")


def _disk(row: Mapping[str, Any]) -> str:
    used, hours = row.get("used_permille"), row.get("full_in_h")
    if not _whole(used):
        return f"{_str(row, 'path')} unknown: {_str(row, 'problem')}"
    filling = f", full in {hours} h" if _whole(hours) and hours < _FAR_H else ""
    return f"{_str(row, 'path')} {used / 10:.0f} %{filling}"


def _certificate(row: Mapping[str, Any]) -> str:
    days, distrust = row.get("days_left"), _str(row, "distrust")
    words = f"{days} days" if _whole(days) else f"unknown: {_str(row, 'problem')}"
    return f"{_str(row, 'endpoint')} {words}" + (f", {distrust}" if row.get("distrust") else "")


def _peer(row: Mapping[str, Any]) -> str:
    """Say how another watchdog stands, and when it spoke last."""
    words = f"{_str(row, 'name')} {_str(row, 'state')}"
    heard_s = _number(row.get("heard_s_ago"))
    return f"{words}, heard {span(int(heard_s * NS))} ago" if heard_s is not None else words


def _cost(row: Mapping[str, Any]) -> str:
    """Say what the nodes of one provider cost a day as things go, and what they may."""
    forecast, units, budget = row.get("forecast_calls"), row.get("forecast_units"), row.get("budget")
    words = f"{_str(row, 'provider')} about {_short(forecast)} calls a day"
    if _whole(budget):
        words += f", {_short(units)} of {_short(budget)} units"
    return words


def _short(count: object) -> str:
    """Say a number to two digits: 86k, 1.2M."""
    if not _whole(count):
        return "?"
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f}{unit}" if count < 10 * size else f"{count // size}{unit}"
    return str(count)


def _chain_lines(document: Mapping[str, Any], shift_ns: int, *, colour: bool) -> Iterator[str]:
    yield ""
    for row in rows(document, "chains"):
        head, final = _table(row, "head"), _table(row, "finalized")
        height = f"head {_str(head, 'number')}" if head else "no agreed head"
        age_s = _number(row.get("head_age_s"))
        aged = f"{span(int(age_s * NS) + shift_ns)} old" if age_s is not None else ""
        votes = f"{_str(row, 'votes')} of {_str(row, 'groups')} groups agree, {_str(row, 'voting_groups')} vote"
        finalized = f"finalized {_str(final, 'number')}" if final else ""
        level = paint(_level(row), colour=colour)
        parts = [_str(row, "name"), level, height, aged, finalized, _grade(row), votes]
        yield "  ".join(part for part in parts if part)
        yield from table([_NODE_HEAD, *(_node_cells(node) for node in rows(row, "nodes"))])
        if beacons := rows(row, "beacons"):
            yield from table([_BEACON_HEAD, *(_beacon_cells(beacon) for beacon in beacons)])
        yield from _trial_lines(row)
        yield from _surplus_lines(row)
        yield ""


def _trial_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line about the detectors that are on trial on a chain, if there are any."""
    trials = rows(row, "detectors")
    if not trials:
        return
    counts = {word: sum(trial.get("trust") == word for trial in trials) for word in ("observe", "warn")}
    said = {"observe": "observed", "warn": "warn at most"}
    parts = [f"{count} {said[word]}" for word, count in counts.items() if count]
    suspects = [_str(trial, "id") for trial in trials if trial.get("suspected_wall_ns") is not None]
    found = [f"{_str(trial, 'id')} {trial['since_cases']}" for trial in trials if _counts(trial.get("since_cases"))]
    line = "  detectors on trial: " + ", ".join(parts)
    line += f"; would have fired: {', '.join(found)}" if found else ""
    yield line + (f"; suspected: {', '.join(suspects)}" if suspects else "")


def _surplus_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line where nodes show more headers than are kept."""
    forgotten = _table(row, "tree").get("forgotten")
    if _counts(forgotten):
        yield f"  {forgotten} headers dropped unseen: a node shows more than any chain has"


def _counts(value: object) -> bool:
    return _whole(value) and value > 0


def _grade(row: Mapping[str, Any]) -> str:
    """Return how the head is known, with what that rests on."""
    grade, groups = _str(row, "grade"), row.get("groups")
    if grade == "uncorroborated" and _whole(groups) and groups < _QUORUM_GROUPS:
        return f"{grade} by configuration"
    why = "; ".join(_str(row, key) for key in ("explanation", "assumption") if row.get(key))
    return f"{grade} ({why})" if why else grade


_BEACON_HEAD = ("beacon node", "state", "slot", "final epoch", "peers", "latency", "polls", "reasons")


def _beacon_cells(beacon: Mapping[str, Any]) -> tuple[str, ...]:
    latency, reasons = _number(beacon.get("latency_ms")), beacon.get("reasons")
    return (
        *(_str(beacon, key) for key in ("name", "state", "slot", "finalized_epoch", "peers")),
        "-" if latency is None else f"{latency:.0f} ms",
        _str(beacon, "polls"),
        ", ".join(clean(str(reason)) for reason in (reasons if isinstance(reasons, list) else [])),
    )


_NODE_HEAD = ("node", "state", "head", "behind", "latency", "polls", "reasons")


def _node_cells(node: Mapping[str, Any]) -> tuple[str, ...]:
    behind, behind_s = node.get("behind"), _number(node.get("behind_s"))
    lag = "-" if behind is None else clean(str(behind)) + (f" ({behind_s:g} s)" if behind and behind_s else "")
    latency = _number(node.get("latency_ms"))
    reasons = node.get("reasons")
    return (
        _str(node, "name"),
        _str(node, "state"),
        _str(node, "head"),
        lag,
        "-" if latency is None else f"{latency:.0f} ms",
        _str(node, "polls"),
        ", ".join(clean(str(reason)) for reason in (reasons if isinstance(reasons, list) else [])),
    )


def _alert_lines(document: Mapping[str, Any], now_wall_ns: int, *, colour: bool) -> Iterator[str]:
    alerts = rows(document, "alerts")
    yield f"alerts {len(alerts)}" if alerts else "no alerts"
    for alert in alerts:
        since = alert.get("since_wall_ns")
        age = f"for {span(now_wall_ns - since)}" if _whole(since) else ""
        acked = f"acked by {_str(alert, 'acked_by')}" if alert.get("acked_by") else ""
        labels = alert.get("labels")
        pairs = " ".join(f"{k}={v}" for k, v in sorted(labels.items())) if isinstance(labels, dict) else ""
        severity = paint(_str(alert, "severity"), colour=colour)
        heading = [severity, _str(alert, "state"), _str(alert, "detector"), clean(pairs), age, acked]
        yield "  " + "  ".join(part for part in heading if part)
        yield f"    {_str(alert, 'summary')}  (ack {_str(alert, 'fingerprint')[:12]})"


def _gist(document: Mapping[str, Any], chains: list[Mapping[str, Any]], level: str) -> str:
    """Return the one thing to know: the worst alert, or that the nodes agree."""
    names = {_str(row, "name") for row in chains} | {f"eip155:{_str(row, 'id')}" for row in chains}
    every = len(chains) == len(rows(document, "chains"))
    alerts = [a for a in rows(document, "alerts") if every or _str(_table(a, "labels"), "chain") in names]
    alerts.sort(key=lambda alert: (-EXITS.get(_str(alert, "severity"), 0), _str(alert, "fingerprint")))
    if alerts:
        more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
        return _str(alerts[0], "summary") + more
    if level != "ok":
        config = "" if _table(document, "config").get("ok") is True else "the last reload was refused"
        states = [f"{key} {_str(_table(document, key), 'state')}" for key in ("broker", "store")]
        return ", ".join([part for part in (config, *states) if part])
    nodes = [node for row in chains for node in rows(row, "nodes")]
    away = sum(_is_away(node) for node in nodes)
    counted = f"{len(chains)} chain{'s' * (len(chains) != 1)}, {len(nodes)} node{'s' * (len(nodes) != 1)}"
    return f"{counted}, no alerts" + (f", {away} in maintenance" if away else "")


def _is_away(node: Mapping[str, Any]) -> bool:
    return node.get("state") == "maintenance"


def _perfdata(verdict: Verdict, chains: list[Mapping[str, Any]]) -> Iterator[str]:
    shift_s = (verdict.age_ns or 0) / NS
    for row in chains:
        name = _str(row, "name").translate({ord(c): "_" for c in "'=| "})
        behind = [node["behind"] for node in rows(row, "nodes") if _whole(node.get("behind")) and not _is_away(node)]
        age_s = _number(row.get("head_age_s"))
        if age_s is not None:
            yield f"{name}_head_age={age_s + shift_s:.1f}s;;;0"
        if behind:
            yield f"{name}_lag={max(0, *behind)};;;0"
        if _whole(row.get("votes")) and _whole(row.get("groups")):
            yield f"{name}_votes={row['votes']};;;0;{row['groups']}"
    if verdict.document is not None:
        yield f"alerts={len(rows(verdict.document, 'alerts'))};;;0"


def table(cells: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield lines with aligned columns, indented by two."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def span(ns: int) -> str:
    """Write a span of time for a person: 6 s, 3 min 12 s, 5 h 04 min, 3 d 04 h."""
    seconds = max(0, ns) // NS
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24:02} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    return f"{minutes} min {seconds % 60:02} s" if minutes else f"{seconds} s"


def started_ns(stamp: object) -> int | None:
    """Return the wall nanoseconds of `started_at`, which is RFC 3339 or already a number; None when it is neither."""
    if _whole(stamp):
        return int(str(stamp))
    if not isinstance(stamp, str):
        return None
    from datetime import datetime  # noqa: PLC0415 - only where a stamp has to be read

    try:
        instant = datetime.fromisoformat(stamp)
        return int(instant.timestamp()) * NS if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None


def paint(level: str, *, colour: bool) -> str:
    """Return the level as a word in capitals, in its colour where colours are wanted."""
    word = level.upper()
    return f"\x1b[{_COLOURS[level]}m{word}\x1b[0m" if colour and level in _COLOURS else word


def rows(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the tables in the list at `key`; what is no table is left out."""
    value = document.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _str(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "-" if value is None else clean(str(value))


def _level(row: Mapping[str, Any]) -> str:
    level = row.get("level")
    return level if isinstance(level, str) and level in EXITS else "unknown"


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15  # noqa: PLR2004
    return float(value) if usable else None  # type: ignore[arg-type]
