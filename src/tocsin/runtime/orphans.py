"""Published alerts, read back: what is left of an alert when the state that raised it is lost."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson

from tocsin.clock import NS
from tocsin.model.alert import AlertState, Severity
from tocsin.model.event import Orphan

OPEN = (AlertState.FIRING, AlertState.UNKNOWN)


def orphans(messages: tuple[tuple[str, bytes], ...]) -> Iterator[Orphan]:
    """Yield the alerts of published messages; one that cannot be read is left to expire on the broker."""
    for fingerprint, payload in messages:
        try:
            yield _orphan(fingerprint, orjson.loads(payload)["data"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _orphan(fingerprint: str, data: dict[str, Any]) -> Orphan:
    started = datetime.fromisoformat(data["started_at"])
    return Orphan(
        fingerprint=fingerprint,
        detector=str(data["detector"]),
        labels=tuple(sorted((str(key), str(value)) for key, value in data["labels"].items())),
        severity=Severity(data["severity"]).value,
        is_open=data["state"] in OPEN,
        summary=str(data["summary"]),
        activation=int(data["activation"]),
        count=int(data["count"]),
        started_wall_ns=int(started.timestamp()) * NS + started.microsecond * 1000,
    )
