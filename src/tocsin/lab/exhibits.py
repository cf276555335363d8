"""Evidence in what people have of it: an alert as it was published, several of them, an incident, or just the evidence.

What is read may come from anybody, so that nothing in it is believed: evidence that was too long for its alert counts
only if it has the digest that the alert names.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tocsin.errors import CorruptRecord, StoreError
from tocsin.ids import digest
from tocsin.lab import bundle
from tocsin.store.chainfile import PREFACE

MOST_BYTES: Final = 64 << 20
"""Of what is read: an incident's first line may have thousands of events; the evidence of one alert has some 40 kB."""
_MOST_EVENTS: Final = 20_000
_SHOWN: Final = 120

Find = Callable[[str], bytes | None]
"""Where evidence that was too long for its alert may lie, by digest."""


class NothingToCheck(ValueError):  # noqa: N818 - reads as the condition
    """What is given holds no evidence; the message says what it is instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """Evidence and what it came with. `evidence` is None where it is not to be had; `why` says why."""

    event: str = ""
    detector: str = ""
    subject: str = ""
    summary: str = ""
    evidence: Mapping[str, Any] | None = None
    why: str = ""


def exhibits(data: bytes, find: Find) -> list[Exhibit]:
    """Return the evidence in a file, each once. Raises NothingToCheck."""
    documents = _documents(data)
    kept = {name: value for one in documents for name, value in _kept(one).items()}
    found: dict[str, Exhibit] = {}
    others: dict[str, None] = {}
    for event in (event for one in documents for event in _events(one)):
        one = _exhibit(event, lambda name: _whole(name, kept, find))
        if isinstance(one, str):
            others[one] = None
        else:
            found.setdefault(_mark(one, len(found)), one)
    if not found:
        raise NothingToCheck(_nothing(list(others)))
    return list(found.values())


def _mark(one: Exhibit, at: int) -> str:
    """Return what tells evidence from other evidence: reminders of an alert carry the same."""
    try:
        return digest(orjson.dumps([one.evidence, one.why], option=orjson.OPT_SORT_KEYS))
    except TypeError:  # nested too deep, as whoever checks it will say
        return str(at)


def _nothing(others: list[str]) -> str:
    if others:
        return f"no evidence that can be checked: alerts of {', '.join(others[:5])} carry what was seen, and no proof"
    return "no alert, no incident and no evidence"


# -- what is in a file


def _documents(data: bytes) -> list[Any]:
    """Return the JSON values in a file: one, one a line, or the first line of an incident's bundle."""
    if data.startswith(PREFACE):
        try:
            return [bundle.parsed(data.partition(b"\n")[0], "the incident")]
        except (CorruptRecord, StoreError) as error:
            raise NothingToCheck(str(error)) from error
    if len(data) > MOST_BYTES:
        raise NothingToCheck(f"more than {MOST_BYTES >> 20} MB, which no evidence has")
    try:
        return [orjson.loads(data)]
    except orjson.JSONDecodeError as whole:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2 or len(lines) > _MOST_EVENTS:  # noqa: PLR2004 - one line is no list of lines
            raise NothingToCheck(f"no JSON: {str(whole)[:_SHOWN]}") from None
        return [_line(line, at) for at, line in enumerate(lines, 1)]


def _line(line: bytes, at: int) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise NothingToCheck(f"line {at}: no JSON: {str(error)[:_SHOWN]}") from None


def _kept(value: Any) -> dict[str, Any]:
    """Return the long evidence that an incident has with it, by digest."""
    kept = value.get("evidence") if isinstance(value, dict) and isinstance(value.get("events"), list) else None
    return kept if isinstance(kept, dict) else {}


def _events(value: Any) -> Iterator[Any]:
    """Yield alerts, or evidence by itself."""
    if isinstance(value, list):
        yield from value[:_MOST_EVENTS]
    elif isinstance(value, dict) and isinstance(value.get("events"), list):
        yield from value["events"][:_MOST_EVENTS]
    else:
        yield value


def _exhibit(event: Any, whole: Find) -> Exhibit | str:
    """Return the evidence in an alert, or what the alert is of if it has none."""
    if not isinstance(event, dict):
        return "nothing"
    alert = event["data"] if isinstance(event.get("data"), dict) else event
    if "kind" in alert and "evidence" not in alert:
        return _taken(Exhibit(), alert, whole)
    evidence = alert.get("evidence")
    detector = _text(alert.get("detector")) or _text(event.get("type")) or "no detector"
    if not isinstance(evidence, dict) or not ("kind" in evidence or evidence.get("truncated") is True):
        return detector
    about = Exhibit(
        event=_text(event.get("id")),
        detector=detector,
        subject=_subject(alert.get("labels")),
        summary=_text(alert.get("summary"), 1000),
    )
    return _taken(about, evidence, whole)


def _taken(about: Exhibit, evidence: dict[str, Any], whole: Find) -> Exhibit:
    """Return an exhibit with its evidence, which is looked for where it was cut."""
    named = {name: getattr(about, name) for name in ("event", "detector", "subject", "summary")}
    if evidence.get("truncated") is not True:
        return Exhibit(**named, evidence=evidence)
    name = _text(evidence.get("digest"))
    data = whole(name) if name else None
    if data is None:
        why = (
            f"the alert has only a part of its evidence, since that is too long for it; the watchdog keeps all of it "
            f"as evidence/{name}.json in its state directory, and tocsin incident export takes it along"
        )
        return Exhibit(**named, why=why)
    found = orjson.loads(data)
    return Exhibit(**named, evidence=found if isinstance(found, dict) else {})


def _whole(name: str, kept: Mapping[str, Any], find: Find) -> bytes | None:
    """Return long evidence, if it really has the digest by which it is named."""
    if name in kept:
        try:
            data = orjson.dumps(kept[name], option=orjson.OPT_SORT_KEYS)
        except TypeError:  # nested too deep
            return None
        return data if digest(data) == name else None
    there = find(name)
    return there if there is not None and digest(there) == name and _is_json(there) else None


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _subject(labels: Any) -> str:
    """Return the node or the chain that an alert is about."""
    if not isinstance(labels, dict):
        return ""
    return next((text for name in ("node", "contract", "chain") if (text := _text(labels.get(name)))), "")


def _text(value: Any, most: int = _SHOWN) -> str:
    return value[:most] if isinstance(value, str) else ""
