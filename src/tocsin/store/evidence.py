"""Evidence that is too long to travel in its alert: one file each, named by its digest, so that it stays checkable.

The journal has it too, but forgets it after a day or two, and somebody may ask for it in a month. What no alert has
shown for longest goes first where there is too much. An alert whose evidence cannot be written goes out all the same.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tocsin.ids import digest
from tocsin.store.files import sync_folder

FOLDER: Final = "evidence"
MOST_BYTES: Final = 256 << 20
"""A few thousand accusations: of each, proofs of some 40 kB, or the receipts of a block."""
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_SUFFIX: Final = ".json"
_PART: Final = ".part"


class EvidenceFolder:
    """The evidence that a state directory keeps; from any thread, but one at a time."""

    def __init__(self, state_dir: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self.path = state_dir / FOLDER
        self._most_bytes = most_bytes

    def keep(self, found: Mapping[str, bytes]) -> str:
        """Keep evidence by its digest, and what was kept already a while longer; return what stands against it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = [name for name, data in found.items() if self._write(name, data)]
            if fresh:
                sync_folder(self.path)
            self._prune(set(found))
        except OSError as error:
            return f"{self.path}: cannot be written: {error.strerror}"
        return ""

    def find(self, name: str) -> bytes | None:
        """Return the evidence with a digest; None where it is not kept any more, or was changed since."""
        if not _NAME.fullmatch(name):
            return None
        try:
            data = self._file(name).read_bytes()
        except OSError:
            return None
        return data if digest(data) == name else None

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"

    def _write(self, name: str, data: bytes) -> bool:
        """Write evidence unless it is there; tell whether it was not."""
        file = self._file(name)
        if self.find(name) is not None:
            os.utime(file)
            return False
        part = file.with_suffix(_PART)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            part.replace(file)
        except OSError:
            part.unlink(missing_ok=True)  # what others need more: a disk that is full
            raise
        return True

    def _prune(self, spared: set[str]) -> None:
        """Remove what was not shown for longest, down to the bound, and what a crash left half written."""
        for part in self.path.glob(f"*{_PART}"):
            part.unlink(missing_ok=True)
        kept = []
        for file in self.path.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                about = file.stat()
                kept.append((about.st_mtime_ns, about.st_size, file))
        total = sum(size for _, size, _ in kept)
        for _, size, file in sorted(kept):
            if total <= self._most_bytes:
                return
            if file.stem not in spared:
                file.unlink(missing_ok=True)
                total -= size
