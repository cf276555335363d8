"""The journal inside the database: segments, their snapshots, groups of records and bodies.

Used by the writer thread alone, inside the transaction of its caller. What is cached here must be loaded again
after a rollback.
"""

import hashlib
import sqlite3
import zlib
from dataclasses import astuple, replace

from tocsin.errors import StoreError
from tocsin.store.framing import pack_records
from tocsin.store.schema import SEGMENT_SHIFT, body_ids
from tocsin.store.values import Gap, Group, Origin, Record, SegmentInfo, Snapshot

_SEGMENT_COLUMNS = (
    "number, state, first_event, last_event, first_wall_ns, last_wall_ns, bytes, code, codec, config,"
    " gap_first, gap_last, gap_reason, gap_wall_ns"
)


class Journal:
    """Appends to the live segment, and rolls it at a snapshot."""

    def __init__(self, db: sqlite3.Connection, origin: Origin) -> None:
        self._db = db
        self._origin = origin
        self.live: int | None = None
        self.live_bytes = 0
        self.live_events = 0
        self.live_since_wall_ns = 0
        self.live_origin = Origin()
        self._numbers: dict[str, int] = {}
        self.load()

    def load(self) -> None:
        """Read what is cached from the database again."""
        self.live = None
        self.live_bytes = self.live_events = 0
        self._numbers = {}
        info = next((info for info in segments(self._db) if info.state == "live"), None)
        if info is None:
            return
        self.live, self.live_bytes = info.number, info.size
        self.live_events = info.last_event - info.first_event + 1
        self.live_since_wall_ns, self.live_origin = info.first_wall_ns, info.origin
        low, high = body_ids(info.number)
        rows = self._db.execute("SELECT id, digest FROM body WHERE id >= ? AND id < ?", (low, high))
        self._numbers = {digest.hex(): number - low for number, digest in rows}

    def append(self, group: Group) -> None:
        """Add the records of a group to the live segment."""
        if self.live is None:
            raise StoreError("no segment is open; the group needs a snapshot")
        packed = pack_records([(record.data, self._store_bodies(record)) for record in group.records])
        first, count = group.records[0].event_no, len(group.records)
        self._db.execute(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (first, count, len(self._numbers), *_instant(group), zlib.crc32(packed), packed),
        )
        self.live_bytes += len(packed)
        self.live_events += count

    def open_segment(
        self, first_event: int, group: Group, snapshot: Snapshot | None = None, gap: Gap | None = None
    ) -> None:
        """Begin a new live segment behind the snapshot; the one before, if any, is closed."""
        number = self._db.execute("SELECT coalesce(max(number), 0) + 1 FROM segment").fetchone()[0]
        self._close_live()
        config = self._origin.config_hash if snapshot is None else snapshot.config_hash
        origin = Origin(code=self._origin.code, codec=self._origin.codec, config_hash=config)
        self._db.execute(
            "INSERT INTO segment VALUES (?, 'live', ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?)",
            (number, first_event, first_event - 1, group.wall_ns, group.wall_ns, *astuple(origin), *_gap_columns(gap)),
        )
        if snapshot is not None:
            self._db.execute(
                "INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, snapshot.event_no, *_instant(group), hashlib.sha256(snapshot.data).digest(), snapshot.data),
            )
        self.live, self.live_bytes, self.live_events = number, 0, 0
        self.live_since_wall_ns, self.live_origin = group.wall_ns, origin
        self._numbers = {}

    def detach(self) -> None:
        """Add nothing to the live segment any more; the next one to open closes it."""
        self.live = None
        self.live_bytes = self.live_events = 0
        self._numbers = {}

    def _close_live(self) -> None:
        for info in (info for info in segments(self._db) if info.state == "live"):
            self._db.execute(
                "UPDATE segment SET state = 'closed', last_event = ?, last_wall_ns = ?, bytes = ? WHERE number = ?",
                (info.last_event, info.last_wall_ns, info.size, info.number),
            )

    def _store_bodies(self, record: Record) -> list[int]:
        return [self._number(name, data) for name, data in record.bodies.items()]

    def _number(self, name: str, data: bytes) -> int:
        known = self._numbers.get(name)
        if known is None and self.live is not None:
            known = self._numbers[name] = len(self._numbers)
            key = (self.live << SEGMENT_SHIFT) + known
            self._db.execute("INSERT INTO body VALUES (?, ?, ?)", (key, bytes.fromhex(name), data))
            self.live_bytes += len(data)
        return known or 0


def segments(db: sqlite3.Connection) -> list[SegmentInfo]:
    """Return every known segment, oldest first."""
    rows = db.execute(f"SELECT {_SEGMENT_COLUMNS} FROM segment ORDER BY number")  # noqa: S608 - names of ours
    infos = [segment_of(row) for row in rows]
    return [_grown(db, info) if info.state == "live" else info for info in infos]


def last_instant(db: sqlite3.Connection) -> tuple[int, int, int] | None:
    """Return engine time, wall time and effect number of the newest group that is in the database."""
    row: tuple[int, int, int] | None = db.execute(
        "SELECT t_ns, wall_ns, effect_no FROM journal ORDER BY first_event DESC LIMIT 1"
    ).fetchone()
    return row


