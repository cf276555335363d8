"""The layout of schema version 2, as databases that are to be migrated have it."""

VERSION = 2

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
    attempts INTEGER NOT NULL DEFAULT 0, failure TEXT, sent_wall_ns INTEGER
);
CREATE INDEX outbox_pending ON outbox (lane, seq) WHERE sent_wall_ns IS NULL;
CREATE INDEX outbox_severity ON outbox (severity, seq) WHERE sent_wall_ns IS NULL;
CREATE INDEX outbox_fingerprint ON outbox (fingerprint, seq) WHERE sent_wall_ns IS NULL;
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
    count INTEGER NOT NULL, reason TEXT NOT NULL, wall_ns INTEGER NOT NULL, announced INTEGER NOT NULL DEFAULT 0
);
"""
