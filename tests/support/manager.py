"""The service manager's end of the notification socket (sd_notify(3))."""

import socket

from tocsin.clock import SystemClock
from tocsin.runtime.systemd import Notifier


class Manager:
    """Listens at a path, or at an abstract name that starts with `@`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(5)

    def heard(self) -> dict[str, str]:
        """Return the next message; wait for it if need be."""
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def waiting(self) -> list[dict[str, str]]:
        """Return every message that is there."""
        found = []
        self._socket.settimeout(0)
        try:
            while True:
                found.append(self.heard())
        except BlockingIOError:
            return found
        finally:
            self._socket.settimeout(5)

    def silent(self) -> bool:
        """Tell whether nothing is there."""
        return not self.waiting()

    def notifier(self) -> Notifier:
        """Return the daemon's end."""
        return Notifier(clock=SystemClock(), address=self.address)

    def close(self) -> None:
        self._socket.close()
