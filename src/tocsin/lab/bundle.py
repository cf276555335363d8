"""The bundle of an incident: a recording that `tocsin replay` reads, behind one line of JSON about it.

    {"format":"tocsin-incident","version":1,"digest":"<of what follows>","incident":{...}}
    <a recording, see docs/reference/store.md>

The line is for people and programs (`head -1 bundle | jq .incident`); the recording proves it: the alert's events come
out of a replay byte for byte, or the line says which ones do not.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson

from tocsin import __version__
from tocsin.engine.codec import encode_event
from tocsin.engine.state import EngineState
from tocsin.errors import CorruptRecord, SchemaTooNew, StoreError
from tocsin.ids import digest
from tocsin.lab.incident import Incident, data_of
from tocsin.lab.incident_record import record
from tocsin.lab.replay import Replay
from tocsin.model.alert import Severity
from tocsin.model.effect import AlertChanged
from tocsin.model.event import BeaconPolled, Commanded, ConfigRevised, Polled
from tocsin.model.settings import Settings
from tocsin.store import read_recording
from tocsin.store.chainfile import MAX_PREFACE, PREFACE
from tocsin.wire.envelope import EVIDENCE_LIMIT, Origin, alert_messages, evidence_bytes, rfc3339

VERSION: Final = 1
NOTHING_KEPT: Final[Mapping[str, bytes]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known besides the incident. `shown` is the configuration in force now, without secrets, as TOML."""

    watchdog: str
    exported_wall_ns: int
    margin_ns: int
    config_hash: str
    shown: str
    missing: tuple[str, ...] = ()
    """What of the journal is not there, in words."""


