"""One daemon per state directory: an advisory lock that a killed process gives back by dying."""

import fcntl
import os
from pathlib import Path

from tocsin.errors import StoreError

_NAME = "lock"


class StateLock:
    """Held from construction to `release`. Raises StoreError naming the holder's process id when taken."""

    def __init__(self, state_dir: Path) -> None:
        path = state_dir / _NAME
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}; check owner and mode") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreError(
                f"{state_dir}: in use by process {holder}; stop that daemon or set another watchdog.state_dir"
            ) from error
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # The lock holds without the number, which is for people; a full disk must not keep the daemon down.
            pass

    def release(self) -> None:
        """Give the directory free. The file stays: removing it would let two processes lock two files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
