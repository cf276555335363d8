"""How far registered consumers have come, and what follows from their acks: rows wait again, others may be forgotten.

PUBACK says that the broker took a message, not that anybody has it: mosquitto answers from memory, and loses what it
had not saved when it is killed. Only what a consumer confirms has arrived.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Collection, Iterator
from operator import itemgetter

from tocsin.store.outbox import Outbox
from tocsin.store.sound import CONSUMER, damaged, is_sound
from tocsin.store.spans import Spans, holes, spans_of
from tocsin.store.values import Acknowledged, Cursor

WINDOW = 1000
"""Rows above a consumer's cursor that are looked at for one ack: as many as mosquitto queues for a client by default.
More at once would be thrown away by the broker, and overtake what is new."""

ON_THE_WAY_NS = 2 * 10**9
"""What the broker got less than this ago may still be on its way to the consumer."""

_MOST_GONE = 500


class Consumers:
    """The table of cursors. Used by the writer thread alone, inside the transaction of its caller."""

    def __init__(self, db: sqlite3.Connection, outbox: Outbox) -> None:
        self._db = db
        self._outbox = outbox
        rows = db.execute("SELECT name, max, at, missing, heard_wall_ns FROM consumer ORDER BY name")
        self._cursors = {cursor.name: cursor for cursor in map(_cursor, rows)}
        self.remember()
        self._confirm()

    def remember(self) -> None:
        """Keep the cursors as they are when a transaction begins."""
        self._kept = self._cursors

    def go_back(self) -> None:
        """Take the kept cursors: the transaction was rolled back."""
        self._cursors = self._kept

    def all(self) -> tuple[Cursor, ...]:
        """Return the cursors by name."""
        return tuple(self._cursors.values())

    def register(self, names: Collection[str], wall_ns: int) -> None:
        """Keep the cursors of these consumers and no others. A new one is owed what comes from now on."""
        for name in [name for name in self._cursors if name not in names]:
            self._db.execute("DELETE FROM consumer WHERE name = ?", (name,))
        fresh = {
            name: Cursor(name=name, max=self._outbox.last_seq, at=0, missing=(), heard_wall_ns=wall_ns)
            for name in names
            if name not in self._cursors
        }
        for cursor in fresh.values():
            self._keep(cursor)
        kept = {name: cursor for name, cursor in self._cursors.items() if name in names}
        self._cursors = dict(sorted((kept | fresh).items()))
        self._confirm()

    def acknowledge(self, cursor: Cursor, wanted: Spans | None = None, connected_wall_ns: int = 0) -> Acknowledged:
        """Take an ack that was believed: what its consumer lacks, and wants, waits again, unless it may be on its way.

        That cannot be relied on for what left before our connection to the broker began, at `connected_wall_ns`: a
        broker that died had it in memory only.

        What follows such a row in its fingerprint, and is lacking as well, waits again with it: the last that is sent
        of an alert is the last that was said of it.
        """
        self._cursors = dict(sorted({**self._cursors, cursor.name: cursor}.items()))
        self._keep(cursor)
        looked = list(self._lacking(cursor))
        due = list(_due(looked, cursor.heard_wall_ns, wanted, connected_wall_ns))
        rearmed = self._outbox.rearm(due)
        self._confirm()
        return Acknowledged(cursor=cursor, rearmed=rearmed, gone=self._gone(cursor, [seq for seq, _, _ in looked]))

    def _keep(self, cursor: Cursor) -> None:
        missing = ",".join(map(str, cursor.missing))
        self._db.execute(
            "INSERT OR REPLACE INTO consumer VALUES (?, ?, ?, ?, ?)",
            (cursor.name, cursor.max, cursor.at, missing, cursor.heard_wall_ns),
        )

    def _lacking(self, cursor: Cursor) -> Iterator[tuple[int, str, int | None]]:
        """Yield number, fingerprint and time of delivery of kept rows that the consumer lacks, in order."""
        columns = "SELECT seq, fingerprint, sent_wall_ns FROM outbox"
        for seq in cursor.missing:
            yield from self._db.execute(f"{columns} WHERE seq = ?", (seq,))
        yield from self._db.execute(f"{columns} WHERE seq > ? ORDER BY seq LIMIT ?", (cursor.max, WINDOW))

    def _gone(self, cursor: Cursor, kept: list[int]) -> Spans:
        """Return what the consumer lacks and is not kept: it was dropped, or forgotten before the consumer asked."""
        held = set(kept)
        missing = spans_of(seq for seq in cursor.missing if seq not in held)
        above = [seq for seq in kept if seq > cursor.max]
        until = above[-1] if len(above) == WINDOW else self._outbox.last_seq
        return (missing + holes(above, cursor.max + 1, until))[:_MOST_GONE]

    def _confirm(self) -> None:
        """Tell the outbox what it may forget."""
        missing = frozenset(seq for cursor in self._cursors.values() for seq in cursor.missing)
        highest = min((cursor.max for cursor in self._cursors.values()), default=None)
        self._outbox.confirm(highest, missing)


def _due(
    looked: list[tuple[int, str, int | None]], wall_ns: int, wanted: Spans | None, connected_wall_ns: int
) -> Iterator[int]:
    """Yield what is to be sent again.

    A clock that was set back makes rows of the future, which have had their time. Of a connection of the future nothing
    is known: by its time all that left since would be sent again at each ack, until the clock was there again.
    """
    again: set[str] = set()
    under_way_since_ns = max(wall_ns - ON_THE_WAY_NS, connected_wall_ns if connected_wall_ns <= wall_ns else 0)
    for seq, fingerprint, sent_wall_ns in looked:
        if sent_wall_ns is None:
            again.add(fingerprint)
        elif not _has(wanted, seq):
            continue  # it has that in memory
        elif fingerprint in again or not under_way_since_ns < sent_wall_ns <= wall_ns:
            again.add(fingerprint)
            yield seq


def _has(spans: Spans | None, seq: int) -> bool:
    if spans is None:
        return True
    at = bisect_right(spans, seq, key=itemgetter(0)) - 1
    return at >= 0 and seq <= spans[at][1]


def _cursor(row: tuple[str, int, int, str, int]) -> Cursor:
    if not is_sound(row, CONSUMER):
        raise damaged(f"the cursor of {row[0]!r} is not what was written")
    name, highest, at, missing, heard_wall_ns = row
    numbers = tuple(int(seq) for seq in missing.split(",") if seq)
    return Cursor(name=name, max=highest, at=at, missing=numbers, heard_wall_ns=heard_wall_ns)
