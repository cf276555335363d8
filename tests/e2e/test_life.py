"""A life of the daemon: its begin, its end, a crash of its own or of the broker, a broker that is not there."""

import asyncio
import random
import signal
import sqlite3
from contextlib import closing
from itertools import groupby
from pathlib import Path

import orjson
import pytest
from tests.support.broker import ROOT, Mosquitto, retained
from tests.support.fleet import QUICK, check_stream, distinct, heal, nodes_of, strike
from tests.support.watchdog import (
    WAIT_S,
    Subscriber,
    Watchdog,
    eventually,
    mqtt_of,
    open_alerts,
    subscribed,
    toml,
    watchdog,
)

from tocsin.testing import FaultProxy


def in_outbox(daemon: Watchdog, where: str = "true") -> set[int]:
    with closing(sqlite3.connect(f"file:{daemon.state_dir / 'tocsin.db'}?mode=ro", uri=True)) as db:
        return {seq for (seq,) in db.execute(f"SELECT seq FROM outbox WHERE {where}")}  # noqa: S608 - words of ours


def undelivered(daemon: Watchdog) -> set[int]:
    return in_outbox(daemon, "sent_wall_ns IS NULL")


async def retained_state(broker: Mosquitto, topic: str) -> object:
    found = await retained(broker)
    payload = found.get(ROOT + topic)
    return None if payload is None else orjson.loads(payload)["data"]["state"]


def kept(nodes: FaultProxy, *alerts: str) -> set[str]:
    """Return all that a broker retains of a daemon with these alerts."""
    own = ["status", "description", "chain/sim/head"]
    own += [f"node/sim/{name}" for name in nodes.names]
    own += [f"alert/{fingerprint}" for fingerprint in alerts]
    return {ROOT + topic for topic in own}


async def until_retained(broker: Mosquitto, wanted: set[str]) -> dict[str, bytes]:
    """Return what the broker retains once it is these topics."""
    found: dict[str, bytes] = {}
    try:
        async with asyncio.timeout(WAIT_S):
            while found.keys() != wanted:
                found = await retained(broker)
    except TimeoutError:
        raise AssertionError(f"the broker retains {set(found)}") from None
    return found


async def test_sigterm_drains_says_goodbye_and_ends_well(
    daemon: Watchdog, heard: Subscriber, broker: Mosquitto
) -> None:
    daemon.start()
    await daemon.watching()
    await eventually(lambda: heard.states()[-1:] == ["ready"], "the daemon says that it is ready")
    daemon.signal(signal.SIGTERM)
    assert await daemon.ended(within_s=10) == 0
    await eventually(lambda: heard.states()[-2:] == ["draining", "disconnected"], "goodbye")
    # A state may be said twice: it is retained, and whoever says it does not know of the other.
    assert [state for state, _ in groupby(heard.states())] == ["init", "ready", "draining", "disconnected"]
    assert await retained_state(broker, "status") == "disconnected"
    assert list(daemon.runtime_dir.glob("*.sock")) == []
    assert not (daemon.runtime_dir / "status.json").exists()


async def test_being_told_to_end_again_and_again_is_no_accident(daemon: Watchdog) -> None:
    daemon.start()
    await daemon.ready()
    while daemon.exit_code is None:
        daemon.signal(signal.SIGTERM)
        await asyncio.sleep(0.002)
    # Once all is done nobody listens for signals any more, and one more of them ends what has nothing left to do.
    assert await daemon.ended() in (0, -signal.SIGTERM)
    assert "ERROR" not in daemon.log()
    assert daemon.log().count(": stopping\n") == 1


