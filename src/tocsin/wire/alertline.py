"""One event of the stream as one line for a person. Wary of its input: texts in it may come from a node."""

from collections.abc import Mapping
from typing import Any

from tocsin.units import span_text

_LONGEST = 500
_NS = 10**9


def clean(said: str) -> str:
    """Return text that a terminal prints and does not obey: one line, no control characters, at most 500 long."""
    return "".join(c if c.isprintable() else " " for c in said[:_LONGEST])


def line(event: object, *, timed: bool = True) -> str:
    """Return when (if `timed`), how bad, which alert, what it says and why. Anything gives what of it is an event."""
    envelope = event if isinstance(event, dict) else {}
    inner = envelope.get("data")
    data: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
    labels = data.get("labels")
    pairs = " ".join(f"{key}={value}" for key, value in sorted(labels.items())) if isinstance(labels, dict) else ""
    parts = (
        envelope.get("time") if timed else None,
        str(data.get("severity") or "").upper(),
        data.get("state"),
        data.get("detector") or envelope.get("type"),
        pairs,
        _said(data),
        _marks(data),
        f"({str(data.get('fingerprint'))[:12]})" if data.get("fingerprint") else "",
    )
    return "  ".join(clean(str(part)) for part in parts if part)


def _marks(data: Mapping[str, Any]) -> str:
    """Return why the same alert is told of again, and whether people are."""
    reason, by = data.get("reason"), data.get("acked_by")
    is_news = data.get("state") == "resolved" or reason in (None, "fired", "cleared")
    marks = [] if is_news else [f"acked by {by}" if reason == "acked" and by else str(reason)]
    marks += [mark for mark in ("silenced", "flapping") if data.get(mark) is True and mark != reason]
    marks += ["covered"] if data.get("inhibited_by") else []
    return f"[{', '.join(marks)}]" if marks else ""


def _said(data: Mapping[str, Any]) -> object:
    """Return what an event says. That of one that is over is of the past: for how long it held comes first."""
    summary = data.get("summary")
    if data.get("state") != "resolved":
        return summary
    reason = data.get("reason")
    why = "" if reason in (None, "", "cleared") else f" ({reason})"
    return f"over after {lasted(data)}{why}: {summary or ''}"


def lasted(data: Mapping[str, Any]) -> str:
    """Say for how long an alert held that is over, from the data of its last event."""
    from datetime import datetime  # noqa: PLC0415 - only where something ended

    try:
        began, ended = (datetime.fromisoformat(str(data[key])) for key in ("started_at", "resolved_at"))
        return span_text(int((ended - began).total_seconds()) * _NS)
    except (KeyError, TypeError, ValueError):
        return "an unknown time"
