"""Messages to the service manager, over real datagram sockets."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.clock import SystemClock
from tocsin.runtime.systemd import Notifier, keep_alive, watchdog_ns


class Manager:
    """The manager's end of the notification socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(5)

    def heard(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def silent(self) -> bool:
        self.socket.settimeout(0)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(5)
        return False

    def notifier(self, watchdog: int | None = None) -> Notifier:
        return Notifier(clock=SystemClock(), address=self.address, watchdog_ns=watchdog)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@tocsin-test-{os.getpid()}"
    end = Manager(address)
    try:
        yield end
    finally:
        end.socket.close()


def test_ready_comes_with_the_status_line(manager: Manager) -> None:
    manager.notifier().ready("2 chains ok")
    assert manager.heard() == {"READY": "1", "STATUS": "2 chains ok"}


def test_a_reload_says_when_it_began_on_the_monotonic_clock(manager: Manager) -> None:
    before = SystemClock().monotonic_ns() // 1000
    manager.notifier().reloading("reading the configuration")
    said = manager.heard()
    after = SystemClock().monotonic_ns() // 1000
    assert said["RELOADING"] == "1"
    assert before <= int(said["MONOTONIC_USEC"]) <= after


def test_stopping_alive_and_more_time_have_their_own_messages(manager: Manager) -> None:
    notifier = manager.notifier()
    notifier.stopping("draining")
    notifier.alive()
    notifier.extend_timeout(30_000_000_000)
    assert manager.heard() == {"STOPPING": "1", "STATUS": "draining"}
    assert manager.heard() == {"WATCHDOG": "1"}
    assert manager.heard() == {"EXTEND_TIMEOUT_USEC": "30000000"}


def test_a_status_text_cannot_smuggle_in_another_field(manager: Manager) -> None:
    manager.notifier().status("all well\nWATCHDOG=1\nREADY=1")
    assert manager.heard() == {"STATUS": "all well WATCHDOG=1 READY=1"}


def test_without_a_manager_and_with_a_dead_one_every_call_is_harmless(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for address in (None, str(tmp_path / "nobody")):
        notifier = Notifier(clock=SystemClock(), address=address)
        notifier.ready("x")
        notifier.alive()
        notifier.stopping("x")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20_000_000_000),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "42"}, 20_000_000_000),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_interval_counts_only_for_the_process_it_was_meant_for(
    environ: dict[str, str], expected: int | None
) -> None:
    assert watchdog_ns(environ, 42) == expected


def test_the_environment_of_a_unit_is_understood(manager: Manager) -> None:
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier.from_environ(environ, SystemClock())
    assert notifier.watchdog_ns == 3_000_000_000
    notifier.alive()
    assert manager.heard() == {"WATCHDOG": "1"}


class EnoughError(Exception):
    """Ends a loop that never returns."""


async def rounds(manager: Manager, health: list[bool], status: list[str]) -> list[float]:
    """Run the keeper for as many rounds as `health` has entries; return its pauses."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == len(health):
            raise EnoughError

    with pytest.raises(EnoughError):
        await keep_alive(
            manager.notifier(watchdog=9_000_000_000),
            healthy=lambda: health[len(pauses)],
            status=lambda: status[len(pauses)],
            sleep=sleep,
        )
    return pauses


async def test_the_watchdog_is_fed_three_times_per_interval_and_only_in_health(manager: Manager) -> None:
    assert await rounds(manager, [True, False, True], ["ok", "ok", "ok"]) == [3.0, 3.0, 3.0]
    assert manager.heard() == {"WATCHDOG": "1"}
    assert manager.heard() == {"STATUS": "ok"}
    assert manager.heard() == {"WATCHDOG": "1"}
    assert manager.silent()


async def test_the_status_line_is_sent_when_it_changes_also_in_sickness(manager: Manager) -> None:
    await rounds(manager, [False, False, False], ["ok", "tick is late", "tick is late"])
    assert manager.heard() == {"STATUS": "ok"}
    assert manager.heard() == {"STATUS": "tick is late"}
    assert manager.silent()
