"""What should stand on the broker as retained, and how far the broker is known to have it.

A cleared topic is remembered like any other until it has aged: a broker that comes back with an old state of its own
shows it again, and must be told again. Used by the writer thread alone.
"""

import sqlite3
from collections.abc import Collection
from itertools import islice
from typing import Any

from tocsin.store.sound import RETAINED, damaged, is_sound
from tocsin.store.values import Limits, Retained, RetainedRow

_COLUMNS = "topic, payload, revision, published"


class RetainedTopics:
    """Documents by topic; every change has a revision, higher than all before."""

    def __init__(self, db: sqlite3.Connection, limits: Limits) -> None:
        self._db = db
        self._limits = limits
        self.revision = int(db.execute("SELECT revision FROM head").fetchone()[0])
        self._due: dict[str, int] | None = None
        """Topics of which the broker has not confirmed the newest revision, with that, in order of change: in a storm
        thousands wait while a few at a time are sent. None while that has to be read anew."""
        self.remember()

    def remember(self) -> None:
        """Keep the newest revision as it is when a transaction begins."""
        self._kept = self.revision

    def go_back(self) -> None:
        """Take the kept one: the transaction was rolled back."""
        self.revision = self._kept
        self._due = None

    def put(self, row: RetainedRow, wall_ns: int) -> bool:
        """Set or clear a topic; say whether that changes anything."""
        now = self._db.execute("SELECT payload FROM retained WHERE topic = ?", (row.topic,)).fetchone()
        if now is not None and now[0] == row.payload:
            return False
        self.revision += 1
        self._db.execute(
            "INSERT INTO retained VALUES (?, ?, ?, 0, ?) ON CONFLICT (topic) DO UPDATE SET"
            " payload = excluded.payload, revision = excluded.revision, changed_wall_ns = excluded.changed_wall_ns",
            (row.topic, row.payload, self.revision, wall_ns),
        )
        self._db.execute("UPDATE head SET revision = ?", (self.revision,))
        if self._due is not None:
            self._due.pop(row.topic, None)
            self._due[row.topic] = self.revision
        return True

    def put_at(self, row: RetainedRow, wall_ns: int, *, published: bool) -> None:
        """Set a topic that the broker may have already."""
        if self.put(row, wall_ns) and published:
            self.mark(row.topic, self.revision)

    def raise_revision(self, revision: int) -> None:
        """Give no revision up to this one any more."""
        self.revision = max(self.revision, revision)

    def all(self) -> list[Retained]:
        """Return every remembered topic, cleared ones with payload None, in order of change."""
        return self._select(f"SELECT {_COLUMNS} FROM retained ORDER BY revision")  # noqa: S608 - names of ours

    def unpublished(self, limit: int | None = None, exclude: Collection[str] = ()) -> list[Retained]:
        """Return those of which the broker has not confirmed the newest revision, in order of change.

        At most `limit`, and none of the topics to `exclude`.
        """
        names = islice((topic for topic in self._waiting() if topic not in exclude), limit)
        query = f"SELECT {_COLUMNS} FROM retained WHERE topic = ?"  # noqa: S608 - names of ours
        return [_retained(row) for topic in names for row in self._db.execute(query, (topic,))]

    def mark(self, topic: str, revision: int) -> None:
        """Record that the broker confirmed a revision; a later change stays unpublished."""
        self._db.execute("UPDATE retained SET published = max(published, ?) WHERE topic = ?", (revision, topic))
        if self._due is not None and self._due.get(topic, revision + 1) <= revision:
            del self._due[topic]

    def forget(self, topic: str) -> None:
        """Remember a topic no more."""
        self._db.execute("DELETE FROM retained WHERE topic = ?", (topic,))
        if self._due is not None:
            self._due.pop(topic, None)

    def _waiting(self) -> dict[str, int]:
        if self._due is None:
            query = "SELECT topic, revision FROM retained WHERE revision > published ORDER BY revision"
            self._due = dict(self._db.execute(query))
        return self._due

    def prune(self, wall_ns: int) -> int:
        """Forget topics that were cleared, confirmed, and have aged; return how many."""
        return self._db.execute(
            "DELETE FROM retained WHERE payload IS NULL AND published >= revision AND changed_wall_ns < ?",
            (wall_ns - self._limits.sent_age_ns,),
        ).rowcount

    def _select(self, query: str) -> list[Retained]:
        return [_retained(row) for row in self._db.execute(query)]


def _retained(row: tuple[Any, ...]) -> Retained:
    if not is_sound(row, RETAINED[:4]):
        raise damaged(f"the row of retained topic {row[0]!r} is not what was written")
    topic, payload, revision, published = row
    return Retained(topic=topic, payload=payload, revision=revision, published=published)
