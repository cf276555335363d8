"""mosquitto as a distribution ships it: it keeps what it has in a file that it writes every half hour, and at the end.

So it has lost all of it when it is killed: sessions, what it held for them, and what was retained.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
_WAIT_S: Final = 10.0
HOST: Final = "127.0.0.1"


class NoBroker(RuntimeError):  # noqa: N818 - reads as the condition
    """There is no mosquitto on this host."""


class Broker:
    """One broker on a port of its own, with default persistence. It may be ended and started again."""

    def __init__(self, folder: Path, *, lines: Sequence[str] = ("allow_anonymous true",)) -> None:
        self.folder = folder / "broker"
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.lines = tuple(lines)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it listens."""
        program = shutil.which("mosquitto", path=_PATH)
        if program is None:
            raise NoBroker("mosquitto is not installed: apt-get install mosquitto")
        config = self.folder / "mosquitto.conf"
        kept = ("persistence true", f"persistence_location {self.folder}/")
        head = (f"user {getpass.getuser()}", f"listener {self.port} {HOST}", *kept)
        config.write_text("\n".join([*head, *self.lines, ""]))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1):
                return
            time.sleep(0.01)
        raise NoBroker(f"mosquitto did not start; see {self.folder / 'log'}")

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an administrator would: it writes down what it has."""
        self._end(signal.SIGTERM)

    def reload(self) -> None:
        """Let it read its files anew."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def wipe(self) -> None:
        """Take what it had written down."""
        for path in self.folder.glob("mosquitto.db*"):
            path.unlink()

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(_WAIT_S)
            self.process = None


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