def _grown(db: sqlite3.Connection, info: SegmentInfo) -> SegmentInfo:
    """Return a live segment as far as it has come: a commit writes its group and nothing else."""
    last = db.execute(
        "SELECT first_event + count - 1, wall_ns FROM journal WHERE first_event >= ? ORDER BY first_event DESC LIMIT 1",
        (info.first_event,),
    ).fetchone()
    if last is None:
        return info
    records = db.execute("SELECT sum(length(records)) FROM journal WHERE first_event >= ?", (info.first_event,))
    bodies = db.execute("SELECT total(length(data)) FROM body WHERE id >= ? AND id < ?", body_ids(info.number))
    size = records.fetchone()[0] + int(bodies.fetchone()[0])
    return replace(info, last_event=last[0], last_wall_ns=last[1], size=size)


def segment_of(row: tuple[object, ...]) -> SegmentInfo:
    """Return the segment of a row in the order of the table."""
    number, state, first, last, first_wall, last_wall, size, code, codec, config, *gap = row
    return SegmentInfo(
        number=_int(number),
        state=str(state),
        first_event=_int(first),
        last_event=_int(last),
        first_wall_ns=_int(first_wall),
        last_wall_ns=_int(last_wall),
        size=_int(size),
        origin=Origin(code=str(code), codec=_int(codec), config_hash=str(config)),
        gap=_gap_of(gap),
    )


def mark_sealed(db: sqlite3.Connection, info: SegmentInfo) -> None:
    """Record that a segment lies in its file, as `info` describes it."""
    db.execute(
        "UPDATE segment SET state = 'sealed', bytes = ?, last_event = ? WHERE number = ?",
        (info.size, info.last_event, info.number),
    )


def delete_rows(db: sqlite3.Connection, info: SegmentInfo, limit: int) -> bool:
    """Delete some rows of a sealed segment; say whether more are left."""
    low, high = body_ids(info.number)
    groups = db.execute(
        "DELETE FROM journal WHERE first_event IN"
        " (SELECT first_event FROM journal WHERE first_event BETWEEN ? AND ? LIMIT ?)",
        (info.first_event, _until(db, info), limit),
    ).rowcount
    bodies = db.execute(
        "DELETE FROM body WHERE id IN (SELECT id FROM body WHERE id >= ? AND id < ? LIMIT ?)", (low, high, limit)
    ).rowcount
    if limit in (groups, bodies):
        return True
    db.execute("DELETE FROM snapshot WHERE segment = ?", (info.number,))
    return False


def _until(db: sqlite3.Connection, info: SegmentInfo) -> int:
    """Return the last event that can be a sealed segment's: rows that could not be read go with the others."""
    after = db.execute("SELECT min(first_event) FROM segment WHERE number > ?", (info.number,)).fetchone()[0]
    return info.last_event if after is None else int(after) - 1


def leftovers(db: sqlite3.Connection) -> list[SegmentInfo]:
    """Return the sealed segments that still have rows in the database: deleting them was interrupted."""
    return [info for info in segments(db) if info.state == "sealed" and _has_rows(db, info)]


def _has_rows(db: sqlite3.Connection, info: SegmentInfo) -> bool:
    queries = (
        ("SELECT 1 FROM snapshot WHERE segment = ?", (info.number,)),
        ("SELECT 1 FROM journal WHERE first_event BETWEEN ? AND ?", (info.first_event, _until(db, info))),
        ("SELECT 1 FROM body WHERE id >= ? AND id < ?", body_ids(info.number)),
    )
    return any(db.execute(query, values).fetchone() for query, values in queries)


def adopt(db: sqlite3.Connection, info: SegmentInfo) -> None:
    """Add a sealed segment whose file was found although the database does not know it."""
    db.execute(
        "INSERT OR IGNORE INTO segment VALUES (?, 'sealed', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(info.number, info.first_event, info.last_event, info.first_wall_ns, info.last_wall_ns, info.size),
            *astuple(info.origin),
            *_gap_columns(info.gap),
        ),
    )


def forget(db: sqlite3.Connection, info: SegmentInfo, *, reason: str, wall_ns: int) -> None:
    """Remove a segment from the journal, and record that it was there."""
    db.execute("DELETE FROM segment WHERE number = ?", (info.number,))
    count = max(0, info.last_event - info.first_event + 1)
    db.execute(
        "INSERT INTO dropped (what, first, last, count, reason, wall_ns, announced)"
        " VALUES ('segment', ?, ?, ?, ?, ?, 1)",
        (info.first_event, info.last_event, count, reason, wall_ns),
    )


def save_gap(db: sqlite3.Connection, gap: Gap) -> None:
    """Record the gap that is open, or how far it has grown."""
    db.execute(
        "INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?)",
        (gap.first_event, gap.last_event, gap.reason, gap.wall_ns),
    )


def gaps(db: sqlite3.Connection) -> list[Gap]:
    """Return every recorded gap, oldest first."""
    rows = db.execute("SELECT first_event, last_event, reason, wall_ns FROM gap ORDER BY first_event")
    return [Gap(first_event=first, last_event=last, reason=reason, wall_ns=wall) for first, last, reason, wall in rows]


def _instant(group: Group) -> tuple[int, int, int]:
    return group.t_ns, group.wall_ns, group.effect_no


def _gap_columns(gap: Gap | None) -> tuple[object, ...]:
    return (None,) * 4 if gap is None else (gap.first_event, gap.last_event, gap.reason, gap.wall_ns)


def _gap_of(columns: list[object]) -> Gap | None:
    first, last, reason, wall_ns = columns
    if first is None:
        return None
    return Gap(first_event=_int(first), last_event=_int(last), reason=str(reason), wall_ns=_int(wall_ns))


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise StoreError(f"a number was expected in the segment table, not {value!r}")
    return value
