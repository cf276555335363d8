"""The consumer's file: its cursors, and whatever its handler writes along with them, in one SQLite database.

Tables that begin with `tocsin_` are ours. A handler's own tables live beside them; they and the cursor are one
transaction, or nothing is.
"""

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from tocsin.client.entries import Entry, Noting, Plan, Saved, Step
from tocsin.client.frail import Piece, without
from tocsin.client.waiting import MOST_ALERTS
from tocsin.errors import CorruptRecord, SchemaTooNew, StoreError

VERSION: Final = 1
APPLICATION_ID: Final = 0x54435343
"""`TCSC`, in the header of the file."""

_LAYOUT = (
    "CREATE TABLE tocsin_consumer (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, at INTEGER NOT NULL)",
    "CREATE TABLE tocsin_stream (source TEXT PRIMARY KEY, begun INTEGER NOT NULL, stream TEXT NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE tocsin_done (source TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,"
        " PRIMARY KEY (source, first)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE tocsin_id (id INTEGER PRIMARY KEY, source TEXT NOT NULL, stem TEXT NOT NULL,"
        " first INTEGER NOT NULL, last INTEGER NOT NULL, UNIQUE (source, stem, first))"
    ),
    (
        "CREATE TABLE tocsin_step (id INTEGER PRIMARY KEY, source TEXT NOT NULL, fingerprint TEXT NOT NULL,"
        " activation INTEGER NOT NULL, count INTEGER NOT NULL, over INTEGER NOT NULL, UNIQUE (source, fingerprint))"
    ),
    (
        "CREATE TABLE tocsin_frail (source TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,"
        " stem TEXT NOT NULL, PRIMARY KEY (source, first)) WITHOUT ROWID"
    ),
)
_PATIENCE_S = 5.0
_MOST_IDS = 10_000
"""Stretches of ids in the file, of all streams: more than a cursor remembers of one."""
_MILLENNIUM_MS = 253_402_300_800_000


