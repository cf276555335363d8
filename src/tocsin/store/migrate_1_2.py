"""From layout 1 to layout 2.

Version 1 kept one row per event, named bodies by digest in each, and sealed nothing into files; version 2 keeps one
row per group, numbers bodies within their segment, gives the outbox its lanes and retained topics revisions.
"""

import sqlite3
import zlib
from collections.abc import Mapping
from itertools import groupby

from tocsin.store.framing import pack_records
from tocsin.store.layout_2 import LAYOUT
from tocsin.store.schema import body_ids, statements

_TABLES = ("meta", "journal", "bodies", "snapshots", "outbox", "retained")


def one_to_two(db: sqlite3.Connection) -> None:
    """Move everything, inside the caller's transaction."""
    for table in _TABLES:
        db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in statements(LAYOUT):
        db.execute(statement)
    _move_journal(db)
    _move_outbox(db)
    for table in _TABLES:
        db.execute(f"DROP TABLE old_{table}")


def _move_journal(db: sqlite3.Connection) -> None:
    facts = dict(db.execute("SELECT key, value FROM old_meta"))
    db.execute("INSERT INTO meta SELECT key, value FROM old_meta WHERE key = 'created_wall_ns'")
    segments = [
        number
        for (number,) in db.execute(
            "SELECT segment FROM old_snapshots UNION SELECT segment FROM old_journal ORDER BY 1"
        )
    ]
    for number in segments:
        state = "live" if number == segments[-1] else "closed"
        _move_segment(db, number, state)
    last, wall = db.execute("SELECT coalesce(max(event_no), 0), coalesce(max(wall_ns), 0) FROM old_journal").fetchone()
    t_ns = db.execute("SELECT coalesce(max(t_ns), 0) FROM old_journal").fetchone()[0]
    db.execute(
        "UPDATE head SET event_no = ?, effect_no = ?, t_ns = ?, wall_ns = ?",
        (last, int(facts.get("effect_no", 0)), t_ns, wall),
    )


def _move_segment(db: sqlite3.Connection, number: int, state: str) -> None:
    rank: dict[str, int] = {}
    base, _ = body_ids(number)
    for digest, data in db.execute("SELECT digest, data FROM old_bodies WHERE segment = ? ORDER BY rowid", (number,)):
        rank[digest] = len(rank)
        db.execute("INSERT INTO body VALUES (?, ?, ?)", (base + rank[digest], bytes.fromhex(digest), data))
    size = db.execute("SELECT coalesce(sum(length(data)), 0) FROM old_bodies WHERE segment = ?", (number,)).fetchone()
    rows = db.execute(
        "SELECT event_no, t_ns, wall_ns, effect_no, record, refs FROM old_journal WHERE segment = ? ORDER BY event_no",
        (number,),
    )
    first_event, last_event, first_wall, last_wall, total = None, 0, 0, 0, size[0]
    for (t_ns, wall_ns, effect_no), same in groupby(rows, key=lambda row: row[1:4]):
        group = list(same)
        packed = pack_records([(row[4], _numbers(rank, row[5])) for row in group])
        start = group[0][0]
        db.execute(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (start, len(group), len(rank), t_ns, wall_ns, effect_no, zlib.crc32(packed), packed),
        )
        if first_event is None:
            first_event, first_wall = start, wall_ns
        last_event, last_wall, total = group[-1][0], wall_ns, total + len(packed)
    head = db.execute(
        "SELECT event_no, t_ns, wall_ns, effect_no, sha256, data FROM old_snapshots WHERE segment = ?", (number,)
    ).fetchone()
    if head is not None:
        db.execute("INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *head))
        if first_event is None:
            first_event, last_event, first_wall, last_wall = head[0] + 1, head[0], head[2], head[2]
    db.execute(
        "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, '', 0, '', NULL, NULL, NULL, NULL)",
        (number, state, first_event, last_event, first_wall, last_wall, total),
    )


def _numbers(rank: Mapping[str, int], references: str) -> list[int]:
    return [rank[digest] for digest in references.split()]


def _move_outbox(db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO outbox SELECT seq, id, fingerprint, severity, 1, topic, payload, retain, qos, expiry_s,"
        " content_type, created_wall_ns, 0, NULL, sent_wall_ns FROM old_outbox"
    )
    db.execute(
        "UPDATE outbox SET lane = 0 WHERE sent_wall_ns IS NULL AND seq <= (SELECT max(other.seq) FROM outbox other"
        " WHERE other.fingerprint = outbox.fingerprint AND other.severity = 2 AND other.sent_wall_ns IS NULL)"
    )
    db.execute(
        "INSERT INTO retained SELECT topic, payload, row_number() OVER (ORDER BY topic), 0, changed_wall_ns"
        " FROM old_retained"
    )
    db.execute(
        "UPDATE head SET last_seq = (SELECT coalesce(max(seq), 0) FROM outbox),"
        " pruned_seq = (SELECT coalesce(min(seq) - 1, 0) FROM outbox),"
        " revision = (SELECT count(*) FROM retained)"
    )
