"""What was published, read back from the outbox: by number, by alert, by the name of an event.

Delivered rows stay for days (`Limits.sent_age_ns`). Reads over a connection of its own, beside the writer.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.errors import StoreError
from tocsin.store.database import NAME, connect_existing

_COLUMNS = "seq, id, fingerprint, payload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event of the stream as it was committed. `id` is `<boot>:<seq>`."""

    seq: int
    id: str
    fingerprint: str
    payload: bytes


class History:
    """The events that a state directory still has. Raises StoreError where it cannot be read."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / NAME

    def latest(self, count: int) -> list[Told]:
        """Return the newest events, the oldest of them first."""
        return self._rows("ORDER BY seq DESC LIMIT ?", count)[::-1]

    def of(self, fingerprint: str, count: int) -> list[Told]:
        """Return the newest events of one alert, the oldest of them first."""
        return self._rows("WHERE fingerprint = ? ORDER BY seq DESC LIMIT ?", fingerprint, count)[::-1]

    def named(self, name: str) -> Told | None:
        """Return the event with this id."""
        return next(iter(self._rows("WHERE id = ?", name)), None)

    def between(self, first: int, last: int, count: int) -> list[Told]:
        """Return the events with these numbers, both included, so many at most."""
        return self._rows("WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?", first, last, count)

    def fingerprints(self, prefix: str, count: int) -> list[str]:
        """Return the alerts whose fingerprint begins so."""
        query = "SELECT DISTINCT fingerprint FROM outbox WHERE fingerprint >= ? AND fingerprint < ? LIMIT ?"
        return [str(row[0]) for row in self._query(query, prefix, prefix + "\uffff", count)]

    def _rows(self, clause: str, *values: object) -> list[Told]:
        found = self._query(f"SELECT {_COLUMNS} FROM outbox {clause}", *values)  # noqa: S608 - clauses of ours
        return [
            Told(seq=seq, id=id_, fingerprint=mark, payload=payload)
            for seq, id_, mark, payload in found
            if isinstance(payload, bytes)  # SQLite hands out any type where a page is damaged
        ]

    def _query(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            with closing(connect_existing(self._path)) as db:
                yield from db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: cannot be read: {error}; see [watchdog] state_dir") from error
