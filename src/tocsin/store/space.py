"""What is done about a full disk: telling it apart from other errors, and a reserve to spend."""

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

_NAME = "reserve"
_OUT_OF_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
    }
)
_HELD = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PASSING = _HELD | {sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT}
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_UNDECODABLE = "Could not decode to UTF-8"
"""How Python's sqlite3 says that a text is not one; the error carries no code."""


def is_unwritable(error: sqlite3.Error) -> bool:
    """Whether the disk refuses writes (full, over quota, read-only, failing) while the data is sound."""
    return _primary(error) in _UNWRITABLE


def is_held(error: sqlite3.Error) -> bool:
    """Whether another process holds the database: a shell that was left in a transaction, a backup."""
    return _primary(error) in _HELD


def is_passing(error: sqlite3.Error) -> bool:
    """Whether it says nothing about the database: another process holds it, or memory is short."""
    return _primary(error) in _PASSING


def is_damaged(error: BaseException) -> bool:
    """Whether the database itself cannot be trusted any more."""
    if isinstance(error, UnicodeDecodeError):
        return True  # the name of a column, or SQLite's own message that cites one
    if not isinstance(error, sqlite3.Error):
        return False
    return _primary(error) in _DAMAGED or str(error).startswith(_UNDECODABLE)


def is_out_of_space(error: OSError) -> bool:
    """Whether a file operation failed for want of space."""
    return error.errno in _OUT_OF_SPACE


def _primary(error: sqlite3.Error) -> int:
    """Return the primary result code: extended codes carry it in their low byte. -1 when Python raised itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else int(code) & 0xFF


class Reserve:
    """Blocks that belong to the outbox when nothing else is left."""

    def __init__(self, state_dir: Path, size: int) -> None:
        self._dir = state_dir
        self._path = state_dir / _NAME
        self._size = size

    @property
    def held(self) -> bool:
        """Whether the blocks are set aside."""
        return self._path.exists()

    def build(self) -> bool:
        """Set the blocks aside, all of them or none; say whether they are."""
        if self.held:
            return True
        part = self._path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
            part.replace(self._path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            return False
        return True

    def release(self) -> bool:
        """Give the blocks back to the file system; say whether there were any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def free_bytes(self) -> int:
        """Bytes that this process may still take on the device; 0 when it cannot be told."""
        try:
            stat = os.statvfs(self._dir)
        except OSError:
            return 0
        return stat.f_bavail * stat.f_frsize
