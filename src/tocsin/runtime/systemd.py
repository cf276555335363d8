"""What the daemon says to the service manager: readiness, reloads, a status line, and that it is alive.

The protocol is sd_notify(3): datagrams of `KEY=value` lines to the socket in `$NOTIFY_SOCKET`. Where there is none
every call is a no-op, so callers never ask.
"""

import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.clock import Clock

log = logging.getLogger(__name__)

PATIENCE_S: Final = 1.0
"""A message that changes the unit's state waits this long for room in the manager's queue; others don't wait."""

EXTEND_S: Final = 60
"""So long a start may take from each word about it on. `runtime.recovery` says one every few seconds."""


@dataclass(slots=True, kw_only=True)
class Notifier:
    """Speaks to the manager at `address`: a path, or an abstract name that starts with `@`."""

    clock: Clock
    address: str | None
    _shown: str = ""
    _complained: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], clock: Clock) -> "Notifier":
        """Take the address from the environment that the manager made."""
        return cls(clock=clock, address=environ.get("NOTIFY_SOCKET") or None)

    def ready(self, status: str) -> None:
        """Start-up (or a reload) is complete."""
        self._send({"READY": "1", "STATUS": status}, patient=True)

    def starting(self, status: str) -> None:
        """Start-up goes on: the manager waits for `EXTEND_S` more, whatever its TimeoutStartSec."""
        self._send({"EXTEND_TIMEOUT_USEC": str(EXTEND_S * 10**6), "STATUS": status}, patient=True)

    def reloading(self, status: str) -> None:
        """Say that a reload begins; `ready` ends it.

        The instant tells the manager which `ready` answers which reload: without it systemd 253 and newer wait in vain.
        """
        usec = self.clock.monotonic_ns() // 1000
        self._send({"RELOADING": "1", "MONOTONIC_USEC": str(usec), "STATUS": status}, patient=True)

    def stopping(self, status: str) -> None:
        """Shutdown begins."""
        self._send({"STOPPING": "1", "STATUS": status}, patient=True)

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows. Said when it changes."""
        if text != self._shown:
            self._send({"STATUS": text})

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send({"WATCHDOG": "1"})

    def _send(self, fields: Mapping[str, str], *, patient: bool = False) -> None:
        if self.address is None:
            return
        # A line break in a status would start a field of its own.
        text = "".join(f"{key}={' '.join(value.split())}\n" for key, value in fields.items())
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(PATIENCE_S if patient else 0.0)
                channel.sendto(text.encode(), name)
            self._shown = fields.get("STATUS", self._shown)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            log.warning("the service manager cannot be told anything: %s", error.strerror or error)
