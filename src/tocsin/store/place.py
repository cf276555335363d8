"""Where the database lies, and whether the files that are open still lie there.

SQLite writes on into files that were deleted, moved away or covered by a mount, and says nothing: all of it would be
gone with the process, while everybody was told that it is safe. So names are compared with files before each
transaction; that costs two calls of the file system, a commit costs a sync.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from enum import Enum, auto
from pathlib import Path

from tocsin.errors import StoreError
from tocsin.store.migrate import remove_database, sync_path

_File = tuple[int, int]
"""Device and inode."""


class Standing(Enum):
    """What became of the files that are open."""

    SOUND = auto()
    """They lie where they lay."""
    GONE = auto()
    """Deleted or moved away, and nothing lies in their place."""
    REPLACED = auto()
    """Another database lies in their place."""
    COVERED = auto()
    """Another file system is there: theirs was unmounted, or one was mounted above it."""
    HIDDEN = auto()
    """The file system does not let it be told."""


class Place:
    """The place of one database. Its connection is open, and has written."""

    def __init__(self, path: Path, *, every_ns: int) -> None:
        """Try to make it anew no more often than `every_ns`."""
        self.path = path
        self._every_ns = every_ns
        self._next_try_ns = 0
        self._why_not = ""
        self._log = path.with_name(f"{path.name}-wal")
        self._database = _file(path)
        self._log_file = _found(self._log)
        self._device = path.parent.stat().st_dev

    def standing(self) -> Standing:
        """Compare names with files."""
        try:
            if _file(self.path) == self._database:
                # Without its log the newest commits are lost all the same.
                return Standing.SOUND if _found(self._log) == self._log_file else Standing.GONE
            return Standing.REPLACED if self.path.parent.stat().st_dev == self._device else Standing.COVERED
        except FileNotFoundError:
            return Standing.GONE if self._is_same_device() else Standing.COVERED
        except OSError:
            return Standing.HIDDEN

    def _is_same_device(self) -> bool:
        with suppress(OSError):
            nearest = next(folder for folder in self.path.parents if folder.exists())
            return nearest.stat().st_dev == self._device
        return False

    def trouble(self, now_ns: int, make_anew: Callable[[], None]) -> str:
        """Say where what is wrong and what to do, or nothing.

        What is gone is made anew with `make_anew`, which may raise OSError, sqlite3.Error or StoreError.
        """
        standing = self.standing()
        if standing is Standing.GONE and now_ns >= self._next_try_ns:
            self._next_try_ns = now_ns + self._every_ns
            try:
                make_anew()
            except (OSError, sqlite3.Error, StoreError) as error:
                self._why_not = str(getattr(error, "strerror", None) or error)
            else:
                return ""
        return self._advice(standing)

    def _advice(self, standing: Standing) -> str:
        folder = self.path.parent
        match standing:
            case Standing.SOUND:
                return ""
            case Standing.GONE:
                what = f"{folder}: was deleted or moved away while in use, and cannot be made anew: {self._why_not}"
                return f"{what}; put it back, or restart the daemon"
            case Standing.REPLACED:
                return (
                    f"{self.path}: was replaced while in use; put the old one back, or restart to go on with this one"
                )
            case Standing.COVERED:
                what = f"{folder}: another file system lies there now"
                return f"{what}; mount the old one again, or restart to go on with this one"
            case Standing.HIDDEN:
                return f"{folder}: cannot be looked at; check owner and mode of it and of all above it"


def copy_to(db: sqlite3.Connection, path: Path) -> None:
    """Write all that a connection still reaches to a database at `path`, in the folder that it lay in or anew there.

    Closes the connection. Raises OSError or sqlite3.Error when it cannot be written; the connection is then open.
    """
    fresh = path.with_name(f"{path.name}.fresh")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_database(fresh)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as new:
        db.backup(new)
        new.execute("PRAGMA journal_mode = DELETE")
    sync_path(fresh)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    fresh.replace(path)
    sync_path(path.parent)
    db.close()


def _file(path: Path) -> _File:
    found = path.stat()
    return found.st_dev, found.st_ino


def _found(path: Path) -> _File | None:
    try:
        return _file(path)
    except FileNotFoundError:
        return None