@dataclass(slots=True)
class _Seen:
    """What one replay of the recording tells."""

    payloads: dict[int, bytes] = field(default_factory=dict)
    settings: Settings | None = None
    """In force when the alert last changed, or at the end where it never does."""
    began_wall_ns: int | None = None
    evidence: dict[str, object] = field(default_factory=dict)
    answers: dict[str, object] = field(default_factory=dict)
    commands: list[dict[str, object]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    first_wall_ns: int | None = None
    last_wall_ns: int | None = None
    events: int = 0


def document(
    incident: Incident, around: Around, recording: Path | None, kept: Mapping[str, bytes] = NOTHING_KEPT
) -> dict[str, object]:
    """Return what the bundle says of an incident; `kept` is evidence by digest, which the recording may not have.

    Raises StoreError when the recording cannot be read.
    """
    own = [data_of(told) for told in incident.own]
    wanted = frozenset(_digests([data["evidence"] for data in own]))
    seen = _replayed(recording, incident, wanted) if recording is not None else _Seen()
    reference = f"{around.watchdog.replace('/', '-')}-{incident.fingerprint[:12]}-{incident.activation}"
    began_at = None if seen.began_wall_ns is None else rfc3339(seen.began_wall_ns)
    return {
        "reference": reference,
        "alert": _alert(own),
        "exported_at": rfc3339(around.exported_wall_ns),
        "exported_by": f"tocsin {__version__} of {around.watchdog}",
        "record": record(
            reference, own, began_at=began_at, settings=seen.settings, actions=[*_acks(own), *seen.commands]
        ),
        "timeline": list(_timeline(incident)),
        "left_out": incident.left_out,
        "events": [orjson.loads(told.payload) for told in incident.own],
        "others": [orjson.loads(told.payload) for told in incident.others],
        "evidence": {**{name: orjson.loads(whole) for name, whole in kept.items()}, **seen.evidence},
        "answers": seen.answers,
        "configuration": _configuration(seen.settings, around),
        "recording": _recording(incident, around, recording, seen),
    }


def _replayed(recording: Path, incident: Incident, wanted: frozenset[str]) -> _Seen:
    """Replay the recording; one that cannot be replayed to its end is worth having all the same."""
    seen, replay = _Seen(), Replay(path=recording)
    try:
        _follow(replay, incident, wanted, seen)
    except CorruptRecord as error:
        seen.warnings.append(f"it cannot be replayed to its end: {str(error).removeprefix(f'{recording}: ')}")
    seen.warnings += replay.warnings
    seen.events, seen.first_wall_ns, seen.last_wall_ns = replay.events, replay.first_wall_ns, replay.last_wall_ns
    return seen


def _follow(replay: Replay, incident: Incident, wanted: frozenset[str], seen: _Seen) -> None:
    known: Settings | None = None
    for event, done in replay.steps():
        known = done.state.settings or known
        if wanted and isinstance(event, Polled | BeaconPolled):
            seen.answers |= _answers(event, wanted)
        if isinstance(event, Commanded):
            seen.commands.append(_command(event))
        for effect in done.effects:
            if isinstance(effect, AlertChanged) and _is_own(effect, incident):
                seen.settings = known
                _note(seen, effect, done.state)
    seen.settings = seen.settings or known


def _is_own(effect: AlertChanged, incident: Incident) -> bool:
    return (effect.alert.fingerprint, effect.alert.activation) == (incident.fingerprint, incident.activation)


def _note(seen: _Seen, effect: AlertChanged, state: EngineState) -> None:
    settings, alert = state.settings, effect.alert
    if settings is None:
        return
    origin = Origin(site=settings.site, watchdog=settings.watchdog)
    seen.payloads[effect.seq] = alert_messages(effect, origin)[0].payload
    whole = evidence_bytes(alert)
    if len(whole) > EVIDENCE_LIMIT:
        seen.evidence[digest(whole)] = orjson.loads(whole)
    if alert.reason == "fired":
        seen.began_wall_ns = _began(state, alert.fingerprint, alert.severity)


def _began(state: EngineState, fingerprint: str, severity: Severity) -> int | None:
    """Return the wall time of the first reading of the streak that an alert fired for."""
    scopes = [state.alerts, *(chain.alerts for chain in state.chains.values())]
    tracked = next((scope.tracked[fingerprint] for scope in scopes if fingerprint in scope.tracked), None)
    streak = tracked.rising.get(severity) if tracked is not None else None
    return None if streak is None else state.wall_ns - (state.t_ns - streak.since_ns)


def _command(event: Commanded) -> dict[str, object]:
    return {"at": rfc3339(event.wall_ns), "by": event.by, "what": event.verb, "args": dict(event.args)}


def _acks(own: list[Mapping[str, Any]]) -> Iterator[dict[str, object]]:
    for data in own:
        if data["reason"] == "acked" and data["state"] != "resolved":
            yield {"at": data["updated_at"], "by": data["acked_by"], "what": "acknowledged", "args": {}}


def _alert(own: list[Mapping[str, Any]]) -> dict[str, object]:
    last = own[-1]
    keys = ("fingerprint", "activation", "detector", "severity", "state", "labels", "summary", "grade", "vantage")
    return {key: last[key] for key in (*keys, "runbook", "started_at", "updated_at", "resolved_at")}


def _timeline(incident: Incident) -> Iterator[dict[str, object]]:
    own = {told.seq for told in incident.own}
    for told in sorted((*incident.own, *incident.others), key=lambda one: one.seq):
        data = data_of(told)
        keys = ("detector", "labels", "severity", "state", "reason", "summary", "fingerprint", "activation")
        yield {"seq": told.seq, "at": data["updated_at"], "own": told.seq in own, **{key: data[key] for key in keys}}


def _answers(event: Polled | BeaconPolled, wanted: frozenset[str]) -> dict[str, object]:
    """Return the answers of a poll that evidence refers to, by digest."""
    bodies = {_cached_digest(part.result): part.result for part in event.parts if part.result is not None}
    return {name: _text(bodies[name]) for name in wanted & bodies.keys()}


_cached_digest = lru_cache(maxsize=4096)(digest)
"""Several nodes give the same answer, poll after poll."""


def _digests(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _digests(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key == "bodies" and isinstance(item, Mapping):
                yield from (name for name in item.values() if isinstance(name, str))
            else:
                yield from _digests(item)


def _text(body: bytes) -> object:
    """Return an answer as it can stand in JSON: text where it is some, else hex."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"hex": body.hex()}


def _configuration(settings: Settings | None, around: Around) -> dict[str, object]:
    """Return the settings that decided, and the configuration as it is written, where it is still the same."""
    then = settings.config_hash if settings is not None else None
    decided = None
    if settings is not None:
        decided = orjson.loads(encode_event(ConfigRevised(t_ns=0, settings=settings))[0])["settings"]
    is_same = then in (None, around.config_hash)
    return {
        "hash": then or around.config_hash,
        "settings": decided,
        "shown": around.shown if is_same else None,
        "hash_now": around.config_hash,
    }


def _recording(incident: Incident, around: Around, recording: Path | None, seen: _Seen) -> dict[str, object] | None:
    if recording is None:
        return {"missing": list(around.missing), "not_reproduced": [told.seq for told in incident.own]}
    header = read_recording(recording).header
    missing = [*around.missing, *seen.warnings]
    if header.first_wall_ns > incident.started_wall_ns:
        began, since = rfc3339(incident.started_wall_ns), rfc3339(header.first_wall_ns)
        missing.insert(0, f"the alert began at {began}; of the time before {since} the journal has nothing any more")
    differing = [told.seq for told in incident.own if seen.payloads.get(told.seq) != told.payload]
    return {
        "first_at": None if seen.first_wall_ns is None else rfc3339(seen.first_wall_ns),
        "last_at": None if seen.last_wall_ns is None else rfc3339(seen.last_wall_ns),
        "margin_s": around.margin_ns // 10**9,
        "events": seen.events,
        "code": header.origin.code,
        "missing": missing,
        "not_reproduced": differing,
    }


# -- the file


def write(target: Path, about: Mapping[str, object], recording: Path | None) -> None:
    """Write a bundle, all of it or nothing, readable by its owner alone. Raises StoreError."""
    part = target.with_name(f".{target.name}.part")
    body = orjson.dumps(about, option=orjson.OPT_SORT_KEYS)
    head = b'%s,"version":%d,"digest":"%s","incident":' % (PREFACE, VERSION, digest(body).encode())
    try:
        with suppress(FileNotFoundError):
            part.unlink()  # what an earlier try left behind
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(head + body + b"}\n")
            if recording is not None:
                with recording.open("rb") as source:
                    shutil.copyfileobj(source, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
        os.link(part, target)  # unlike a rename it never replaces what is there
    except FileExistsError as error:
        raise StoreError(f"{target}: exists already; choose another name") from error
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def read(path: Path) -> dict[str, Any]:
    """Return what a bundle says of its incident. Raises StoreError, SchemaTooNew, CorruptRecord."""
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_PREFACE)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    return parsed(line, str(path))


def parsed(line: bytes, path: str) -> dict[str, Any]:
    """Return what the first line of a bundle says. Raises StoreError, SchemaTooNew, CorruptRecord."""
    if not line.startswith(PREFACE):
        raise StoreError(f"{path}: is no bundle of an incident; tocsin incident export writes one")
    try:
        head = orjson.loads(line)
        version, about = head["version"], head["incident"]
        is_whole = digest(orjson.dumps(about, option=orjson.OPT_SORT_KEYS)) == head["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRecord(f"{path}: its first line cannot be read: {error}") from error
    if type(version) is not int or version > VERSION:
        raise SchemaTooNew(f"{path}: written in format {version}, this program reads up to {VERSION}; upgrade it")
    if not is_whole or not isinstance(about, dict):
        raise CorruptRecord(f"{path}: its first line does not match its digest")
    return about
