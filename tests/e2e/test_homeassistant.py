"""A running daemon tells Home Assistant what there is to see, and no more what is configured no longer."""

import signal
from pathlib import Path

import orjson
from tests.support.broker import Mosquitto, listening, retained
from tests.support.fleet import QUICK, nodes_of
from tests.support.watchdog import CALM, Watchdog, mqtt_of, toml

from tocsin.mqtt.models import FOREIGN
from tocsin.testing import FaultProxy


def text(folder: Path, nodes: FaultProxy, broker: Mosquitto, *names: str, more: str = "[homeassistant]\n") -> str:
    watched = {name: node for name, node in nodes_of(nodes).items() if name in names}
    return toml(folder, watched, broker=mqtt_of(broker), chain=QUICK, more=CALM + more)


async def devices(broker: Mosquitto) -> dict[str, bytes]:
    found = await retained(broker)
    return {topic: payload for topic, payload in found.items() if topic.startswith("homeassistant/")}


async def test_home_assistant_is_told_again_at_its_birth_and_no_more_of_what_is_gone(
    daemon: Watchdog, nodes: FaultProxy, broker: Mosquitto, tmp_path: Path
) -> None:
    daemon.configure(text(tmp_path, nodes, broker, *"abcde"))
    daemon.start()
    await daemon.watching()
    found: dict[str, bytes] = {}
    while len(found) < 7:  # the watchdog, its chain, five nodes
        found = await devices(broker)
    for payload in found.values():
        FOREIGN["homeassistant"].model_validate_json(payload)
    async with listening(broker, ["homeassistant/device/#"]) as listener:
        await listener.settle()
        heard = len(listener.heard)
        await listener.client.publish("homeassistant/status", b"online", qos=1)
        for topic in found:
            await listener.until_any(lambda one, topic=topic: one.topic == topic and not one.retained)  # type: ignore[misc]
        assert len(listener.heard) == heard + len(found)

    names = {topic: orjson.loads(payload)["device"]["name"] for topic, payload in found.items()}
    [gone] = [topic for topic, name in names.items() if name == "sim e (ams/host-a)"]
    daemon.configure(text(tmp_path, nodes, broker, *"abcd"))
    daemon.signal(signal.SIGHUP)
    await daemon.until_status(lambda now: len(now["chains"][0]["nodes"]) == 4, "the node is configured no longer")
    while gone in found:
        found = await devices(broker)
    assert len(found) == 6

    daemon.configure(text(tmp_path, nodes, broker, *"abcd", more=""))
    daemon.signal(signal.SIGHUP)
    while found:
        found = await devices(broker)
    broker_row = (await daemon.status())["broker"]
    assert (broker_row["state"], broker_row["counts"]["garbage"]) == ("connected", 0)
