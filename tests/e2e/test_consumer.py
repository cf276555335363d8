"""The real daemon and a subscriber: what it says is handled once, also what was said while nobody heard."""

import asyncio
import shutil
from pathlib import Path

from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, nodes_of
from tests.support.watchdog import eventually, mqtt_of, toml, watchdog

from tocsin.client import Message, Notice, NoticeKind, Subscriber
from tocsin.testing import FaultProxy, Stale

KEY = "a key of more than sixteen bytes"


async def until(alerts: Subscriber, node: str) -> Message:
    async for message in alerts:
        await message.done()
        if node in message.data["labels"].get("node", "") and message.state == "firing":
            return message
    raise AssertionError("the stream ended")


async def test_alerts_of_the_daemon_reach_a_consumer_that_was_away(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK)
    notices: list[Notice] = []

    def subscriber() -> Subscriber:
        url = f"mqtt://{broker.host}:{broker.port}"
        where = tmp_path / "pager.db"
        return Subscriber(
            url, watchdogs=["ams/host-a"], consumer="pager", key=KEY, path=where, on_notice=notices.append
        )

    async with watchdog(tmp_path, f'{text}\n[[consumer]]\nname = "pager"\nkey = "{KEY}"\n') as daemon:
        daemon.start()
        async with subscriber() as alerts:
            while NoticeKind.BEGUN not in [one.kind for one in notices]:  # noqa: ASYNC110 - told by a callback
                await asyncio.sleep(0.05)
            await nodes.node("a").set(Stale(behind=30))
            assert (await until(alerts, "a")).data["vantage"] == "ams/host-a"
        await nodes.node("b").set(Stale(behind=30))
        await asyncio.sleep(2)
        async with subscriber() as alerts:
            await until(alerts, "b")
    assert NoticeKind.REFUSED not in [one.kind for one in notices]


async def test_a_daemon_whose_state_was_put_back_says_nothing_that_its_consumer_does_not_hear(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    """Its numbers are given again: what is said under them is neither taken for a repetition nor handled twice."""
    text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK)
    url, where = f"mqtt://{broker.host}:{broker.port}", tmp_path / "pager.db"
    handled: list[Message] = []

    async def handle(alerts: Subscriber) -> None:
        async for message in alerts:
            await message.done()
            handled.append(message)

    def fired(node: str, life: int) -> bool:
        lives = [message for message in handled if node in message.data["labels"].get("node", "")]
        return len({message.id.split(":")[1] for message in lives if message.state == "firing"}) >= life

    async with (
        watchdog(tmp_path, f'{text}\n[[consumer]]\nname = "pager"\nkey = "{KEY}"\n') as daemon,
        Subscriber(url, watchdogs=["ams/host-a"], consumer="pager", key=KEY, path=where, start="beginning") as alerts,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(handle(alerts))
        daemon.start()
        await nodes.node("a").set(Stale(behind=30))
        await eventually(lambda: fired("a", 1), "a is told")
        await daemon.stop()
        backup = tmp_path / "backup"
        shutil.copytree(daemon.state_dir, backup)
        daemon.start()
        await nodes.node("b").set(Stale(behind=30))
        await eventually(lambda: fired("b", 1), "b is told")
        await daemon.stop()
        shutil.rmtree(daemon.state_dir)
        shutil.copytree(backup, daemon.state_dir)
        daemon.start()
        await eventually(lambda: fired("b", 2), "b is told again, by a daemon that remembers nothing of it")
        await nodes.node("c").set(Stale(behind=30))
        await eventually(lambda: fired("c", 1), "c is told")
        task.cancel()
    ids = [message.id for message in handled]
    assert len(ids) == len(set(ids))
    seqs = [message.seq for message in handled]
    assert len(seqs) > len(set(seqs)), "numbers were given again, or this shows nothing"