async def test_what_is_decided_up_to_the_end_is_delivered_before_it(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a", "b", "c")
    await heard.until_fired("node.wrong_chain", "a")
    assert await daemon.stop() == 0
    assert not undelivered(daemon)
    check_stream(heard.events)


async def test_an_alert_that_is_open_over_a_clean_restart_is_neither_repeated_nor_lost(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    assert await daemon.stop() == 0
    daemon.start()
    await daemon.watching()
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a")
    assert [event.data["state"] for event in heard.events] == ["firing", "resolved"]
    check_stream(heard.events)


@pytest.mark.parametrize("crashes", [3, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
async def test_crashes_in_the_middle_of_many_alerts_lose_none_and_repeat_none(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, crashes: int
) -> None:
    dice = random.Random(crashes)  # noqa: S311 - a seeded course of events
    for _ in range(crashes):
        daemon.start()
        await daemon.watching()
        for _ in range(dice.randint(4, 12)):
            await strike(nodes, dice.choice("abc"))
            await asyncio.sleep(dice.random() / 5)
            await nodes.node(dice.choice("abc")).clear()
            await asyncio.sleep(dice.random() / 5)
        await daemon.kill()
    await heal(nodes)
    daemon.start()
    await daemon.watching()
    await eventually(lambda: not open_alerts(distinct(heard.events)), "everything resolves")
    await eventually(lambda: not undelivered(daemon), "everything is delivered")
    check_stream(heard.events)
    assert len(distinct(heard.events)) > 4 * crashes
    assert in_outbox(daemon) == {event.seq for event in heard.events}


async def test_after_a_crash_the_retained_topics_are_true_again(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, broker: Mosquitto
) -> None:
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a", "b")
    on_a = (await heard.until_fired("node.wrong_chain", "a")).data["fingerprint"]
    on_b = (await heard.until_fired("node.wrong_chain", "b")).data["fingerprint"]
    await daemon.kill()
    before = await retained(broker)
    await nodes.node("b").clear()
    daemon.start()
    await daemon.watching()

    def is_true() -> bool:
        now = heard.retained
        return (
            now["status"].data["state"] == "ready"
            and now["status"].payload != before[ROOT + "status"]
            and now[f"alert/{on_a}"].data["state"] == "firing"
            and now[f"alert/{on_b}"].data["state"] == "resolved"
            and now["node/sim/a"].data["state"] == "wrong_chain"
            and now["node/sim/b"].data["state"] in ("probation", "healthy")
            and now["chain/sim/head"].payload != before[ROOT + "chain/sim/head"]
        )

    await eventually(is_true, "the retained topics are true", within_s=10)
    await until_retained(broker, kept(nodes, on_a, on_b))


async def test_a_broker_that_crashes_and_forgets_is_told_everything_again(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, broker: Mosquitto
) -> None:
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a")
    on_a = (await heard.until_fired("node.wrong_chain", "a")).data["fingerprint"]
    broker.kill()
    await strike(nodes, "b")
    status = await daemon.until_status(lambda now: len(now["alerts"]) == 2, "the other alert fires all the same")
    assert status["broker"]["state"] == "down"
    broker.start()
    on_b = next(row["fingerprint"] for row in status["alerts"] if row["fingerprint"] != on_a)
    await until_retained(broker, kept(nodes, on_a, on_b))
    await eventually(lambda: heard.states()[-1] == "ready", "status is true again")
    await eventually(lambda: not undelivered(daemon), "everything is delivered")


async def test_without_a_broker_all_else_works_and_one_that_is_configured_later_gets_every_alert(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto, heard: Subscriber
) -> None:
    async with watchdog(tmp_path, toml(tmp_path, nodes_of(nodes), chain=QUICK)) as daemon:
        daemon.start()
        await daemon.watching()
        await strike(nodes, "a")
        status = await daemon.until_status(lambda now: now["alerts"], "the alert fires")
        assert status["broker"]["state"] == "none"
        assert (await daemon.command("check", "--config", str(daemon.config))).code == 2
        await heal(nodes)
        await daemon.until_status(lambda now: not now["alerts"], "the alert resolves")
        daemon.configure(toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK))
        assert (await daemon.ask("reload"))["ok"]
        await heard.until_resolved("node.wrong_chain", "a")
        assert [event.data["state"] for event in heard.events] == ["firing", "resolved"]
        check_stream(heard.events)
        assert await daemon.stop() == 0


async def test_alerts_wait_for_a_broker_that_is_down_also_over_a_restart(
    daemon: Watchdog, nodes: FaultProxy, broker: Mosquitto
) -> None:
    broker.stop()
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a")
    status = await daemon.until_status(lambda now: now["alerts"] and now["broker"]["outbox"] == 1, "the alert is kept")
    assert status["broker"]["state"] == "down"
    assert "connection refused" in status["broker"]["detail"]
    await eventually(lambda: "connection refused" in daemon.log(), "the log says so, too")
    assert await daemon.stop() == 0
    daemon.start()
    await daemon.watching()
    await heal(nodes)
    await daemon.until_status(lambda now: now["broker"]["outbox"] == 2, "the alert resolves")
    fingerprint = status["alerts"][0]["fingerprint"]
    broker.start()
    async with subscribed(broker) as heard:
        await eventually(lambda: not undelivered(daemon), "everything is delivered")
        await eventually(lambda: f"alert/{fingerprint}" in heard.retained, "the last word on the alert")
    last = heard.retained[f"alert/{fingerprint}"].data
    assert (last["state"], last["seq"], last["count"]) == ("resolved", 2, 2)
    assert in_outbox(daemon) == {1, 2}


UNDECIDED = """
import os, sys
from tocsin.cli.main import run
from tocsin.model.event import Ticked
from tocsin.runtime import core

decided = core.step

def step(state, event):
    if isinstance(event, Ticked) and os.path.exists("{0}"):
        raise ZeroDivisionError("by design")
    return decided(state, event)

core.step = step
sys.exit(run(sys.argv[1:]))
"""
"""No tick can be decided once a file appears."""


async def test_a_daemon_that_cannot_decide_says_so_and_ends_and_its_next_life_goes_on(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, tmp_path: Path
) -> None:
    switch = tmp_path / "defect"
    daemon.start(code=UNDECIDED.format(switch))
    await daemon.watching()
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    switch.touch()
    assert await daemon.ended() == 1
    assert "cannot be decided: ZeroDivisionError('by design')" in daemon.log().splitlines()[-1]
    assert not (daemon.runtime_dir / "status.json").exists()
    daemon.start()
    await daemon.watching()
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a")
    check_stream(heard.events)


async def test_a_daemon_that_ended_by_a_defect_is_lost_on_the_broker(
    daemon: Watchdog, heard: Subscriber, tmp_path: Path
) -> None:
    switch = tmp_path / "defect"
    daemon.start(code=UNDECIDED.format(switch))
    await daemon.watching()
    switch.touch()
    assert await daemon.ended() == 1
    await eventually(lambda: heard.states()[-1:] == ["lost"], "the broker says that it is lost")
    assert "disconnected" not in heard.states()
