"""Opening the database: fresh, as it is, migrated, or quarantined with what could be salvaged from it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.clock import Clock
from tocsin.errors import StoreError, StoreFull
from tocsin.store.migrate import STEPS, check_version, migrate
from tocsin.store.salvage import finish_replacing, replace_damaged
from tocsin.store.schema import VERSION, lay_out
from tocsin.store.sound import check_layout, damaged
from tocsin.store.space import Reserve, is_damaged, is_passing, is_unwritable
from tocsin.store.values import Notice, NoticeKind

NAME = "tocsin.db"
PATIENCE_MS = 5000
"""How long a lock of another process is waited for."""

_WAL_KEPT = 16 << 20


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
            raise StoreError(f"{path}: cannot be opened: {error}; end what else holds it") from error
        reserve.release()
    try:
        return _open(path, clock)
    except sqlite3.Error as error:
        raise StoreFull(f"{path}: cannot be written: {error}; free space there or check owner and mode") from error


def connect(path: Path) -> sqlite3.Connection:
    """Connect the way the store does everywhere, to a database that is there or to one still to be made."""
    return _connected(str(path))


def connect_existing(path: Path) -> sqlite3.Connection:
    """Connect to a database that must be there. Raises sqlite3.OperationalError when it is not."""
    return _connected(f"{path.absolute().as_uri()}?mode=rw")


def _connected(target: str) -> sqlite3.Connection:
    db = sqlite3.connect(target, isolation_level=None, timeout=PATIENCE_MS / 1000, uri=target.startswith("file:"))
    db.execute("PRAGMA secure_delete = OFF")
    return db


def _open(path: Path, clock: Clock) -> Opened:
    try:
        return open_sound(path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # Our statements are right: what they fail on is the disk, someone else's lock, or damage.
        if isinstance(error, sqlite3.Error) and (is_unwritable(error) or is_passing(error)):
            raise
        return quarantine(path, clock=clock, why=str(error))


def open_sound(path: Path) -> Opened:
    """Open a database that is sound. Raises sqlite3.Error or UnicodeDecodeError as whatever is wrong with it does."""
    notices = []
    if finish_replacing(path):
        text = f"{path}: was damaged and moved to {path}.corrupt-*; what could be read of it is here"
        notices.append(Notice(kind=NoticeKind.QUARANTINED, text=text))
    found = _version(path)
    if found:
        check_version(path, found)
        if found < VERSION:
            backup = _migrate(path, found)
            text = f"{path}: migrated from store schema {found} to {VERSION}; the old one is kept as {backup}"
            notices.append(Notice(kind=NoticeKind.MIGRATED, text=text))
    db = connect(path)
    try:
        _prepare(db, fresh=not found)
    except BaseException:
        db.close()
        raise
    return Opened(db=db, notices=notices)


def _migrate(path: Path, found: int) -> Path:
    if found not in STEPS:
        raise damaged(f"{path}: no store was ever of schema {found}")
    try:
        return migrate(path, found)
    except sqlite3.Error as error:
        if is_damaged(error) or is_unwritable(error):
            raise
        raise StoreError(f"{path}: cannot be migrated from store schema {found}: {error}; it is as it was") from error


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
        lay_out(db)
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise damaged(str(verdict))
    check_layout(db)
    if db.execute("SELECT count(*) FROM head").fetchone()[0] != 1:
        raise damaged("the head row is missing")


def quarantine(path: Path, *, clock: Clock, why: str) -> Opened:
    """Move a damaged database aside, and go on with a fresh one that holds what can still be read of it."""
    aside = _aside(path, clock)
    saved = replace_damaged(path, aside, clock.wall_ns())
    opened = open_sound(path)
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
