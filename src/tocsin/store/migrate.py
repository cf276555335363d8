"""Migrations run forward, on a copy, and keep what was there before.

The old database stays in its place until the new one is whole and on the disk; then one rename swaps them. A crash
at any point leaves either the old one (the copy is thrown away and made again) or the new one.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from tocsin.errors import SchemaTooNew, StoreError
from tocsin.store.migrate_1_2 import one_to_two
from tocsin.store.migrate_2_3 import two_to_three
from tocsin.store.schema import VERSION

Step = Callable[[sqlite3.Connection], None]

STEPS: Mapping[int, Step] = {1: one_to_two, 2: two_to_three}
"""By the version that each one leads away from."""


def backup_path(path: Path, version: int) -> Path:
    """Return where the database of an older version is kept."""
    return path.with_name(f"{path.name}.v{version}.bak")


def check_version(path: Path, found: int) -> None:
    """Raise SchemaTooNew, with the command to use, when a newer program wrote the database."""
    if found <= VERSION:
        return
    message = (
        f"{path}: written by a newer Tocsin (store schema {found}, this program knows {VERSION}). "
        "Start the newer program: pip install --upgrade tocsin && tocsin run"
    )
    backup = backup_path(path, VERSION)
    if backup.exists():
        message += f". Or go back to the state before its upgrade, losing what came since: mv {backup} {path}"
    raise SchemaTooNew(message)


def migrate(path: Path, found: int, *, steps: Mapping[int, Step] = STEPS) -> Path:
    """Bring the database at `path` from version `found` to the current one; return where the old one is kept.

    Raises sqlite3.Error or StoreError; the old database is then untouched.
    """
    work = path.with_name(f"{path.name}.migrating")
    remove_database(work)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        # Leaving WAL mode folds the log into the file, so that no log of the old file can meet the new one.
        old.execute("PRAGMA journal_mode = DELETE")
        with closing(sqlite3.connect(work, isolation_level=None)) as new:
            old.backup(new)
            _run(new, found, steps)
    sync_path(work)
    backup = backup_path(path, found)
    backup.unlink(missing_ok=True)
    os.link(path, backup)
    work.replace(path)
    sync_path(path.parent)
    return backup


def _run(db: sqlite3.Connection, found: int, steps: Mapping[int, Step]) -> None:
    db.execute("PRAGMA synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")
    for version in range(found, VERSION):
        step = steps.get(version)
        if step is None:
            raise StoreError(f"no way leads from store schema {version}; start with an older Tocsin first")
        step(db)
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")
    verdict = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreError(f"the migrated copy is not sound: {verdict}")


def remove_database(work: Path) -> None:
    """Remove a database and what lies beside it, as far as they exist."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        work.with_name(work.name + suffix).unlink(missing_ok=True)


def sync_path(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
