"""Reading a segment's rows back from the database, in short reads that hold up nobody, each row checked."""

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.errors import CorruptRecord
from tocsin.ids import digest
from tocsin.store.bodies import BodyCache
from tocsin.store.framing import unpack_records
from tocsin.store.schema import body_ids
from tocsin.store.section import Stamp, entry_of
from tocsin.store.values import Entry, SegmentInfo, SnapshotAt

_GROUPS_AT_ONCE = 256
_BODIES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One committed group. `bodies` counts the segment's bodies up to it; `sound` is its checksum's verdict."""

    stamp: Stamp
    count: int
    bodies: int
    records: bytes
    sound: bool


def read_groups(db: sqlite3.Connection, info: SegmentInfo) -> Iterator[GroupRow]:
    """Yield the groups of a segment in order."""
    after = info.first_event - 1
    while True:
        rows = db.execute(
            "SELECT first_event, count, bodies, t_ns, wall_ns, effect_no, crc32, records FROM journal"
            " WHERE first_event > ? AND first_event <= ? ORDER BY first_event LIMIT ?",
            (after, info.last_event, _GROUPS_AT_ONCE),
        ).fetchall()
        for first, count, bodies, t_ns, wall_ns, effect_no, crc32, records in rows:
            sound = isinstance(records, bytes) and zlib.crc32(records) == crc32
            yield GroupRow(Stamp(first, t_ns, wall_ns, effect_no), count, bodies, records, sound)
            after = first
        if len(rows) < _GROUPS_AT_ONCE:
            return


def read_bodies(db: sqlite3.Connection, number: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield digest and data of a segment's bodies, in the order of their numbers."""
    after, high = body_ids(number)
    after -= 1
    while True:
        rows = db.execute(
            "SELECT id, digest, data FROM body WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (after, high, _BODIES_AT_ONCE),
        ).fetchall()
        for after, key, data in rows:  # noqa: B007 - the last one counts
            yield key, data
        if len(rows) < _BODIES_AT_ONCE:
            return


def read_snapshot(db: sqlite3.Connection, number: int) -> SnapshotAt | None:
    """Return the snapshot that heads a segment, None when there is none. Raises CorruptRecord when it is damaged."""
    row = db.execute(
        "SELECT event_no, t_ns, wall_ns, effect_no, sha256, data FROM snapshot WHERE segment = ?", (number,)
    ).fetchone()
    if row is None:
        return None
    event_no, t_ns, wall_ns, effect_no, sha256, data = row
    if not isinstance(data, bytes) or hashlib.sha256(data).digest() != sha256:
        raise CorruptRecord(f"the snapshot of segment {number} fails its checksum")
    return SnapshotAt(event_no=event_no, t_ns=t_ns, wall_ns=wall_ns, effect_no=effect_no, data=data)


def sound_until(db: sqlite3.Connection, info: SegmentInfo) -> int:
    """Return the last event of a segment up to which all can be read: `info.last_event` when nothing is wrong."""
    held = 0
    for key, data in read_bodies(db, info.number):
        if not _is_sound(key, data):
            break
        held += 1
    last = info.first_event - 1
    for group in read_groups(db, info):
        if not group.sound or group.bodies > held or group.stamp.event_no != last + 1:
            break
        last += group.count
    return last


def read_entries(db: sqlite3.Connection, info: SegmentInfo, until: int) -> Iterator[Entry]:
    """Yield the entries of a segment up to event `until`, which `sound_until` has vouched for."""
    low, _ = body_ids(info.number)

    def load(number: int) -> tuple[str, bytes]:
        row = db.execute("SELECT digest, data FROM body WHERE id = ?", (low + number,)).fetchone()
        if row is None:
            raise CorruptRecord(f"segment {info.number} has no body {number}")
        return row[0].hex(), row[1]

    cache = BodyCache(load)
    for group in read_groups(db, info):
        if group.stamp.event_no > until:
            return
        for event_no, (data, numbers) in enumerate(unpack_records(group.records), group.stamp.event_no):
            yield entry_of(group.stamp, event_no, data, cache.named(numbers))


def _is_sound(key: object, data: object) -> bool:
    """Whether a body is what its digest says. SQLite gives any type where a page is damaged."""
    return isinstance(data, bytes) and bytes.fromhex(digest(data)) == key
