"""Replacing a damaged database by a fresh one that holds what can still be read: undelivered alerts above all.

The fresh one is made beside the damaged one, which is only read. Then two renames: a crash before the first one
starts over, a crash between them is finished by the next start.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from tocsin.store.checksum import DAMAGED
from tocsin.store.drops import Drops
from tocsin.store.identity import STREAM, make_stream, stream_in, stream_of
from tocsin.store.migrate import remove_database, sync_path
from tocsin.store.schema import LAYOUT, lay_out, statements
from tocsin.store.sound import CONSUMER, DROPPED, NOTICE, OUTBOX, RETAINED, Kinds, is_sound
from tocsin.store.spans import lacking, read

_SAVED: Mapping[str, Kinds] = {
    "outbox": OUTBOX,
    "retained": RETAINED,
    "dropped": DROPPED,
    "consumer": CONSUMER,
    "notice": NOTICE,
}
_BESIDE = ("-wal", "-shm")
_UNREADABLE = (sqlite3.Error, ValueError, TypeError, OverflowError)
"""What reading a damaged database can raise: names and texts need not even decode."""


def replace_damaged(path: Path, aside: Path, wall_ns: int) -> dict[str, int]:
    """Put a fresh database in the place of a damaged one, which is kept as `aside`; return rows saved by table.

    `lost` among them counts numbers of the stream of which nothing is left; they are recorded as dropped at `wall_ns`.

    Raises OSError or sqlite3.Error when a fresh one cannot be written; the damaged one is then where it was.
    """
    fresh = _fresh(path)
    remove_database(fresh)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as new:
        lay_out(new)
        with _readable(path) as old:
            saved = _salvage(old, new, wall_ns)
    sync_path(fresh)
    path.rename(aside)
    finish_replacing(path, aside)
    return saved


def finish_replacing(path: Path, aside: Path | None = None) -> bool:
    """Move a fresh database to its place when that is empty; say whether it was. The old log must not meet it."""
    fresh = _fresh(path)
    if path.exists() or not fresh.exists():
        return False
    for suffix in _BESIDE:
        log = path.with_name(path.name + suffix)
        if aside is None:
            log.unlink(missing_ok=True)
        elif log.exists():
            log.rename(aside.with_name(aside.name + suffix))
    fresh.replace(path)
    sync_path(path.parent)
    return True


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.fresh")


@contextmanager
def _readable(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of a damaged database, with the table definitions put right; where it does not fit, the original."""
    copy = path.with_name(f"{path.name}.salvage")
    remove_database(copy)
    try:
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
        with suppress(*_UNREADABLE):
            _mend_layout(copy)
        target = str(copy)
    except OSError:
        remove_database(copy)
        target = f"{path.as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(target, uri=True, isolation_level=None)) as db:
            db.text_factory = partial(str, encoding="utf-8", errors="replace")
            yield db
    finally:
        remove_database(copy)


def _mend_layout(copy: Path) -> None:
    """Write the definitions that the tables must have: one changed byte there makes every row unreadable."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        for statement in statements(LAYOUT):
            words = statement.split()
            if words[:2] == ["CREATE", "TABLE"] and words[2] in (*_SAVED, "head", "meta"):
                db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ? AND type = 'table'", (statement, words[2]))


def _salvage(old: sqlite3.Connection, new: sqlite3.Connection, wall_ns: int) -> dict[str, int]:
    new.execute("BEGIN IMMEDIATE")
    saved = {table: _copy_rows(old, new, table, kinds) for table, kinds in _SAVED.items()}
    odd = new.execute("DELETE FROM outbox WHERE severity NOT IN (0, 1, 2) OR lane NOT IN (0, 1)").rowcount
    saved["outbox"] -= odd
    saved["notice"] -= new.execute("DELETE FROM notice WHERE severity NOT IN (0, 1, 2)").rowcount
    _carry_head(old, new)
    _carry_stream(old, new)
    saved["lost"] = _record_lost(new, wall_ns)
    new.execute("COMMIT")
    return saved


def _record_lost(new: sqlite3.Connection, wall_ns: int) -> int:
    """Record the numbers that nothing is left of, so that those who wait for them are told; return how many.

    What lies at or below `pruned_seq` was there and went in good order, as far as anybody can know.
    """
    last, pruned = new.execute("SELECT last_seq, pruned_seq FROM head").fetchone()
    known = [(seq, seq) for (seq,) in new.execute("SELECT seq FROM outbox WHERE seq > ?", (pruned,))]
    for first, until, spans in new.execute("SELECT first, last, spans FROM dropped WHERE what = 'outbox'"):
        known += read(spans) or ((first, until),)
    lost = lacking(known, max(pruned, 0) + 1, last)
    if lost:
        Drops(new).record_spans(lost, DAMAGED, wall_ns)
    return sum(high - low + 1 for low, high in lost)


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, table: str, kinds: Kinds) -> int:
    insert = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(kinds))})"  # noqa: S608 - names of ours
    copied = 0
    for rowid in _rowids(old, table):
        with suppress(*_UNREADABLE):
            row = old.execute(f"SELECT * FROM {table} WHERE rowid = ?", (rowid,)).fetchone()  # noqa: S608
            if row is not None and is_sound(row, kinds):
                copied += new.execute(insert, row).rowcount
    return copied


def _rowids(old: sqlite3.Connection, table: str) -> list[int]:
    """Return what can be enumerated, from the front and from the back: a broken page lies somewhere between."""
    found: dict[int, None] = {}
    for order in ("ASC", "DESC"):
        query = f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid {order}"  # noqa: S608 - names of ours
        with suppress(*_UNREADABLE):
            for (rowid,) in old.execute(query):
                found[int(rowid)] = None
    return sorted(found)


def _carry_stream(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Keep the id of the stream, whose numbers go on; where it cannot be read, the salvaged messages name it."""
    stream = ""
    with suppress(*_UNREADABLE):
        stream = stream_of(old)
    newest = new.execute("SELECT payload FROM outbox ORDER BY seq DESC LIMIT 100").fetchall()
    new.execute("DELETE FROM meta WHERE key = ?", (STREAM,))
    make_stream(new, stream or stream_in(payload for (payload,) in newest))


def _carry_head(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Numbers go on where they were; where the head row is gone, behind the salvaged rows."""
    with suppress(*_UNREADABLE):
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
