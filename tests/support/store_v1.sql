-- Layout 1 of the store, as it was.
PRAGMA user_version = 1;
PRAGMA application_id = 1413698377;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE journal (
    event_no INTEGER PRIMARY KEY, segment INTEGER NOT NULL,
    t_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, effect_no INTEGER NOT NULL,
    record BLOB NOT NULL, refs TEXT NOT NULL
);
CREATE TABLE bodies (segment INTEGER NOT NULL, digest TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (segment, digest));
CREATE TABLE snapshots (
    segment INTEGER PRIMARY KEY,
    event_no INTEGER NOT NULL, t_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, effect_no INTEGER NOT NULL,
    sha256 BLOB NOT NULL, data BLOB NOT NULL
);
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL, severity INTEGER NOT NULL,
    topic TEXT NOT NULL, payload BLOB NOT NULL, retain INTEGER NOT NULL, qos INTEGER NOT NULL,
    expiry_s INTEGER, content_type TEXT NOT NULL, created_wall_ns INTEGER NOT NULL, sent_wall_ns INTEGER
);
CREATE TABLE retained (topic TEXT PRIMARY KEY, payload BLOB, changed_wall_ns INTEGER NOT NULL);
