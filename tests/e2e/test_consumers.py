"""A registered consumer of the real daemon: what it was not there for comes again, it is shown, and a reload counts."""

import asyncio
from pathlib import Path
from typing import Any

from tests.support.broker import Mosquitto
from tests.support.consumer import KEY, Consumer
from tests.support.fleet import QUICK, heal, nodes_of, strike
from tests.support.watchdog import Watchdog, mqtt_of, toml, watchdog

from tocsin.testing import FaultProxy

CONSUMER = f'\n[[consumer]]\nname = "pager"\nkey = "{KEY}"\n'


async def seq_of(daemon: Watchdog) -> int:
    return int((await daemon.status())["seq"])


async def test_what_a_consumer_was_not_there_for_comes_again_also_after_a_crash_of_both(
    tmp_path: Path, nodes: FaultProxy, broker: Mosquitto
) -> None:
    text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK)
    consumer = Consumer(broker)
    async with watchdog(tmp_path, text) as daemon:
        daemon.configure(text + CONSUMER)
        daemon.start()
        await daemon.watching()
        await strike(nodes, "a")
        await daemon.until_status(lambda status: status["alerts"], "an alert")
        broker.kill()
        await daemon.kill()
        broker.start()
        daemon.start()
        await daemon.watching()
        await heal(nodes)
        await daemon.until_status(lambda status: not status["alerts"], "the end of the alert")
        last = await seq_of(daemon)
        assert last >= 2
        async with consumer.connected() as client:
            async with asyncio.timeout(30):
                await consumer.until_it_has(client, last)
            assert set(range(1, last + 1)) <= set(consumer.heard)

            def is_shown(status: dict[str, Any]) -> bool:
                [row] = status["consumers"]
                return row["lag"] == 0 and row["heard_at"] is not None

            await consumer.acknowledge(client)
            await daemon.until_status(is_shown, "a consumer that has everything")
            said = await daemon.command("status")
            assert "consumers pager has everything, acknowledged 20" in said.out
            daemon.configure(text)
            assert (await daemon.ask("reload"))["ok"]
            await consumer.acknowledge(client)
            status = await daemon.until_status(lambda status: "unregistered" in status["broker"]["acks"], "a refusal")
            assert status["consumers"] == []
            assert await daemon.stop() == 0
