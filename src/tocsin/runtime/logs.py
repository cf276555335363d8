"""Logs: one line per record on standard error, every known secret blanked, for a terminal or for journald."""

import asyncio
import logging
import os
import sys
from dataclasses import dataclass
from typing import Any, Final, TextIO

import orjson

from tocsin.errors import UsageError
from tocsin.model.alert import AlertState, Severity
from tocsin.secret import RedactingFilter
from tocsin.wire.alertline import line

log = logging.getLogger(__name__)
alerts = logging.getLogger("tocsin.alerts")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Of syslog(3), as sd-daemon(3) reads it from the front of a line."""


_SEVERITY = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.CRITICAL}

_SILENCE_S: Final = 60.0


class _Lines(logging.Formatter):
    """Time is journald's where journald reads, ours elsewhere."""

    def __init__(self, *, journald: bool) -> None:
        super().__init__("%(message)s" if journald else "%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if not self._journald:
            return text
        mark = f"<{_PRIORITY.get(record.levelno, 6)}>"
        return "\n".join(mark + line for line in text.splitlines())


def _is_journal(stream: TextIO, journal: str) -> bool:
    """Tell whether the stream leads to journald.

    The variable is device and inode of the socket, since those who inherit it may write elsewhere: systemd.exec(5).
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal == f"{status.st_dev}:{status.st_ino}"


def set_up(level: str) -> None:
    """Send all logs to standard error. Raises UsageError for a level that does not exist."""
    if level.lower() not in _LEVELS:
        raise UsageError(f"no log level {level}; choose of {', '.join(_LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(journald=_is_journal(sys.stderr, os.environ.get("JOURNAL_STREAM", ""))))
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=_LEVELS[level.lower()], handlers=[handler], force=True)
    # A debug log of every packet would drown ours; their warnings still come through.
    for noisy in ("asyncio", "aiohttp.client", "numba"):
        logging.getLogger(noisy).setLevel(max(logging.INFO, _LEVELS[level.lower()]))


def log_alert(payload: bytes) -> None:
    """Log one event of the stream, as bad as it is: who reads the service's log and nothing else sees alerts too."""
    event = orjson.loads(payload)
    data = event["data"]
    is_over = data["state"] == AlertState.RESOLVED
    alerts.log(logging.INFO if is_over else _SEVERITY[data["severity"]], "%s", line(event, timed=False))


class LoopErrors:
    """Logs what an event loop complains of, without the arguments of callbacks: to be set as its exception handler.

    The loop cuts arguments short, and a half of a key is known to nobody as a secret. It may complain a hundred times a
    second (of a socket that cannot be accepted for want of descriptors); each complaint is logged once a minute.
    """

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], _Heard] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        what, error = str(context.get("message", "unhandled")).partition("(")[0], context.get("exception")
        heard = self._heard.setdefault((what, type(error).__name__), _Heard())
        if heard.since is not None and loop.time() - heard.since < _SILENCE_S:
            heard.more += 1
            return
        more = f" (and {heard.more} times before)" if heard.more else ""
        heard.since, heard.more = loop.time(), 0
        log.error("event loop: %s%s", what, more, exc_info=error)


@dataclass(slots=True)
class _Heard:
    """When a complaint was logged, and how often it came since."""

    since: float | None = None
    more: int = 0
