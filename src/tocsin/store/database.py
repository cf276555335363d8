"""Opening the database: fresh, as it is, migrated, or quarantined with what could be salvaged from it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tocsin.clock import Clock
from tocsin.errors import StoreError, StoreFull
from tocsin.store.migrate import check_version, migrate
from tocsin.store.schema import APPLICATION_ID, LAYOUT, VERSION, statements
from tocsin.store.sound import DROPPED, OUTBOX, RETAINED, Kinds, check_layout, damaged, is_sound
from tocsin.store.space import Reserve, is_damaged, is_unwritable
from tocsin.store.values import Notice, NoticeKind

NAME = "tocsin.db"
_SUFFIXES = ("", "-wal", "-shm")
_WAL_KEPT = 16 << 20
_SALVAGED = {"outbox": OUTBOX, "retained": RETAINED, "dropped": DROPPED}


@dataclass(slots=True)
class Opened:
    """An open database, and what happened on the way. `lost_journal`: a quarantine took it."""

    db: sqlite3.Connection
    notices: list[Notice] = field(default_factory=list)
    lost_journal: bool = False


def open_database(state_dir: Path, *, clock: Clock, reserve: Reserve) -> Opened:
    """Open `tocsin.db`, making, migrating or replacing it as needed.

    Raises SchemaTooNew, StoreFull when not even the reserve makes room, StoreError when it cannot be opened.
    """
    path = state_dir / NAME
    try:
        return _open(path, clock)
    except sqlite3.Error as error:
        if not is_unwritable(error):
            raise StoreError(f"{path}: cannot be opened: {error}") from error
        reserve.release()
    try:
        return _open(path, clock)
    except sqlite3.Error as error:
        raise StoreFull(f"{path}: cannot be written: {error}; free space there or check owner and mode") from error


def connect(path: Path) -> sqlite3.Connection:
    """Connect the way the store does everywhere."""
    db = sqlite3.connect(path, isolation_level=None, timeout=5)
    db.execute("PRAGMA secure_delete = OFF")
    return db


def _open(path: Path, clock: Clock) -> Opened:
    try:
        return _open_sound(path)
    except sqlite3.Error as error:
        if not is_damaged(error):
            raise
        return quarantine(path, clock=clock, why=str(error))


def _open_sound(path: Path) -> Opened:
    notices = []
    found = _version(path)
    if found:
        check_version(path, found)
        if found < VERSION:
            backup = migrate(path, found)
            text = f"{path}: migrated from store schema {found} to {VERSION}; the old one is kept as {backup}"
            notices.append(Notice(kind=NoticeKind.MIGRATED, text=text))
    db = connect(path)
    try:
        _prepare(db, fresh=not found)
    except BaseException:
        db.close()
        raise
    return Opened(db=db, notices=notices)


def _version(path: Path) -> int:
    """Return the schema version, 0 for a database still to be made. Raises DatabaseError for a foreign file."""
    if not path.exists():
        return 0
    with closing(connect(path)) as db:
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found == 0 and db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise damaged(f"{path}: a database without a schema version")
        return found


def _prepare(db: sqlite3.Connection, *, fresh: bool) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # The writer checkpoints itself, after it has answered; see `writer`.
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")
    if fresh:
        db.execute("BEGIN IMMEDIATE")
        for statement in statements(LAYOUT):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise damaged(str(verdict))
    check_layout(db)
    if db.execute("SELECT count(*) FROM head").fetchone()[0] != 1:
        raise damaged("the head row is missing")


def quarantine(path: Path, *, clock: Clock, why: str) -> Opened:
    """Move a damaged database aside, start a fresh one, and carry over what can still be read."""
    aside = _aside(path, clock)
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    opened = _open_sound(path)
    saved = _salvage(aside, opened.db)
    text = (
        f"{path}: damaged ({why}); moved to {aside}. Salvaged: {saved['outbox']} outbox rows, "
        f"{saved['retained']} retained topics. The journal in it was lost"
    )
    opened.notices.append(Notice(kind=NoticeKind.QUARANTINED, text=text))
    opened.lost_journal = True
    return opened


def _aside(path: Path, clock: Clock) -> Path:
    stamp = clock.wall_ns() // 10**9
    candidates = (path.with_name(f"{path.name}.corrupt-{stamp}{more}") for more in _more())
    return next(candidate for candidate in candidates if not candidate.exists())


def _more() -> Iterator[str]:
    yield ""
    number = 1
    while True:
        number += 1
        yield f"-{number}"


def _salvage(aside: Path, db: sqlite3.Connection) -> dict[str, int]:
    """Copy what is readable, row by row. The damaged files are read, never written."""
    saved = dict.fromkeys(_SALVAGED, 0)
    try:
        with closing(sqlite3.connect(f"{aside.as_uri()}?mode=ro", uri=True, isolation_level=None)) as old:
            old.execute("PRAGMA query_only = ON")
            old.text_factory = partial(str, encoding="utf-8", errors="replace")
            db.execute("BEGIN IMMEDIATE")
            for table, kinds in _SALVAGED.items():
                saved[table] = _copy_rows(old, db, table, kinds)
            db.execute("DELETE FROM outbox WHERE severity NOT IN (0, 1, 2) OR lane NOT IN (0, 1)")
            _carry_head(old, db)
            db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        return dict.fromkeys(_SALVAGED, 0)
    return saved


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, table: str, kinds: Kinds) -> int:
    insert = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(kinds))})"  # noqa: S608 - names of ours
    copied = 0
    for rowid in _rowids(old, table):
        with suppress(sqlite3.Error):
            row = old.execute(f"SELECT * FROM {table} WHERE rowid = ?", (rowid,)).fetchone()  # noqa: S608
            if row is not None and is_sound(row, kinds):
                copied += new.execute(insert, row).rowcount
    return copied


def _rowids(old: sqlite3.Connection, table: str) -> list[int]:
    """Return what can be enumerated, from the front and from the back: a broken page lies somewhere between."""
    found: dict[int, None] = {}
    for order in ("ASC", "DESC"):
        query = f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid {order}"  # noqa: S608 - names of ours
        with suppress(sqlite3.Error):
            for (rowid,) in old.execute(query):
                found[int(rowid)] = None
    return sorted(found)


def _carry_head(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Numbers go on where they were; where the head row is gone, behind the salvaged rows."""
    with suppress(sqlite3.Error, TypeError, ValueError):
        row = old.execute(
            "SELECT event_no, effect_no, t_ns, wall_ns, last_seq, pruned_seq, revision FROM head WHERE id = 1"
        ).fetchone()
        new.execute(
            "UPDATE head SET event_no = ?, effect_no = ?, t_ns = ?, wall_ns = ?, last_seq = ?, pruned_seq = ?,"
            " revision = ?",
            tuple(int(value) for value in row),
        )
    new.execute(
        "UPDATE head SET last_seq = max(last_seq, (SELECT coalesce(max(seq), 0) FROM outbox)),"
        " effect_no = max(effect_no, (SELECT coalesce(max(seq), 0) FROM outbox)),"
        " revision = max(revision, (SELECT coalesce(max(revision), 0) FROM retained))"
    )
