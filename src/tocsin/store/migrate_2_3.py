"""From layout 2 to layout 3.

Version 3 knows how far consumers have come, tells of drops exactly which rows they cost, and finds the least severe
rows among delivered ones too: what a consumer has not confirmed counts towards the bounds. Delivered rows whose expiry
has run out are found by an index. Each row has a checksum. It keeps what people are to be told.
"""

import sqlite3

from tocsin.store.checksum import checksum
from tocsin.store.schema import LAYOUT, statements

_NEW = (
    "CREATE TABLE dropped ",
    "CREATE TABLE consumer ",
    "CREATE TABLE notice ",
    "CREATE TABLE outbox ",
)


def two_to_three(db: sqlite3.Connection) -> None:
    """Change what differs, inside the caller's transaction."""
    db.execute("ALTER TABLE dropped RENAME TO old_dropped")
    db.execute("ALTER TABLE outbox RENAME TO old_outbox")
    _make(db, _NEW)
    db.create_function("row_crc32", 11, _crc32, deterministic=True)
    db.execute(
        "INSERT INTO outbox SELECT *, row_crc32(seq, id, fingerprint, severity, topic, payload, retain, qos, expiry_s,"
        " content_type, created_wall_ns) FROM old_outbox"
    )
    db.execute("DROP TABLE old_outbox")
    _make(db, ("CREATE INDEX outbox_",))
    db.execute(
        "INSERT INTO dropped SELECT id, what, first, last, count, reason, wall_ns, announced, '' FROM old_dropped"
    )
    db.execute("DROP TABLE old_dropped")


def _make(db: sqlite3.Connection, what: tuple[str, ...]) -> None:
    for statement in statements(LAYOUT):
        if statement.startswith(what):
            db.execute(statement)


def _crc32(*columns: object) -> int:
    *head, payload = columns[:6]
    return checksum((*head, *columns[6:]), payload if isinstance(payload, bytes) else b"")
