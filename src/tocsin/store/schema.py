"""The layout of the database: one row per group, bodies once per segment, the outbox with its two lanes."""

import sqlite3
from collections.abc import Iterator

from tocsin.store.identity import make_stream

VERSION = 3
APPLICATION_ID = 0x54435349
"""`TCSI`, in the header of the database file."""

LAYOUT = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    event_no INTEGER NOT NULL, effect_no INTEGER NOT NULL, t_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, pruned_seq INTEGER NOT NULL, revision INTEGER NOT NULL
);
INSERT INTO head VALUES (1, 0, 0, 0, 0, 0, 0, 0);
CREATE TABLE segment (
    number INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('live', 'closed', 'sealed')),
    first_event INTEGER NOT NULL, last_event INTEGER NOT NULL,
    first_wall_ns INTEGER NOT NULL, last_wall_ns INTEGER NOT NULL,
    bytes INTEGER NOT NULL, code TEXT NOT NULL, codec INTEGER NOT NULL, config TEXT NOT NULL,
    gap_first INTEGER, gap_last INTEGER, gap_reason TEXT, gap_wall_ns INTEGER
);
CREATE TABLE snapshot (
    segment INTEGER PRIMARY KEY,
    event_no INTEGER NOT NULL, t_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, effect_no INTEGER NOT NULL,
    sha256 BLOB NOT NULL, data BLOB NOT NULL
);
CREATE TABLE journal (
    first_event INTEGER PRIMARY KEY, count INTEGER NOT NULL, bodies INTEGER NOT NULL,
    t_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, effect_no INTEGER NOT NULL,
    crc32 INTEGER NOT NULL, records BLOB NOT NULL
);
CREATE TABLE body (id INTEGER PRIMARY KEY, digest BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL,
    severity INTEGER NOT NULL, lane INTEGER NOT NULL,
    topic TEXT NOT NULL, payload BLOB NOT NULL, retain INTEGER NOT NULL, qos INTEGER NOT NULL,
    expiry_s INTEGER, content_type TEXT NOT NULL, created_wall_ns INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, failure TEXT, sent_wall_ns INTEGER, crc32 INTEGER NOT NULL
);
CREATE INDEX outbox_pending ON outbox (lane, seq) WHERE sent_wall_ns IS NULL;
CREATE INDEX outbox_severity ON outbox (severity, seq);
CREATE INDEX outbox_fingerprint ON outbox (fingerprint, seq) WHERE sent_wall_ns IS NULL;
CREATE INDEX outbox_expiring ON outbox (sent_wall_ns) WHERE expiry_s IS NOT NULL AND sent_wall_ns IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (sent_wall_ns) WHERE sent_wall_ns IS NOT NULL;
CREATE TABLE retained (
    topic TEXT PRIMARY KEY, payload BLOB,
    revision INTEGER NOT NULL, published INTEGER NOT NULL, changed_wall_ns INTEGER NOT NULL
);
CREATE TABLE gap (
    first_event INTEGER PRIMARY KEY, last_event INTEGER NOT NULL, reason TEXT NOT NULL, wall_ns INTEGER NOT NULL
);
CREATE TABLE dropped (
    id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, reason TEXT NOT NULL, wall_ns INTEGER NOT NULL, announced INTEGER NOT NULL DEFAULT 0,
    spans TEXT NOT NULL DEFAULT ''
);
CREATE TABLE consumer (
    name TEXT PRIMARY KEY, max INTEGER NOT NULL, at INTEGER NOT NULL, missing TEXT NOT NULL,
    heard_wall_ns INTEGER NOT NULL
);
CREATE TABLE notice (
    number INTEGER PRIMARY KEY, channel TEXT NOT NULL, grp TEXT NOT NULL, severity INTEGER NOT NULL,
    payload BLOB NOT NULL, created_wall_ns INTEGER NOT NULL
);
"""

SEGMENT_SHIFT = 32
"""A body's id is its segment's number and, in the low 32 bits, its own number within the segment."""


def body_ids(segment: int) -> tuple[int, int]:
    """Return the first id that a body of the segment can have, and the first one that it cannot."""
    return segment << SEGMENT_SHIFT, (segment + 1) << SEGMENT_SHIFT


def statements(script: str) -> Iterator[str]:
    """Split a script of plain statements, so that they can run inside one transaction."""
    return (part for part in map(str.strip, script.split(";")) if part)


def lay_out(db: sqlite3.Connection) -> None:
    """Make the present layout in an empty database."""
    db.execute("BEGIN IMMEDIATE")
    for statement in statements(LAYOUT):
        db.execute(statement)
    make_stream(db)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")
