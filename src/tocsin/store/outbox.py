"""The outbox inside the database: what must reach the broker, in two lanes.

Critical rows go first. A row that waits before a critical one of the same fingerprint goes with it, so that order
holds per fingerprint. A delivered row is owed until every registered consumer has confirmed it. Used by the writer
thread alone, inside the transaction of its caller.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tocsin.errors import StoreError
from tocsin.model.alert import Severity
from tocsin.store.checksum import DAMAGED, checksum
from tocsin.store.drops import Drops
from tocsin.store.sound import OUTBOX, Kinds, damaged, is_sound
from tocsin.store.spans import Spans, spans_of
from tocsin.store.values import Counts, Limits, OutboxRow, Pending

_COLUMNS = (
    "attempts, lane, seq, id, fingerprint, severity, topic, payload, retain, qos, expiry_s, content_type,"
    " created_wall_ns, crc32"
)
_KINDS: Kinds = ((int,), (int,), *OUTBOX[:4], *OUTBOX[5:12], OUTBOX[-1])
_RANKED = tuple(sorted(Severity, key=lambda severity: severity.rank))
_CRITICAL = Severity.CRITICAL.rank
_FULL_OF = 20
_SLACK = 100
"""A full outbox drops by 1/100 at a time, so that the next row does not drop again."""

_SIZES = "SELECT seq, length(payload), severity FROM outbox WHERE sent_wall_ns IS NOT NULL"


@dataclass(frozen=True, slots=True)
class _Amount:
    """Rows, their bytes, and the critical ones among them."""

    rows: int = 0
    size: int = 0
    critical: int = 0

    def plus(self, rows: int, size: int, rank: int) -> "_Amount":
        """Return the amount with so many rows more of one severity, or fewer."""
        return _Amount(self.rows + rows, self.size + size, self.critical + (rows if rank == _CRITICAL else 0))


class Outbox:
    """Inserts, hands out, marks and prunes. Counts are cached."""

    def __init__(self, db: sqlite3.Connection, limits: Limits) -> None:
        self._db = db
        self._limits = limits
        self.drops = Drops(db)
        self._damaged: set[int] = set()
        sent = db.execute("SELECT count(*) FROM outbox WHERE sent_wall_ns IS NOT NULL").fetchone()
        head = db.execute(
            "SELECT max(last_seq, (SELECT coalesce(max(seq), 0) FROM outbox)), pruned_seq FROM head"
        ).fetchone()
        self._waiting = self._amount()
        self._owed = _Amount()
        self._confirmed: int | None = None
        self._missing: frozenset[int] = frozenset()
        self._sent, self.last_seq, self._pruned_seq = int(sent[0]), int(head[0]), int(head[1])
        self.remember()

    def _amount(self) -> _Amount:
        """Count what waits."""
        query = (
            "SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(sum(severity = 2), 0)"
            " FROM outbox WHERE sent_wall_ns IS NULL"
        )
        return _Amount(*map(int, self._db.execute(query).fetchone()))

    def remember(self) -> None:
        """Keep the counts as they are when a transaction begins."""
        self._kept = (self._waiting, self._owed, self._sent, self.last_seq, self._pruned_seq)
        self._kept_confirmed = (self._confirmed, self._missing)

    def go_back(self) -> None:
        """Take the kept counts: the transaction was rolled back."""
        self._waiting, self._owed, self._sent, self.last_seq, self._pruned_seq = self._kept
        self._confirmed, self._missing = self._kept_confirmed

    def counts(self) -> Counts:
        """Return how much waits and how much is kept."""
        return Counts(
            pending=self._waiting.rows,
            pending_bytes=self._waiting.size,
            critical=self._waiting.critical,
            unsaved=0,
            sent=self._sent,
            unconfirmed=self._owed.rows,
            unconfirmed_bytes=self._owed.size,
            unconfirmed_critical=self._owed.critical,
        )

    @property
    def saturated(self) -> bool:
        """Whether as much waits, or is owed, as may, within 5 %."""
        rows, size = self._held()
        return rows * _FULL_OF > self._limits.outbox_rows * (
            _FULL_OF - 1
        ) or size * _FULL_OF > self._limits.outbox_bytes * (_FULL_OF - 1)

    def confirm(self, highest: int | None, missing: frozenset[int]) -> None:
        """Take what all registered consumers have: everything up to `highest` but what is missing; None: all of it."""
        before, self._confirmed, self._missing = (self._confirmed, self._missing), highest, missing
        if before == (highest, missing):
            return
        for seq, length, rank in self._moved(before[0], before[1] ^ missing):
            was, now = _lacks(seq, *before), self._lacks(seq)
            if was is not now:
                self._owed = self._owed.plus(1 if now else -1, length if now else -length, rank)

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
            " content_type, created_wall_ns, lane, sent_wall_ns, crc32)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*_columns(row), lane, sent_wall_ns, _checksum(row)),
        )
        if row.seq > self.last_seq:
            self.last_seq = row.seq
            self._db.execute("UPDATE head SET last_seq = ?", (row.seq,))
        if sent_wall_ns is not None:
            self._deliver(1, row.seq, len(row.payload), rank)
            return True
        if lane == 0:
            self._lift(row.fingerprint, row.seq)
        self._waiting = self._waiting.plus(1, len(row.payload), rank)
        return True

    def pending(self, limit: int, exclude: Collection[int] = ()) -> list[Pending]:
        """Return the next rows to send, without those that are excluded (they are in flight), or damaged."""
        while True:
            hidden = self._damaged.union(exclude)
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM outbox WHERE sent_wall_ns IS NULL"  # noqa: S608 - names of ours
                " ORDER BY lane, seq LIMIT ?",
                (limit + len(hidden),),
            )
            free = [row for row in rows if row[2] not in hidden][:limit]
            found = self._whole(free)
            if len(found) == len(free):
                return found

    def waiting_for(self, fingerprint: str) -> list[Pending]:
        """Return everything of one fingerprint that waits, in order."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM outbox"  # noqa: S608 - names of ours
            " WHERE fingerprint = ? AND sent_wall_ns IS NULL ORDER BY seq",
            (fingerprint,),
        )
        return self._whole(rows)

    def _whole(self, rows: Iterable[tuple[Any, ...]]) -> list[Pending]:
        """Return the rows that are what was committed, and remember the others."""
        found = []
        for columns in rows:
            pending = _pending(columns)
            if _checksum(pending.row) == columns[-1]:
                found.append(pending)
            else:
                self._damaged.add(pending.row.seq)
        return found

    def drop_damaged(self, wall_ns: int) -> None:
        """Drop the rows that were found to be damaged, and record that; `take_damaged` once that is committed."""
        if self._damaged:
            self._db.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in self._damaged])
            self.drops.record(sorted(self._damaged), DAMAGED, wall_ns)
            self._waiting = self._amount()  # what they were counted with may not be what can be read of them

    def take_damaged(self) -> Spans:
        """Return, once, which rows were dropped because they were damaged."""
        found = spans_of(self._damaged)
        self._damaged.clear()
        return found

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
        """Forget delivered rows that are too old or too many, unless they are owed; return how many.

        Those whose expiry has run out are worth nothing to anybody, and go in any case. Drops go once they were told
        and nobody waits for them any more.
        """
        expired = self._expired(wall_ns)
        before = wall_ns - self._limits.sent_age_ns
        doomed = [seq for seq in self._sent_seqs("sent_wall_ns < ?", before) if not self._lacks(seq)]
        excess = self._sent - len(doomed) - self._limits.sent_rows
        if excess > 0:
            rest = (seq for seq in self._sent_seqs("sent_wall_ns >= ?", before) if not self._lacks(seq))
            doomed += [seq for _, seq in zip(range(excess), rest, strict=False)]
        self._sent -= len(doomed)
        self._forget(doomed)
        told, last = self.drops.forget(self._confirmed, self._missing, before)
        self._pass_over(last)
        return len(doomed) + expired + told

    def _expired(self, wall_ns: int) -> int:
        """Forget delivered rows that the broker has let expire by now; return how many."""
        query = f"{_SIZES} AND expiry_s IS NOT NULL AND sent_wall_ns + expiry_s * 1000000000 < ?"
        rows = self._db.execute(query, (wall_ns,)).fetchall()
        for seq, length, rank in rows:
            self._deliver(-1, seq, length, rank)
        self._forget([seq for seq, _, _ in rows])
        return len(rows)

    def _forget(self, seqs: list[int]) -> None:
        if seqs:
            self._db.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in seqs])
            self._pass_over(max(seqs))

    def _pass_over(self, seq: int) -> None:
        """Take every number up to this one for known: what is not held of them was here, and is gone."""
        if seq > self._pruned_seq:
            self._pruned_seq = seq
            self._db.execute("UPDATE head SET pruned_seq = ?", (seq,))

    def enforce(self, wall_ns: int) -> None:
        """Drop the least severe, oldest rows while more waits or is owed than may; never a critical one.

        Each drop is recorded.
        """
        rows, size = self._held()
        if rows <= self._limits.outbox_rows and size <= self._limits.outbox_bytes:
            return
        rows = self._limits.outbox_rows - self._limits.outbox_rows // _SLACK
        size = self._limits.outbox_bytes - self._limits.outbox_bytes // _SLACK
        for rank in (Severity.INFO.rank, Severity.WARNING.rank):
            doomed = self._doomed(rank, rows, size)
            if doomed:
                self._drop(doomed, rank, wall_ns)

    def _known(self, row: OutboxRow) -> bool:
        held = self._db.execute("SELECT id FROM outbox WHERE seq = ?", (row.seq,)).fetchone()
        if held is not None and held[0] != row.id:
            raise StoreError(f"alert {row.id} has seq {row.seq}, which belongs to {held[0]}")
        if held is not None or row.seq <= self._pruned_seq:
            return True
        return self.drops.covers(row.seq)

    def _lacks(self, seq: int) -> bool:
        """Whether a consumer has not confirmed this number."""
        return _lacks(seq, self._confirmed, self._missing)

    def _held(self) -> tuple[int, int]:
        """Return rows and bytes that count towards the bounds."""
        return self._waiting.rows + self._owed.rows, self._waiting.size + self._owed.size

    def _moved(self, confirmed: int | None, missing: frozenset[int]) -> Iterator[tuple[int, int, int]]:
        """Yield number, length and severity of delivered rows about which the confirmed may have changed."""
        if confirmed != self._confirmed:
            ends = [end for end in (confirmed, self._confirmed) if end is not None]
            low, high = min(ends), max(ends) if len(ends) > 1 else self.last_seq
            missing = frozenset(seq for seq in missing if not low < seq <= high)
            yield from self._db.execute(f"{_SIZES} AND seq > ? AND seq <= ?", (low, high)).fetchall()
        for seq in missing:
            yield from self._db.execute(f"{_SIZES} AND seq = ?", (seq,)).fetchall()

    def _sent_seqs(self, condition: str, before: int) -> Iterator[int]:
        """Yield delivered rows, the one that was delivered first at the head."""
        query = f"SELECT seq FROM outbox WHERE {condition} ORDER BY sent_wall_ns, seq"  # noqa: S608 - conditions of ours
        return (seq for (seq,) in self._db.execute(query, (before,)))

    def _deliver(self, rows: int, seq: int, size: int, rank: int) -> None:
        """Count a row that is delivered now (1), or is so no more (-1)."""
        self._sent += rows
        if self._lacks(seq):
            self._owed = self._owed.plus(rows, rows * size, rank)

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
        row = self._found(seq, "IS NULL")
        if row is None:
            return 0
        self._db.execute("UPDATE outbox SET sent_wall_ns = ? WHERE seq = ?", (wall_ns, seq))
        self._waiting = self._waiting.plus(-1, -row[0], row[1])
        self._deliver(1, seq, row[0], row[1])
        return 1

    def _rearm(self, seq: int) -> int:
        row = self._found(seq, "IS NOT NULL")
        if row is None:
            return 0
        ahead = row[1] == _CRITICAL or self._before_critical(row[2], seq)
        self._db.execute("UPDATE outbox SET sent_wall_ns = NULL, lane = ? WHERE seq = ?", (0 if ahead else 1, seq))
        if row[1] == _CRITICAL:
            self._lift(row[2], seq)
        self._waiting = self._waiting.plus(1, row[0], row[1])
        self._deliver(-1, seq, row[0], row[1])
        return 1

    def _found(self, seq: int, condition: str) -> tuple[int, int, str] | None:
        row: tuple[int, int, str] | None = self._db.execute(
            "SELECT length(payload), severity, fingerprint FROM outbox"  # noqa: S608 - conditions of ours
            f" WHERE seq = ? AND sent_wall_ns {condition}",
            (seq,),
        ).fetchone()
        return row

    def _doomed(self, rank: int, rows: int, size: int) -> list[tuple[int, int, bool]]:
        """Return the oldest rows of a rank that must go to come down to the bounds, and whether each of them waits."""
        query = (
            "SELECT seq, length(payload), sent_wall_ns IS NULL FROM outbox WHERE severity = ? AND seq >= ? ORDER BY seq"
        )
        held, doomed = self._held(), []
        for seq, length, waits in self._db.execute(query, (rank, self._oldest())):
            if held[0] <= rows and held[1] <= size:
                break
            if waits or self._lacks(seq):
                doomed.append((seq, length, bool(waits)))
                held = (held[0] - 1, held[1] - length)
        return doomed

    def _oldest(self) -> int:
        """Return a number below which no row waits or is owed."""
        query = "SELECT min(seq) FROM outbox WHERE lane = ? AND sent_wall_ns IS NULL"
        waiting = [self._db.execute(query, (lane,)).fetchone()[0] for lane in (0, 1)]
        owed = self.last_seq if self._confirmed is None else self._confirmed + 1
        return min([owed, *self._missing, *(int(seq) for seq in waiting if seq is not None)])

    def _drop(self, doomed: list[tuple[int, int, bool]], rank: int, wall_ns: int) -> None:
        self._db.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq, _, _ in doomed])
        for seq, length, waits in doomed:
            if waits:
                self._waiting = self._waiting.plus(-1, -length, rank)
            else:
                self._deliver(-1, seq, length, rank)
        self.drops.record([seq for seq, _, _ in doomed], f"outbox full: oldest {_RANKED[rank]} dropped", wall_ns)


def _lacks(seq: int, confirmed: int | None, missing: frozenset[int]) -> bool:
    return confirmed is not None and (seq > confirmed or seq in missing)


def _columns(row: OutboxRow) -> tuple[object, ...]:
    return (
        row.seq,
        row.id,
        row.fingerprint,
        row.severity.rank,
        row.topic,
        row.payload,
        int(row.retain),
        row.qos,
        row.expiry_s,
        row.content_type,
        row.created_wall_ns,
    )


def _checksum(row: OutboxRow) -> int:
    seq, key, fingerprint, rank, topic, _, *rest = _columns(row)
    return checksum((seq, key, fingerprint, rank, topic, *rest), row.payload)


def _pending(columns: tuple[Any, ...]) -> Pending:
    if not is_sound(columns, _KINDS) or columns[5] not in range(len(_RANKED)):
        raise damaged(f"row {columns[2]!r} of the outbox is not what was written")
    attempts, lane, seq, key, fingerprint, rank, topic, payload, retain, qos, expiry_s, content_type, created, _ = (
        columns
    )
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
