"""The id of the stream: made with the database, kept as long as its numbers go on.

Numbers of another state directory begin anew, and mean other messages: by its id a consumer knows one from the other.
"""

import re
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import orjson

from tocsin.ids import boot_id

STREAM: Final = "stream"
_ID = re.compile(r"[0-9a-f]{12}")


def make_stream(db: sqlite3.Connection, stream: str = "") -> None:
    """Give a database an id, a new one or this one, unless it has one; inside the caller's transaction."""
    db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (STREAM, stream or boot_id()))


def stream_of(db: sqlite3.Connection) -> str:
    """Return the id, empty where there is none, or nothing that could be one."""
    found = db.execute("SELECT value FROM meta WHERE key = ?", (STREAM,)).fetchone()
    return found[0] if found is not None and is_stream(found[0]) else ""


def is_stream(value: object) -> bool:
    """Whether a value is an id of a stream."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def stream_in(payloads: Iterable[bytes]) -> str:
    """Return the id that messages of a stream name, of the first one that names any; empty where none does."""
    for payload in payloads:
        with suppress(ValueError, TypeError, AttributeError):
            said = orjson.loads(payload).get(STREAM)
            if is_stream(said):
                return str(said)
    return ""
