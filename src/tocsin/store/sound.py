"""What rows must look like. SQLite hands out any type where a page is damaged, and may not notice itself."""

import sqlite3
from collections.abc import Sequence

from tocsin.store.schema import LAYOUT, statements

Kinds = tuple[tuple[type, ...], ...]
_INT, _TEXT, _BLOB, _NONE = (int,), (str,), (bytes,), type(None)

OUTBOX: Kinds = (
    *(_INT, _TEXT, _TEXT, _INT, _INT, _TEXT, _BLOB, _INT, _INT),
    *((int, _NONE), _TEXT, _INT, _INT, (str, _NONE), (int, _NONE), _INT),
)
RETAINED: Kinds = (_TEXT, (bytes, _NONE), _INT, _INT, _INT)
DROPPED: Kinds = (_INT, _TEXT, _INT, _INT, _INT, _TEXT, _INT, _INT, _TEXT)
CONSUMER: Kinds = (_TEXT, _INT, _INT, _TEXT, _INT)
NOTICE: Kinds = (_INT, _TEXT, _TEXT, _INT, _BLOB, _INT)


def is_sound(row: Sequence[object], kinds: Kinds) -> bool:
    """Whether every value has a type that its column can have."""
    return len(row) == len(kinds) and all(map(isinstance, row, kinds))


def damaged(text: str) -> sqlite3.DatabaseError:
    """Return the error that SQLite raises for a damaged database: it is handled in one place, whoever notices."""
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def check_layout(db: sqlite3.Connection) -> None:
    """Raise `damaged` unless tables and indexes are exactly the present layout's."""
    fresh = sqlite3.connect(":memory:")
    try:
        for statement in statements(LAYOUT):
            fresh.execute(statement)
        expected, found = _layout(fresh), _layout(db)
    finally:
        fresh.close()
    if found != expected:
        odd = ", ".join(sorted({str(name) for name, _ in found ^ expected}))
        raise damaged(f"the definition of {odd} is not what it should be")


def _layout(db: sqlite3.Connection) -> set[tuple[object, object]]:
    return set(db.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@'"))
