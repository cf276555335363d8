"""One event of the stream as one line for a person. Wary of its input: texts in it may come from a node."""

from collections.abc import Mapping
from typing import Any

_LONGEST = 500


def clean(said: str) -> str:
    """Return text that a terminal prints and does not obey: one line, no control characters, at most 500 long."""
    return "".join(c if c.isprintable() else " " for c in said[:_LONGEST])


def line(event: object, *, timed: bool = True) -> str:
    """Return when (if `timed`), how bad, which alert, what it says. Anything but an event gives what of it is one."""
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
        data.get("summary"),
        f"({str(data.get('fingerprint'))[:12]})" if data.get("fingerprint") else "",
    )
    return "  ".join(clean(str(part)) for part in parts if part)
