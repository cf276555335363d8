"""What a bound has cost: recorded with the numbers that went, told in one event for all that went at once."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence

from tocsin.store.spans import Spans, read, spans_of, written
from tocsin.store.values import Dropped


class Drops:
    """The table of drops. Used by the writer thread alone, inside the transaction of its caller."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def record(self, seqs: Sequence[int], reason: str, wall_ns: int) -> None:
        """Record rows that are gone, for an event that says so."""
        self.record_spans(spans_of(seqs), reason, wall_ns)

    def record_spans(self, spans: Spans, reason: str, wall_ns: int) -> None:
        """Record stretches of rows that are gone, in order."""
        count = sum(last - first + 1 for first, last in spans)
        self._db.execute(
            "INSERT INTO dropped (what, first, last, count, reason, wall_ns, spans)"
            " VALUES ('outbox', ?, ?, ?, ?, ?, ?)",
            (spans[0][0], spans[-1][1], count, reason, wall_ns, written(spans)),
        )

    def covers(self, seq: int) -> bool:
        """Whether a row of this number may be among those that were dropped."""
        query = "SELECT 1 FROM dropped WHERE what = 'outbox' AND ? BETWEEN first AND last"
        return self._db.execute(query, (seq,)).fetchone() is not None

    def untold(self) -> list[Dropped]:
        """Return the drops of rows that no one was told of yet."""
        rows = self._db.execute(
            "SELECT id, what, first, last, count, reason, wall_ns, spans FROM dropped WHERE announced = 0 ORDER BY id"
        )
        return [
            Dropped(
                id=key, what=what, first=first, last=last, count=count, reason=reason, wall_ns=wall, spans=read(spans)
            )
            for key, what, first, last, count, reason, wall, spans in rows
        ]

    def announce(self, ids: Iterable[int]) -> None:
        """Record that these drops were told."""
        self._db.executemany("UPDATE dropped SET announced = 1 WHERE id = ?", [(key,) for key in ids])

    def forget(self, confirmed: int | None, missing: Collection[int], before_wall_ns: int) -> tuple[int, int]:
        """Forget drops that were told, once no consumer waits for a number of theirs, and old ones of segments.

        `confirmed` and `missing` as for `Outbox.confirm`. Return how many, and the highest number in them.
        """
        rows = self._db.execute(
            "SELECT id, last FROM dropped WHERE what = 'outbox' AND announced = 1 AND last <= coalesce(?, last)"
            " ORDER BY id",
            (confirmed,),
        ).fetchall()
        waited = {key for (key,) in self._waited_for(missing)}
        over = [(key, last) for key, last in rows if key not in waited]
        self._db.executemany("DELETE FROM dropped WHERE id = ?", [(key,) for key, _ in over])
        old = self._db.execute("DELETE FROM dropped WHERE what = 'segment' AND wall_ns < ?", (before_wall_ns,)).rowcount
        return len(over) + old, max((last for _, last in over), default=0)

    def _waited_for(self, missing: Collection[int]) -> Iterator[tuple[int]]:
        """Yield the drops that a consumer's holes may be part of."""
        query = "SELECT id FROM dropped WHERE what = 'outbox' AND announced = 1 AND ? BETWEEN first AND last"
        for seq in missing:
            yield from self._db.execute(query, (seq,))
