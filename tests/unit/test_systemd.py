"""Messages to the service manager, over real datagram sockets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.manager import Manager

from tocsin.clock import SystemClock
from tocsin.runtime.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@tocsin-test-{os.getpid()}"
    end = Manager(address)
    try:
        yield end
    finally:
        end.close()


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


def test_stopping_and_alive_have_their_own_messages(manager: Manager) -> None:
    notifier = manager.notifier()
    notifier.stopping("draining")
    notifier.alive()
    assert manager.heard() == {"STOPPING": "1", "STATUS": "draining"}
    assert manager.heard() == {"WATCHDOG": "1"}


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


def test_a_status_line_is_said_when_it_changes(manager: Manager) -> None:
    notifier = manager.notifier()
    for text in ("all well", "all well", "tick is late", "all well"):
        notifier.status(text)
    assert [manager.heard()["STATUS"] for _ in range(3)] == ["all well", "tick is late", "all well"]
    assert manager.silent()


def test_a_status_line_that_could_not_be_said_is_said_again(tmp_path: Path) -> None:
    notifier = Notifier(clock=SystemClock(), address=str(tmp_path / "notify"))
    notifier.status("all well")
    manager = Manager(notifier.address or "")
    try:
        notifier.status("all well")
        assert manager.heard() == {"STATUS": "all well"}
    finally:
        manager.close()


def test_the_environment_of_a_unit_is_understood(manager: Manager) -> None:
    Notifier.from_environ({"NOTIFY_SOCKET": manager.address}, SystemClock()).alive()
    assert manager.heard() == {"WATCHDOG": "1"}
