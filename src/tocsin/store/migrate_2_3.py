"""From layout 2 to layout 3.

Version 3 knows how far consumers have come, tells of drops exactly which rows they cost, and finds the least severe
rows among delivered ones too: what a consumer has not confirmed counts towards the bounds. Delivered rows whose expiry
has run out are found by an index. It keeps what people are to be told.
"""

import sqlite3

from tocsin.store.schema import LAYOUT, statements

_NEW = (
    "CREATE TABLE dropped ",
    "CREATE TABLE consumer ",
    "CREATE TABLE notice ",
    "CREATE INDEX outbox_severity ",
    "CREATE INDEX outbox_expiring ",
)


def two_to_three(db: sqlite3.Connection) -> None:
    """Change what differs, inside the caller's transaction."""
    db.execute("ALTER TABLE dropped RENAME TO old_dropped")
    db.execute("DROP INDEX outbox_severity")
    for statement in statements(LAYOUT):
        if statement.startswith(_NEW):
            db.execute(statement)
    db.execute(
        "INSERT INTO dropped SELECT id, what, first, last, count, reason, wall_ns, announced, '' FROM old_dropped"
    )
    db.execute("DROP TABLE old_dropped")
