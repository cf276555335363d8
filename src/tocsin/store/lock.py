"""One daemon per state directory: an advisory lock that a killed process gives back by dying."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from tocsin.errors import StoreError

_NAME = "lock"


class StateLock:
    """Held from construction to `release`. Raises StoreError naming the holder's process id when taken."""

    def __init__(self, state_dir: Path) -> None:
        self._dir = state_dir
        self._fd = _locked(state_dir)

    def renew(self) -> None:
        """Lock the directory that has the name now, when the one that was locked has it no more.

        Raises StoreError as the construction does; the old one is then still held.
        """
        held = os.fstat(self._fd)
        with suppress(OSError):
            if os.path.samestat((self._dir / _NAME).stat(), held):
                return
        fresh = _locked(self._dir)
        os.close(self._fd)
        self._fd = fresh

    def release(self) -> None:
        """Give the directory free. The file stays: removing it would let two processes lock two files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _locked(state_dir: Path) -> int:
    path = state_dir / _NAME
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}; check owner and mode") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise StoreError(
            f"{state_dir}: in use by process {holder}; stop that daemon or set another watchdog.state_dir"
        ) from error
    # The lock holds without the number, which is for people; a full disk must not keep the daemon down.
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
