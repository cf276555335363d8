"""Home Assistant on a real mosquitto: it is told what there is, again after each birth, and no more once it is not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiomqtt
import pytest
from tests.support.broker import Mosquitto, client_of, eventually
from tests.support.memory_outbox import MemoryOutbox
from tests.support.messages import LIFE

from tocsin.clock import SystemClock
from tocsin.mqtt.births import Births
from tocsin.mqtt.client import Received
from tocsin.mqtt.health import Link
from tocsin.mqtt.publisher import Publisher, Timers
from tocsin.mqtt.transport import MqttTransport

FAST = Timers(backoff_first_s=0.01, backoff_most_s=0.05, refused_pause_s=0.2, correction_s=0.01)
BIRTH = "homeassistant/status"
DEVICE = "homeassistant/device/tocsin_ams_host-a_0/config"
OTHER = "tocsin/v1/ams/host-a/node/ethereum/geth"


class Watchdog:
    """A publisher that announces one device and keeps one other topic."""

    def __init__(self, broker: Mosquitto, *, pause_s: float = 0.0, jitter_s: float = 0.0) -> None:
        self.outbox = MemoryOutbox()
        self.outbox.put(DEVICE, b'{"device":1}')
        self.outbox.put(OTHER, b'{"data":1}')
        self.births = Births("seed", jitter_s=jitter_s, pause_s=pause_s)
        self.publisher = Publisher(
            life=LIFE,
            transport=MqttTransport(broker.settings()),
            outbox=self.outbox,
            clock=SystemClock(),
            timers=FAST,
            births=self.births,
        )
        self.configure(BIRTH)

    def configure(self, birth: str) -> None:
        devices = (DEVICE,) if birth else ()
        self.births.configure(birth, devices)
        self.publisher.configure(("node/ethereum/geth",), devices)


@contextlib.asynccontextmanager
async def running(watchdog: Watchdog) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watchdog.publisher.run())
        await eventually(lambda: watchdog.publisher.health().link is Link.CONNECTED)
        await eventually(lambda: watchdog.publisher.health().tally.retained >= 2)
        yield
        task.cancel()


class Home:
    """Home Assistant, as far as discovery goes: hears devices, and is born."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.heard: list[tuple[str, bytes, str | None]] = []

    async def listen(self) -> None:
        await self._client.subscribe("homeassistant/device/+/config", qos=1)
        await self._client.subscribe(OTHER, qos=1)
        async for message in self._client.messages:
            content_type = getattr(message.properties, "ContentType", None)
            self.heard.append((str(message.topic), bytes(message.payload or b""), content_type))

    async def say(self, payload: bytes = b"online", topic: str = BIRTH, *, retain: bool = False) -> None:
        await self._client.publish(topic, payload, qos=1, retain=retain)

    def count(self, topic: str = DEVICE) -> int:
        return [one[0] for one in self.heard].count(topic)


@contextlib.asynccontextmanager
async def home(broker: Mosquitto) -> AsyncIterator[Home]:
    async with client_of(broker) as client, asyncio.TaskGroup() as group:
        one = Home(client)
        task = group.create_task(one.listen())
        await eventually(lambda: one.count() == 1)
        yield one
        task.cancel()


async def test_what_there_is_to_discover_is_retained_and_said_again_after_a_birth_and_nothing_else_is(
    broker: Mosquitto,
) -> None:
    async with running(Watchdog(broker)), home(broker) as ha:
        for births in (1, 2):
            await ha.say()
            await eventually(lambda births=births: ha.count() == 1 + births)  # type: ignore[misc]
        assert ha.count(OTHER) == 1
        assert set(ha.heard) == {
            (DEVICE, b'{"device":1}', "application/json"),
            (OTHER, b'{"data":1}', "application/cloudevents+json"),
        }


async def test_births_without_end_are_answered_once_in_a_while(broker: Mosquitto) -> None:
    async with running(Watchdog(broker, pause_s=3600)), home(broker) as ha:
        for _ in range(200):
            await ha.say()
        await eventually(lambda: ha.count() == 2)
        for _ in range(200):
            await ha.say()
        await ha.say(b"marker", OTHER)
        await eventually(lambda: ha.count(OTHER) == 2)
        assert ha.count() == 2


@pytest.mark.parametrize("payload", [b"offline", b"", b"\xff\xfe", b"online\n", b"[" * 1_000_000])
async def test_only_a_birth_is_one(broker: Mosquitto, payload: bytes) -> None:
    watchdog = Watchdog(broker)
    async with running(watchdog), home(broker) as ha:
        await ha.say(payload)
        await ha.say()
        await eventually(lambda: ha.count() == 2)
        assert watchdog.publisher.health().tally.garbage == 0


async def test_a_birth_that_the_broker_had_kept_says_nothing_new() -> None:
    births = Births("seed", jitter_s=0, pause_s=0)
    births.configure(BIRTH, (DEVICE,))
    kept = Received(topic=BIRTH, payload=b"online", retained=True)
    births.hear(kept)
    assert not births._born.is_set()


async def test_whoever_is_switched_off_is_cleared_and_births_are_no_garbage_then(broker: Mosquitto) -> None:
    watchdog = Watchdog(broker)
    async with running(watchdog), home(broker) as ha:
        watchdog.configure("")
        await eventually(lambda: (DEVICE, b"", None) in ha.heard)
        assert list(watchdog.outbox.table) == [OTHER]
        await ha.say()
        await ha.say(b"marker", OTHER)
        await eventually(lambda: (OTHER, b"marker", None) in ha.heard)
        assert ha.count() == 2
        assert watchdog.publisher.health().tally.garbage == 0


async def test_births_on_another_topic_are_heard_from_then_on(broker: Mosquitto) -> None:
    watchdog = Watchdog(broker)
    async with running(watchdog), home(broker) as ha:
        watchdog.configure("ha/born")
        await eventually(lambda: watchdog.births._subscribed == "ha/born")
        await ha.say(topic="ha/born")
        await eventually(lambda: ha.count() >= 2)


async def test_pauses_differ_from_watchdog_to_watchdog() -> None:
    pauses = {Births(f"boot{number}")._random.uniform(0, 5) for number in range(20)}
    assert len(pauses) == 20


async def test_an_access_list_without_home_assistant_is_named_and_its_lines_are_in_the_one_that_we_ship(
    broker_acl: Mosquitto,
) -> None:
    watchdog = Watchdog(broker_acl)
    acl = broker_acl.folder / "acl"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watchdog.publisher.run())
        await eventually(lambda: any(DEVICE in line for line in watchdog.publisher.health().refused))
        acl.write_text(acl.read_text().replace("#topic", "topic"))
        broker_acl.reload()
        await eventually(lambda: not watchdog.publisher.health().refused)
        task.cancel()
    async with running(Watchdog(broker_acl)), client_of(broker_acl, user="admin") as client:
        await client.subscribe("homeassistant/device/+/config", qos=1)
        messages = aiter(client.messages)
        assert (await anext(messages)).payload == b'{"device":1}'
        await client.publish(BIRTH, b"online", qos=1)
        assert not (await anext(messages)).retain
