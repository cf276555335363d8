"""A consumer of the alert stream, as small as one can be: hears, remembers what it has, and acknowledges when told."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator

import aiomqtt
import orjson
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from tests.support.broker import ROOT, Mosquitto, client_of

from tocsin.wire.acks import claim, encode

SOURCE = "/tocsin/ams/host-a"
KEY = "a key that nobody else has"
_AT = itertools.count(1)


class Consumer:
    """What one consumer knows across its connections. Every message of the stream counts once it was heard."""

    def __init__(self, broker: Mosquitto, *, name: str = "pager", user: str | None = None) -> None:
        self.broker = broker
        self.name = name
        self.user = user
        self.key = KEY.encode()
        self.stream = ""
        """Which stream it last heard of."""
        self.heard: list[int] = []
        """Numbers of the stream in the order in which they came, repetitions included."""
        self.gone: set[int] = set()
        """Numbers that the daemon said it does not have any more."""
        self.replies: list[tuple[bytes | None, dict[str, object]]] = []

    @property
    def has(self) -> set[int]:
        """All that it need not wait for."""
        return {*self.heard, *self.gone}

    @contextlib.asynccontextmanager
    async def connected(self, *, session_s: int = 0) -> AsyncIterator[aiomqtt.Client]:
        """Listen for the length of a block; the session outlives it by `session_s`."""
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        connect.SessionExpiryInterval = session_s
        client = client_of(
            self.broker, user=self.user, identifier=f"consumer-{self.name}", clean_start=False, properties=connect
        )
        async with client, asyncio.TaskGroup() as group:
            await client.subscribe(ROOT + "event/#", qos=1)
            await client.subscribe(ROOT + f"reply/{self.name}/#", qos=1)
            task = group.create_task(self._listen(client))
            yield client
            task.cancel()

    async def _listen(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            async for message in client.messages:
                self._take(message)

    def _take(self, message: aiomqtt.Message) -> None:
        event = orjson.loads(bytes(message.payload or b""))
        kind, data = event["type"].split(".")[2], event["data"]
        self.stream = event.get("stream") or data.get("stream") or self.stream
        if kind == "alert":
            self.heard.append(data["seq"])
        elif kind == "dropped":
            self.gone |= {seq for first, last in data["ranges"] for seq in range(first, last + 1)}
        elif kind == "reply":
            self.replies.append((getattr(message.properties, "CorrelationData", None), data))

    def ack(self, *, at: int | None = None) -> bytes:
        """Return the ack that says what it has."""
        highest = max(self.has, default=0)
        holes = set(range(1, highest)) - self.has
        return encode(claim(at or next(_AT), highest, holes, stream=self.stream), SOURCE, self.name, self.key)

    async def acknowledge(
        self, client: aiomqtt.Client, payload: bytes | None = None, *, reply: str = "", retain: bool = False
    ) -> bytes:
        """Publish an ack, by default a true one; return the correlation data that its answer is to carry."""
        correlation = os.urandom(8)
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if reply:
            properties.ResponseTopic = reply
            properties.CorrelationData = correlation
        topic = ROOT + f"ack/{self.name}"
        await client.publish(topic, payload or self.ack(), qos=1, retain=retain, properties=properties)
        return correlation

    async def until_it_has(self, client: aiomqtt.Client, last: int) -> None:
        """Acknowledge again and again until nothing up to `last` is missing."""
        while not set(range(1, last + 1)) <= self.has:
            await self.acknowledge(client)
            await asyncio.sleep(0.2)

    async def answer(self, correlation: bytes) -> dict[str, object]:
        """Return the answer with this correlation data."""
        while True:
            for found, data in self.replies:
                if found == correlation:
                    return data
            await asyncio.sleep(0.01)
