"""Published alerts, read back: what is left of an alert when the state that raised it is lost."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson

from tocsin.clock import NS
from tocsin.model.alert import AlertState, Grade, Severity
from tocsin.model.block import BlockRef
from tocsin.model.contract import Pinned
from tocsin.model.event import LostPins, Orphan

_LONGEST = 1 << 14
"""Characters of a value: no list of members is longer."""

OPEN = (AlertState.FIRING, AlertState.UNKNOWN)


def orphans(messages: tuple[tuple[str, bytes], ...]) -> Iterator[Orphan]:
    """Yield the alerts of published messages; one that cannot be read is left to expire on the broker."""
    for fingerprint, payload in messages:
        try:
            yield _orphan(fingerprint, orjson.loads(payload)["data"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def pins(messages: Iterable[bytes]) -> Iterator[LostPins]:
    """Yield what contracts were pinned to by published messages; one that cannot be read says nothing."""
    for payload in messages:
        try:
            message = orjson.loads(payload)
            yield _pins(message["subject"], message["data"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _pins(subject: str, data: dict[str, Any]) -> LostPins:
    namespace, _, chain = data["chain"].partition(":")
    if namespace != "eip155":
        raise ValueError(f"{data['chain']} is no chain")
    baseline = {str(name): _pinned(value) for name, value in data["values"].items() if value["baseline"] is not None}
    return LostPins(chain=int(chain), contract=subject.split("/")[2], address=str(data["address"]), baseline=baseline)


def _pinned(value: dict[str, Any]) -> Pinned:
    at = value["baseline_block"]
    return Pinned(
        value=str(value["baseline"])[:_LONGEST],
        grade=Grade(value["grade"] or Grade.UNCORROBORATED),
        block=BlockRef(number=int(at["number"]), hash=str(at["hash"])),
        by=str(value["accepted_by"] or ""),
        why=str(value["accepted_why"] or ""),
    )


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
