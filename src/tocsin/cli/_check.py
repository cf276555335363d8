"""The line of `tocsin check`: level, the one thing to know, and perfdata."""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.cli._report import Verdict, said_of
from tocsin.cli._words import EXITS, NS, clean, level_of, number, part, rows, say, whole


def nagios(verdict: Verdict, chain: str | None = None) -> tuple[str, int]:
    """Return the line of `tocsin check` (with perfdata, without line break) and the exit code.

    With `chain` the level is that chain's; a name that is not watched is unknown.
    """
    level, reason = verdict.level, verdict.reason
    chains = rows(verdict.document or {}, "chains")
    if chain is not None and verdict.document is not None:
        known = ", ".join(say(row, "name") for row in chains) or "none"
        chains = [row for row in chains if row.get("name") == chain]
        if not chains:
            level, reason = "unknown", f"no chain {clean(chain)!r}; watched: {known}"
        elif verdict.fresh:
            level = level_of(chains[0])
    said = reason if level == "unknown" and reason else _gist(verdict.document or {}, chains, level)
    perf = " ".join(_perfdata(verdict, chains)) if level != "unknown" or chains else ""
    line = f"{level.upper()} - {said.replace('|', '/')}" + (f" | {perf}" if perf else "")
    return clean(line), EXITS[level]


def _gist(document: Mapping[str, Any], chains: list[Mapping[str, Any]], level: str) -> str:
    """Return the one thing to know: the worst alert, or that the nodes agree."""
    names = {say(row, "name") for row in chains} | {f"eip155:{say(row, 'id')}" for row in chains}
    every = len(chains) == len(rows(document, "chains"))
    alerts = [a for a in rows(document, "alerts") if every or say(part(a, "labels"), "chain") in names]
    alerts.sort(key=lambda alert: (-EXITS.get(say(alert, "severity"), 0), say(alert, "fingerprint")))
    if alerts:
        more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
        flapping = "flapping: " if alerts[0].get("flapping") is True else ""
        return flapping + said_of(alerts[0]) + more
    if level != "ok":
        config = "" if part(document, "config").get("ok") is True else "the last reload was refused"
        states = [f"{key} {say(part(document, key), 'state')}" for key in ("broker", "store")]
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
        name = say(row, "name").translate({ord(c): "_" for c in "'=| "})
        behind = [node["behind"] for node in rows(row, "nodes") if whole(node.get("behind")) and not _is_away(node)]
        age_s = number(row.get("head_age_s"))
        if age_s is not None:
            yield f"{name}_head_age={age_s + shift_s:.1f}s;;;0"
        if behind:
            yield f"{name}_lag={max(0, *behind)};;;0"
        if whole(row.get("votes")) and whole(row.get("groups")):
            yield f"{name}_votes={row['votes']};;;0;{row['groups']}"
    if verdict.document is not None:
        total, alerts = verdict.document.get("alerts_total"), rows(verdict.document, "alerts")
        yield f"alerts={total if whole(total) else len(alerts)};;;0"
