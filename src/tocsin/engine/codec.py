"""Events and states as bytes: what the journal and recordings keep.

A record is canonical JSON. Results of nodes stand in it by digest and are stored once, however often and by however
many nodes they were given. A snapshot is self-contained: it carries the few results that are still in an inbox.
"""

from collections.abc import Mapping

import orjson

from tocsin import __version__
from tocsin.detect import REGISTRY
from tocsin.engine.soundness import flaw
from tocsin.engine.state import EngineState
from tocsin.errors import CorruptRecord
from tocsin.ids import digest
from tocsin.model.event import Event
from tocsin.wire.records import Blobs, Codec, check_size

FORMAT = 2
"""Of records and snapshots. Raised when an old one could not be read any more."""

MOST_RESULTS = 100_000
"""In the inbox of a snapshot: what came in within one tick, some calls of each node."""

_PIECES = 3
"""Levels of a state that are written piece by piece: its fields, its chains, and the fields of each chain. Written in
one go, fifteen megabytes would hold up every other thread for 60 ms."""

_CODEC = Codec(*(detector.params for detector in REGISTRY.values()))


def prepare() -> None:
    """Make all encoders now. Without that they are made when they are first needed, which is for one thread alone."""
    _CODEC.prepare(Event, EngineState)


def encode_event(event: Event) -> tuple[bytes, Blobs]:
    """Return the record of an event, and the results that it refers to, by digest."""
    blobs: Blobs = {}
    return _CODEC.encode(Event, event, blobs), blobs


def decode_event(record: bytes, blobs: Mapping[str, bytes]) -> Event:
    """Return the event of a record. Raises CorruptRecord, also when a result is not in `blobs`."""
    event: Event = _CODEC.decode(Event, record, blobs)
    return event


def encode_state(state: EngineState) -> bytes:
    """Return a snapshot: format, version of the code, digest and state."""
    blobs: Blobs = {}
    body = _CODEC.encode(EngineState, state, blobs, pieces=_PIECES)
    results = {name: _text(blob) for name, blob in blobs.items()}
    head = {"format": FORMAT, "code": __version__, "digest": digest(body), "results": results}
    return orjson.dumps(head, option=orjson.OPT_SORT_KEYS) + b"\n" + body


def decode_state(snapshot: bytes) -> EngineState:
    """Return the state of a snapshot. Raises CorruptRecord where it is damaged or of another format."""
    head, _, body = snapshot.partition(b"\n")
    check_size(head)
    try:
        meta = orjson.loads(head)
        written, stored, results = meta["format"], meta["digest"], meta["results"]
        if len(results) > MOST_RESULTS:
            raise CorruptRecord(f"a snapshot of {len(results)} results: at most {MOST_RESULTS} are read")
        blobs = {name: _bytes(text) for name, text in results.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptRecord("a snapshot has no readable head") from error
    if written != FORMAT:
        raise CorruptRecord(f"a snapshot has format {written}, this version reads {FORMAT}")
    if stored != digest(body) or any(digest(blob) != name for name, blob in blobs.items()):
        raise CorruptRecord("a snapshot does not match its digest")
    state: EngineState = _CODEC.decode(EngineState, body, blobs)
    found = flaw(state)
    if found is not None:
        raise CorruptRecord(f"a snapshot contradicts itself: {found}")
    return state


def _text(blob: bytes) -> str | dict[str, str]:
    """Return a result as JSON can carry it: JSON is text, whatever else a node sent is written in hex."""
    try:
        return blob.decode()
    except UnicodeDecodeError:
        return {"hex": blob.hex()}


def _bytes(text: str | dict[str, str]) -> bytes:
    return text.encode() if isinstance(text, str) else bytes.fromhex(text["hex"])