class Ledger:
    """One open file. Its calls belong into one thread at a time; the connection may be used by any.

    Raises StoreError where the file cannot be used: another process has it, it is another consumer's (StoreError), a
    newer program's (SchemaTooNew) or damaged (CorruptRecord).
    """

    def __init__(self, path: Path, consumer: str) -> None:
        self.path = path
        self._lock = _locked(path)
        try:
            self.db = _opened(path, consumer)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Close the file; what was not committed is gone."""
        self.db.close()
        os.close(self._lock)

    def load(self, source: str) -> Saved | None:
        """Return what is known of one stream; None if nothing."""
        try:
            return self._load(source)
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise _damaged(self.path, error) from None

    def _load(self, source: str) -> Saved | None:
        found = self.db.execute("SELECT begun, stream FROM tocsin_stream WHERE source = ?", (source,)).fetchone()
        if found is None:
            return None
        spans = self.db.execute("SELECT first, last FROM tocsin_done WHERE source = ? ORDER BY first", (source,))
        steps = self.db.execute(
            "SELECT fingerprint, activation, count, over FROM tocsin_step WHERE source = ? ORDER BY id", (source,)
        )
        frail = self.db.execute("SELECT first, last, stem FROM tocsin_frail WHERE source = ? ORDER BY first", (source,))
        ids = self.db.execute("SELECT first, last, stem FROM tocsin_id WHERE source = ? ORDER BY id", (source,))
        return Saved(
            begun=bool(found[0]),
            stream=str(found[1]),
            done=tuple((int(first), int(last)) for first, last in spans),
            steps={
                str(name): Step(activation=int(activation), count=int(count), over=bool(over))
                for name, activation, count, over in steps
            },
            frail=tuple(Piece(int(first), int(last), str(stem)) for first, last, stem in frail),
            ids=tuple(Piece(int(first), int(last), str(stem)) for first, last, stem in ids),
        )

    def last_at(self) -> int:
        """Return the time that no ack was later than, milliseconds since 1970."""
        return int(self.db.execute("SELECT at FROM tocsin_consumer").fetchone()[0])

    def begin(self) -> None:
        """Begin a transaction."""
        self.db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make the transaction last, also through a loss of power."""
        self.db.execute("COMMIT")

    def roll_back(self) -> None:
        """Let nothing of the transaction have been."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def keep_at(self, at: int) -> None:
        """Note, inside a transaction, that no ack will be later than this."""
        self.db.execute("UPDATE tocsin_consumer SET at = ?", (at,))

    def settle(self, source: str, plan: Plan) -> None:
        """Note, inside a transaction, what of a stream needs no handing over, and whether we have begun with it."""
        if plan.is_new:
            for table in ("done", "step", "frail"):
                self.db.execute(f"DELETE FROM tocsin_{table} WHERE source = ?", (source,))  # noqa: S608 - names of ours
        for first, last in plan.void:
            self._remove(source, first, last)
        if plan.void:
            self.db.execute("DELETE FROM tocsin_step WHERE source = ?", (source,))
        for piece in plan.ids:
            self._note_id(source, piece)
        row = (source, int(plan.begun), plan.stream)
        self.db.execute("INSERT OR REPLACE INTO tocsin_stream VALUES (?, ?, ?)", row)
        for first, last in plan.spans:
            self._add(source, first, last)
            self._cut(source, first, last)

    def done(self, source: str, entry: Entry, noting: Noting, *, late: bool) -> None:
        """Note, inside a transaction, that a message was handled."""
        piece = noting.piece
        if entry.durable:
            self._cut(source, entry.seq, entry.seq)
            self._note_id(source, piece)
            if noting.is_had:
                self._add(source, entry.seq, entry.seq)
        else:
            self._cut(source, piece.first, piece.last)
            self.db.execute("INSERT INTO tocsin_frail VALUES (?, ?, ?, ?)", (source, *piece))
        if not late:
            self.db.execute(
                "INSERT OR REPLACE INTO tocsin_step (source, fingerprint, activation, count, over)"
                " VALUES (?, ?, ?, ?, ?)",
                (source, entry.fingerprint, entry.step.activation, entry.step.count, int(entry.step.over)),
            )

    def _note_id(self, source: str, piece: Piece) -> None:
        """Join a stretch of ids with those of its life that it overlaps or adjoins."""
        first, last, stem = piece
        touched = "FROM tocsin_id WHERE source = ? AND stem = ? AND first <= ? AND last >= ?"
        where = (source, stem, last + 1, first - 1)
        low, high = self.db.execute(f"SELECT min(first), max(last) {touched}", where).fetchone()
        if low is not None:
            self.db.execute(f"DELETE {touched}", where)
            first, last = min(first, low), max(last, high)
        row = (source, stem, first, last)
        self.db.execute("INSERT INTO tocsin_id (source, stem, first, last) VALUES (?, ?, ?, ?)", row)

    def _cut(self, source: str, first: int, last: int) -> None:
        """Take a stretch out of what was handled and was not durable."""
        touched = "FROM tocsin_frail WHERE source = ? AND first <= ? AND last >= ?"
        where = (source, last, first)
        found = self.db.execute(f"SELECT first, last, stem {touched}", where).fetchall()
        if found:
            self.db.execute(f"DELETE {touched}", where)
            rest = [part for row in found for part in without(Piece(*row), first, last)]
            self.db.executemany("INSERT INTO tocsin_frail VALUES (?, ?, ?, ?)", [(source, *part) for part in rest])

    def _remove(self, source: str, first: int, last: int) -> None:
        """Take a stretch out of what is had."""
        touched = "FROM tocsin_done WHERE source = ? AND first <= ? AND last >= ?"
        where = (source, last, first)
        for low, high in self.db.execute(f"SELECT first, last {touched}", where).fetchall():
            self.db.execute("DELETE FROM tocsin_done WHERE source = ? AND first = ?", (source, low))
            rest = [(low, min(high, first - 1)), (max(low, last + 1), high)]
            kept = [(source, *span) for span in rest if span[0] <= span[1]]
            self.db.executemany("INSERT INTO tocsin_done VALUES (?, ?, ?)", kept)

    def _add(self, source: str, first: int, last: int) -> None:
        """Join a stretch with those that it overlaps or adjoins."""
        touched = "FROM tocsin_done WHERE source = ? AND first <= ? AND last >= ?"
        where = (source, last + 1, first - 1)
        low, high = self.db.execute(f"SELECT min(first), max(last) {touched}", where).fetchone()
        if low is not None:
            self.db.execute(f"DELETE {touched}", where)
            first, last = min(first, low), max(last, high)
        self.db.execute("INSERT INTO tocsin_done VALUES (?, ?, ?)", (source, first, last))


def guard(db: sqlite3.Connection) -> None:
    """Forbid a handler to end the transaction that it writes in: the cursor would not be in it."""
    db.set_authorizer(_no_transactions)


def unguard(db: sqlite3.Connection) -> None:
    """Allow it again."""
    db.set_authorizer(None)


def _no_transactions(action: int, *_: object) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK


def _opened(path: Path, consumer: str) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE_S, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be opened: {error}; check the folder, its owner and mode") from error
    try:
        _prepare(db, path, consumer)
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.OperationalError):
            raise StoreError(f"{path}: cannot be used: {error}; check owner, mode and free space") from error
        if isinstance(error, sqlite3.DatabaseError | ValueError | TypeError):
            raise _damaged(path, error) from None
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, consumer: str) -> None:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise StoreError(f"{path}: is no cursor file of Tocsin; name another one")
    if version > VERSION:
        raise SchemaTooNew(f"{path}: has schema {version}, this program knows {VERSION}; use the newer program")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    if not version:
        _lay_out(db, consumer)
    if (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(verdict)
    name, at = db.execute("SELECT name, at FROM tocsin_consumer").fetchone() or (None, None)
    if not isinstance(at, int) or not 0 <= at < _MILLENNIUM_MS:
        raise sqlite3.DatabaseError("the row of the consumer is not what was written")
    if name != consumer:
        raise StoreError(f"{path}: is the cursor of {name!r}, not of {consumer!r}; name another file")
    with closing(db.execute("SELECT max(id) FROM tocsin_step")) as found:
        newest = int(found.fetchone()[0] or 0)
    db.execute("DELETE FROM tocsin_step WHERE over AND id < ?", (newest - MOST_ALERTS,))
    db.execute(
        "DELETE FROM tocsin_id WHERE id NOT IN (SELECT id FROM tocsin_id ORDER BY id DESC LIMIT ?)", (_MOST_IDS,)
    )


def _lay_out(db: sqlite3.Connection, consumer: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement in _LAYOUT:
        db.execute(statement)
    db.execute("INSERT INTO tocsin_consumer VALUES (1, ?, 0)", (consumer,))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def _damaged(path: Path, error: Exception) -> CorruptRecord:
    what = f"{path}: is damaged ({error}); move it away, and all that is kept comes again with start='beginning'"
    return CorruptRecord(what)


def _locked(path: Path) -> int:
    """Take the file for this process: two clients of one name would end each other's connection in turn."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{lock}: cannot be opened: {error.strerror}; check the folder, its owner and mode") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise StoreError(f"{path}: in use by process {holder}; end that one or name another file") from error
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
