"""Finding an incident among what was published: one activation of one alert, and what else changed meanwhile.

It is named by its fingerprint (then the newest activation is meant), by `fingerprint:activation`, or by the id of one
of its events; a prefix of a fingerprint will do where only one alert has it.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tocsin.clock import NS
from tocsin.errors import StoreError
from tocsin.model.selftest import ID as SELF_TEST
from tocsin.store import History, Told
from tocsin.wire.envelope import data_in

MOST_EVENTS: Final = 5000
"""Of the alert itself, and of the others: more would make a file that nobody reads."""

_LOOKED_AT: Final = 10_000
_SHOWN: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FINGERPRINT = re.compile(r"[0-9a-f]{4,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One activation of one alert. Times are wall ns; `ended_wall_ns` is None while it is open."""

    fingerprint: str
    activation: int
    started_wall_ns: int
    ended_wall_ns: int | None
    own: tuple[Told, ...]
    others: tuple[Told, ...]
    """Events of other alerts, and of other activations of this one, between its first and its last."""
    left_out: int = 0
    """Of the others, beyond the most that are taken."""


def wall_ns(text: str) -> int:
    """Return an RFC 3339 time as ns since 1970, exactly. Raises ValueError."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) * 1000


def data_of(told: Told) -> Mapping[str, Any]:
    """Return the data of an event. Raises CorruptRecord."""
    return data_in(told.payload)


def seek(history: History, wanted: str) -> Incident:
    """Return the incident that is named. Raises StoreError, with what may have been meant."""
    fingerprint, activation = _named(history, wanted.strip().lower())
    known = [(int(data_of(told)["activation"]), told) for told in history.of(fingerprint, _LOOKED_AT)]
    activations = sorted({number for number, _ in known})
    chosen = activations[-1] if activation is None else activation
    if chosen not in activations:
        listed = ", ".join(map(str, activations[-_SHOWN:]))
        raise StoreError(f"alert {fingerprint} has no activation {chosen} any more; known are {listed}")
    own = [told for number, told in known if number == chosen][-MOST_EVENTS:]
    first, last = data_of(own[0]), data_of(own[-1])
    is_over = last["state"] == "resolved"
    upto = own[-1].seq if is_over else 2**62
    near = history.between(own[0].seq, upto, _LOOKED_AT)
    mine = {told.seq for told in own}
    others = [told for told in near if told.seq not in mine]
    return Incident(
        fingerprint=fingerprint,
        activation=chosen,
        started_wall_ns=wall_ns(first["started_at"]),
        ended_wall_ns=wall_ns(last["resolved_at"] or last["updated_at"]) if is_over else None,
        own=tuple(own),
        others=tuple(others[:MOST_EVENTS]),
        left_out=max(0, len(others) - MOST_EVENTS),
    )


def _named(history: History, wanted: str) -> tuple[str, int | None]:
    """Return fingerprint and activation, None for the newest one."""
    told = history.named(":".join(wanted.split(":")[-2:])) if ":" in wanted else None
    if told is not None:
        return told.fingerprint, int(data_of(told)["activation"])
    head, colon, tail = wanted.partition(":")
    if not _FINGERPRINT.fullmatch(head) or (colon and not tail.isdecimal()):
        raise StoreError(f"{_short(wanted)} names no incident: {_forms(history, head)}")
    found = history.fingerprints(head, _SHOWN + 1)
    if len(found) > 1:
        listed = ", ".join(found[:_SHOWN])
        raise StoreError(f"{_short(head)} is the beginning of several alerts: {listed}; write more of it")
    if not found:
        raise StoreError(f"no alert {_short(head)} is known: {_forms(history, head)}")
    return found[0], int(tail) if colon else None


def _forms(history: History, wanted: str) -> str:
    """Say how an incident is named, and which ones may have been meant."""
    recent = list(dict.fromkeys(told.fingerprint for told in reversed(history.latest(1000))))
    near = difflib.get_close_matches(wanted, recent, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    if not recent:
        return "nothing was published yet"
    return f"write a fingerprint, fingerprint:activation or an event's id; the newest are {', '.join(recent[:3])}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")  # noqa: PLR2004


def cut(incident: Incident) -> list[str]:
    """Return the digests of evidence that was too long for the incident's own events."""
    found = [data_of(told).get("evidence") for told in incident.own]
    digests = [one.get("digest") for one in found if isinstance(one, Mapping) and one.get("truncated") is True]
    return list(dict.fromkeys(name for name in digests if isinstance(name, str) and _FINGERPRINT.fullmatch(name)))


def span(incident: Incident, margin_ns: int, now_wall_ns: int) -> tuple[int, int]:
    """Return from when to when the journal is wanted; one that is open goes on to this moment."""
    ended = now_wall_ns + NS if incident.ended_wall_ns is None else incident.ended_wall_ns
    return incident.started_wall_ns - margin_ns, ended + margin_ns


def recent(history: History, count: int) -> list[dict[str, object]]:
    """Return the incidents that changed last, the newest first."""
    found: dict[tuple[str, int], dict[str, object]] = {}
    for told in reversed(history.latest(_LOOKED_AT)):
        if len(found) == count:
            break
        data = data_of(told)
        if data["detector"] == SELF_TEST:
            continue
        key = (told.fingerprint, int(data["activation"]))
        found.setdefault(key, _line(data))
    return list(found.values())


def _line(data: Mapping[str, Any]) -> dict[str, object]:
    keys = ("fingerprint", "activation", "detector", "severity", "state", "labels", "summary", "started_at")
    return {**{key: data[key] for key in keys}, "resolved_at": data["resolved_at"]}


# -- over the control socket

_BATCH: Final = 100


def parts(incident: Incident) -> Iterator[dict[str, object]]:
    """Yield an incident in pieces of JSON, none of them large."""
    yield {
        "kind": "incident",
        "fingerprint": incident.fingerprint,
        "activation": incident.activation,
        "started_wall_ns": incident.started_wall_ns,
        "ended_wall_ns": incident.ended_wall_ns,
        "left_out": incident.left_out,
    }
    for whose, told in (("own", incident.own), ("others", incident.others)):
        for at in range(0, len(told), _BATCH):
            rows = [[one.seq, one.id, one.fingerprint, one.payload.decode()] for one in told[at : at + _BATCH]]
            yield {"kind": "events", "whose": whose, "rows": rows}


def joined(pieces: Iterable[Mapping[str, Any]]) -> Incident:
    """Return the incident whose `parts` these are. Raises ValueError, KeyError or TypeError for something else."""
    head: Mapping[str, Any] = {}
    events: dict[str, list[Told]] = {"own": [], "others": []}
    for piece in pieces:
        if piece["kind"] == "incident":
            head = piece
        else:
            events[piece["whose"]] += [
                Told(seq=int(seq), id=str(id_), fingerprint=str(mark), payload=str(payload).encode())
                for seq, id_, mark, payload in piece["rows"]
            ]
    ended = head["ended_wall_ns"]
    return Incident(
        fingerprint=str(head["fingerprint"]),
        activation=int(head["activation"]),
        started_wall_ns=int(head["started_wall_ns"]),
        ended_wall_ns=None if ended is None else int(ended),
        own=tuple(events["own"]),
        others=tuple(events["others"]),
        left_out=int(head["left_out"]),
    )
