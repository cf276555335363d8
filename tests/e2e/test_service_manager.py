"""The daemon under a service manager: what it says of itself, and that it stays unfed when a part of it hangs."""

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.fleet import QUICK, nodes_of
from tests.support.manager import Manager
from tests.support.watchdog import Watchdog, eventually, toml, watchdog

from tocsin.clock import SystemClock
from tocsin.testing import FaultProxy

BUDGET_S = 4
HANGING = f"""
import asyncio, os, sys
from tocsin.cli.main import run
from tocsin.clock import NS
from tocsin.runtime import daemon
from tocsin.runtime.ticker import Ticker

daemon._TASK_BUDGET_NS = {BUDGET_S} * NS
due = Ticker._due

def never_again(self, now):
    if os.path.exists("{{0}}"):
        raise Hang
    return due(self, now)

class Hang(Exception):
    pass

ticks = Ticker.run

async def hangs(self, beat):
    try:
        await ticks(self, beat)
    except Hang:
        await asyncio.Event().wait()

Ticker._due, Ticker.run = never_again, hangs
sys.exit(run(sys.argv[1:]))
"""
"""Its evaluation ticks stop for ever once a file appears; everything else goes on."""

Said = list[dict[str, str]]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    end = Manager(str(tmp_path / "notify"))
    try:
        yield end
    finally:
        end.close()


@pytest_asyncio.fixture
async def daemon(tmp_path: Path, nodes: FaultProxy, manager: Manager) -> AsyncIterator[Watchdog]:
    text = toml(tmp_path, nodes_of(nodes), chain=QUICK)
    async with watchdog(tmp_path, text, environ={"NOTIFY_SOCKET": manager.address}) as daemon:
        yield daemon


async def until_said(manager: Manager, said: Said, wanted: Callable[[Said], object], what: str) -> None:
    """Gather messages until they are what is waited for."""

    def look() -> object:
        said.extend(manager.waiting())
        return wanted(said)

    await eventually(look, what)


def keys(said: Said, *names: str) -> list[str]:
    """Return in which order these keys were said."""
    return [name for message in said for name in names if name in message]


async def test_a_life_is_told_to_the_service_manager(daemon: Watchdog, manager: Manager) -> None:
    daemon.start()
    said: Said = []
    await until_said(manager, said, lambda said: keys(said, "READY"), "it is ready")
    assert ": 1 chain, 0 alerts" in next(message["STATUS"] for message in said if "READY" in message)
    del said[:]
    await until_said(manager, said, lambda said: len(keys(said, "WATCHDOG")) > 1, "the watchdog is fed")
    before_us = SystemClock().monotonic_ns() // 1000
    daemon.signal(signal.SIGHUP)
    await until_said(manager, said, lambda said: keys(said, "READY"), "the reload is over")
    assert keys(said, "RELOADING", "READY") == ["RELOADING", "READY"]
    (reloading,) = [message for message in said if "RELOADING" in message]
    assert before_us <= int(reloading["MONOTONIC_USEC"]) <= SystemClock().monotonic_ns() // 1000
    assert await daemon.stop() == 0
    said.extend(manager.waiting())
    assert keys(said, "STOPPING") == ["STOPPING"]
    assert keys(said, "READY", "STOPPING")[-1] == "STOPPING"


async def test_the_end_of_a_refused_reload_is_told_too(daemon: Watchdog, manager: Manager) -> None:
    daemon.start()
    await daemon.ready()
    daemon.configure("schema = 2")
    daemon.signal(signal.SIGHUP)
    said: Said = []
    await until_said(manager, said, lambda said: len(keys(said, "READY")) > 1, "the reload is over")
    assert keys(said, "RELOADING", "READY") == ["READY", "RELOADING", "READY"]


async def test_a_daemon_whose_ticks_hang_is_fed_no_more_and_reads_unknown(daemon: Watchdog, manager: Manager) -> None:
    signpost = daemon.folder / "hang"
    daemon.start(code=HANGING.replace("{0}", str(signpost)))
    await daemon.ready()
    said: Said = []
    await until_said(manager, said, lambda said: keys(said, "WATCHDOG"), "the watchdog is fed")
    signpost.touch()
    await until_said(manager, said, lambda said: said[-1].get("STATUS", "").startswith("UNKNOWN"), "it is noticed")
    written = [(await daemon.status())["written_wall_ns"]]
    for _ in range(3):
        await daemon.until_status(lambda now: now["written_wall_ns"] > written[-1] + 10**9, "it goes on")
        written.append((await daemon.status())["written_wall_ns"])
    assert keys(manager.waiting(), "WATCHDOG") == []
    assert (await daemon.status())["late"] == ["tick"]
    shown = await daemon.command("status", "--config", str(daemon.config))
    assert shown.code == 3
    assert "no progress of" in shown.out
