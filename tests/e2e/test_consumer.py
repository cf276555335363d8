"""The real daemon and a subscriber: what it says is handled once, also what was said while nobody heard."""

import asyncio
from pathlib import Path

from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, nodes_of
from tests.support.watchdog import mqtt_of, toml, watchdog

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
