"""The status document on disk: what a reader gets when the daemon cannot be asked.

It is replaced as a whole, so that a reader sees the old or the new one and never half of one. It carries the
writer's process id beside `written_wall_ns`: a reader must be able to tell that the writer is gone.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson

FILE_NAME: Final = "status.json"
MODE: Final = 0o644


class StatusFile:
    """`status.json` in the runtime directory. Every method raises OSError as the file system says it."""

    def __init__(self, runtime_dir: Path) -> None:
        self.path: Final = runtime_dir / FILE_NAME
        self._fresh: Final = runtime_dir / f".{FILE_NAME}.new"

    def write(self, document: Mapping[str, object]) -> None:
        """Replace the document. `pid` is added."""
        body = orjson.dumps({**document, "pid": os.getpid()}, option=orjson.OPT_APPEND_NEWLINE)
        descriptor = os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
        with os.fdopen(descriptor, "wb") as file:
            # The umask of a service is usually tighter than what readers of this file need.
            os.fchmod(descriptor, MODE)
            file.write(body)
        self._fresh.replace(self.path)

    def remove(self) -> None:
        """Remove the document at a clean end; no error when it is not there."""
        self.path.unlink(missing_ok=True)
