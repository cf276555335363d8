"""The outbox inside the database: what must reach the broker, in two lanes.

Critical rows go first. A row that waits before a critical one of the same fingerprint goes with it, so that order
holds per fingerprint. Used by the writer thread alone, inside the transaction of its caller.
"""

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from tocsin.errors import StoreError
from tocsin.model.alert import Severity
from tocsin.store.sound import OUTBOX, Kinds, damaged, is_sound
from tocsin.store.values import Counts, Dropped, Limits, OutboxRow, Pending

_COLUMNS = (
    "attempts, lane, seq, id, fingerprint, severity, topic, payload, retain, qos, expiry_s, content_type,"
    " created_wall_ns"
)
_KINDS: Kinds = ((int,), (int,), *OUTBOX[:4], *OUTBOX[5:12])
_RANKED = tuple(sorted(Severity, key=lambda severity: severity.rank))
_CRITICAL = Severity.CRITICAL.rank
_FULL_OF = 20
_SLACK = 100
"""A full outbox drops by 1/100 at a time, so that the next row does not drop again."""


class Outbox:
    """Inserts, hands out, marks and prunes. Counts are cached."""

    def __init__(self, db: sqlite3.Connection, limits: Limits) -> None:
        self._db = db
        self._limits = limits
        waiting = db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(sum(severity = 2), 0)"
            " FROM outbox WHERE sent_wall_ns IS NULL"
        ).fetchone()
        sent = db.execute("SELECT count(*) FROM outbox WHERE sent_wall_ns IS NOT NULL").fetchone()
        head = db.execute(
            "SELECT max(last_seq, (SELECT coalesce(max(seq), 0) FROM outbox)), pruned_seq FROM head"
        ).fetchone()
        self._pending, self._bytes, self._critical = int(waiting[0]), int(waiting[1]), int(waiting[2])
        self._sent, self.last_seq, self._pruned_seq = int(sent[0]), int(head[0]), int(head[1])
        self.remember()

    def remember(self) -> None:
        """Keep the counts as they are when a transaction begins."""
        self._kept = (self._pending, self._bytes, self._critical, self._sent, self.last_seq, self._pruned_seq)

    def go_back(self) -> None:
        """Take the kept counts: the transaction was rolled back."""
        self._pending, self._bytes, self._critical, self._sent, self.last_seq, self._pruned_seq = self._kept

    def counts(self) -> Counts:
        """Return how much waits and how much is kept."""
        return Counts(
            pending=self._pending,
            pending_bytes=self._bytes,
            critical=self._critical,
            unsaved=0,
            sent=self._sent,
        )

    @property
    def saturated(self) -> bool:
        """Whether as much waits as may, within 5 %."""
        return self._pending * _FULL_OF > self._limits.outbox_rows * (
            _FULL_OF - 1
        ) or self._bytes * _FULL_OF > self._limits.outbox_bytes * (_FULL_OF - 1)

    def insert(self, row: OutboxRow, *, sent_wall_ns: int | None = None) -> bool:
        """Add a row unless it was added before, also when it has been pruned since; say whether it was added.

        Raises StoreError when the seq belongs to another row: that one would be lost.
        """
        if row.seq <= self.last_seq and self._known(row):
            return False
        rank = row.severity.rank
        lane = 0 if rank == _CRITICAL else 1
        self._db.execute(
            "INSERT INTO outbox (seq, id, fingerprint, severity, topic, payload, retain, qos, expiry_s,"
            " content_type, created_wall_ns, lane, sent_wall_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*_columns(row), lane, sent_wall_ns),
        )
        if row.seq > self.last_seq:
            self.last_seq = row.seq
            self._db.execute("UPDATE head SET last_seq = ?", (row.seq,))
        if sent_wall_ns is not None:
            self._sent += 1
            return True
        if lane == 0:
            self._lift(row.fingerprint, row.seq)
        self._count(1, len(row.payload), rank)
        return True

    def pending(self, limit: int, exclude: Collection[int] = ()) -> list[Pending]:
        """Return the next rows to send, without those that are excluded (they are in flight)."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE sent_wall_ns IS NULL"  # noqa: S608 - names of ours
            " ORDER BY lane, seq LIMIT ?",
            (limit + len(exclude),),
        )
        free = [row for row in rows if row[2] not in exclude]
        return [_pending(row) for row in free[:limit]]

    def waiting_for(self, fingerprint: str) -> list[Pending]:
        """Return everything of one fingerprint that waits, in order."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM outbox"  # noqa: S608 - names of ours
            " WHERE fingerprint = ? AND sent_wall_ns IS NULL ORDER BY seq",
            (fingerprint,),
        )
        return [_pending(row) for row in rows]

    def mark_sent(self, seqs: Iterable[int], wall_ns: int) -> int:
        """Record that the broker has these; return how many of them were waiting."""
        return sum(self._mark(seq, wall_ns) for seq in seqs)

    def mark_failed(self, seq: int, reason: str) -> None:
        """Count an attempt that the broker refused or that came to nothing."""
        self._db.execute("UPDATE outbox SET attempts = attempts + 1, failure = ? WHERE seq = ?", (reason[:300], seq))

    def rearm(self, seqs: Iterable[int]) -> int:
        """Let delivered rows wait again, as far as they are kept; return how many."""
        return sum(self._rearm(seq) for seq in seqs)

    def prune(self, wall_ns: int) -> int:
        """Forget delivered rows that are too old or too many; return how many."""
        before = wall_ns - self._limits.sent_age_ns
        doomed = [seq for (seq,) in self._db.execute("SELECT seq FROM outbox WHERE sent_wall_ns < ?", (before,))]
        excess = self._sent - len(doomed) - self._limits.sent_rows
        if excess > 0:
            more = self._db.execute(
                "SELECT seq FROM outbox WHERE sent_wall_ns >= ? ORDER BY sent_wall_ns, seq LIMIT ?", (before, excess)
            )
            doomed += [seq for (seq,) in more]
        if doomed:
            self._db.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in doomed])
            self._sent -= len(doomed)
            self._pruned_seq = max(self._pruned_seq, *doomed)
            self._db.execute("UPDATE head SET pruned_seq = ?", (self._pruned_seq,))
        return len(doomed)

    def enforce(self, wall_ns: int) -> None:
        """Drop the least severe, oldest rows while more waits than may; never a critical one. Each drop is recorded."""
        if self._pending <= self._limits.outbox_rows and self._bytes <= self._limits.outbox_bytes:
            return
        rows = self._limits.outbox_rows - self._limits.outbox_rows // _SLACK
        size = self._limits.outbox_bytes - self._limits.outbox_bytes // _SLACK
        for rank in (Severity.INFO.rank, Severity.WARNING.rank):
            doomed = self._doomed(rank, rows, size)
            if doomed:
                self._drop(doomed, rank, wall_ns)

    def dropped(self) -> list[Dropped]:
        """Return the drops of rows that no one was told of yet."""
        rows = self._db.execute(
            "SELECT id, what, first, last, count, reason, wall_ns FROM dropped WHERE announced = 0 ORDER BY id"
        )
        return [
            Dropped(id=key, what=what, first=first, last=last, count=count, reason=reason, wall_ns=wall)
            for key, what, first, last, count, reason, wall in rows
        ]

    def record_drop(self, seqs: list[int], reason: str, wall_ns: int) -> None:
        """Record rows that are gone, for an event that says so."""
        self._db.execute(
            "INSERT INTO dropped (what, first, last, count, reason, wall_ns) VALUES ('outbox', ?, ?, ?, ?, ?)",
            (min(seqs), max(seqs), len(seqs), reason, wall_ns),
        )

    def announce(self, ids: Iterable[int]) -> None:
        """Record that these drops were told."""
        self._db.executemany("UPDATE dropped SET announced = 1 WHERE id = ?", [(key,) for key in ids])

    def _known(self, row: OutboxRow) -> bool:
        held = self._db.execute("SELECT id FROM outbox WHERE seq = ?", (row.seq,)).fetchone()
        if held is not None and held[0] != row.id:
            raise StoreError(f"alert {row.id} has seq {row.seq}, which belongs to {held[0]}")
        if held is not None or row.seq <= self._pruned_seq:
            return True
        query = "SELECT 1 FROM dropped WHERE what = 'outbox' AND ? BETWEEN first AND last"
        return self._db.execute(query, (row.seq,)).fetchone() is not None

    def _lift(self, fingerprint: str, seq: int) -> None:
        self._db.execute(
            "UPDATE outbox SET lane = 0 WHERE fingerprint = ? AND seq < ? AND sent_wall_ns IS NULL",
            (fingerprint, seq),
        )

    def _before_critical(self, fingerprint: str, seq: int) -> bool:
        query = (
            "SELECT 1 FROM outbox WHERE fingerprint = ? AND seq > ? AND severity = ? AND sent_wall_ns IS NULL LIMIT 1"
        )
        return self._db.execute(query, (fingerprint, seq, _CRITICAL)).fetchone() is not None

    def _mark(self, seq: int, wall_ns: int) -> int:
        row = self._waiting(seq, "IS NULL")
        if row is None:
            return 0
        self._db.execute("UPDATE outbox SET sent_wall_ns = ? WHERE seq = ?", (wall_ns, seq))
        self._count(-1, -row[0], row[1])
        self._sent += 1
        return 1

    def _rearm(self, seq: int) -> int:
        row = self._waiting(seq, "IS NOT NULL")
        if row is None:
            return 0
        ahead = row[1] == _CRITICAL or self._before_critical(row[2], seq)
        self._db.execute("UPDATE outbox SET sent_wall_ns = NULL, lane = ? WHERE seq = ?", (0 if ahead else 1, seq))
        if row[1] == _CRITICAL:
            self._lift(row[2], seq)
        self._count(1, row[0], row[1])
        self._sent -= 1
        return 1

    def _waiting(self, seq: int, condition: str) -> tuple[int, int, str] | None:
        row: tuple[int, int, str] | None = self._db.execute(
            "SELECT length(payload), severity, fingerprint FROM outbox"  # noqa: S608 - conditions of ours
            f" WHERE seq = ? AND sent_wall_ns {condition}",
            (seq,),
        ).fetchone()
        return row

    def _doomed(self, rank: int, rows: int, size: int) -> list[tuple[int, int]]:
        """Return the oldest rows of a rank that must go to come down to the bounds."""
        query = "SELECT seq, length(payload) FROM outbox WHERE severity = ? AND sent_wall_ns IS NULL ORDER BY seq"
        pending, held, doomed = self._pending, self._bytes, []
        for seq, length in self._db.execute(query, (rank,)):
            if pending <= rows and held <= size:
                break
            doomed.append((seq, length))
            pending, held = pending - 1, held - length
        return doomed

    def _drop(self, doomed: list[tuple[int, int]], rank: int, wall_ns: int) -> None:
        self._db.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq, _ in doomed])
        self._count(-len(doomed), -sum(length for _, length in doomed), rank)
        seqs = [seq for seq, _ in doomed]
        self.record_drop(seqs, f"outbox full: oldest {_RANKED[rank]} dropped", wall_ns)

    def _count(self, rows: int, size: int, rank: int) -> None:
        self._pending += rows
        self._bytes += size
        if rank == _CRITICAL:
            self._critical += rows


def _columns(row: OutboxRow) -> tuple[object, ...]:
    return (
        row.seq,
        row.id,
        row.fingerprint,
        row.severity.rank,
        row.topic,
        row.payload,
        row.retain,
        row.qos,
        row.expiry_s,
        row.content_type,
        row.created_wall_ns,
    )


def _pending(columns: tuple[Any, ...]) -> Pending:
    attempts, lane, seq, key, fingerprint, rank, topic, payload, retain, qos, expiry_s, content_type, created = columns
    if not is_sound(columns, _KINDS) or rank not in range(len(_RANKED)):
        raise damaged(f"row {seq!r} of the outbox is not what was written")
    row = OutboxRow(
        seq=seq,
        id=key,
        fingerprint=fingerprint,
        severity=_RANKED[rank],
        topic=topic,
        payload=payload,
        retain=bool(retain),
        qos=qos,
        expiry_s=expiry_s,
        content_type=content_type,
        created_wall_ns=created,
    )
    return Pending(row=row, attempts=attempts, durable=True, lane=lane)
