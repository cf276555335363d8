"""Hearing the alerts: as any subscriber of the broker would, or where there is none, from the daemon itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiomqtt
import orjson

from tocsin.cli import _client
from tocsin.cli._demo.crew import last_lines
from tocsin.errors import BrokerError
from tocsin.mqtt.embedded import HOST, EmbeddedBroker

Event = Mapping[str, Any]
"""A CloudEvent as it was published."""

_RETRY_S: Final = 0.1
_PAST: Final = 1000


@asynccontextmanager
async def at_broker(broker: EmbeddedBroker, root: str, log: Path) -> AsyncIterator[AsyncIterator[Event]]:
    """Subscribe to the stream of events for the length of a block.

    Iterating raises BrokerError when the broker goes away, with the end of its log.
    """
    async with AsyncExitStack() as stack:
        try:
            client = aiomqtt.Client(HOST, broker.port, protocol=aiomqtt.ProtocolVersion.V5)
            await stack.enter_async_context(client)
            await client.subscribe(f"{root}event/#", qos=1)
        except aiomqtt.MqttError as error:
            raise BrokerError(f"the broker ({broker.name}) does not take a subscriber: {error}") from None
        yield _messages(client, broker, log)


async def _messages(client: aiomqtt.Client, broker: EmbeddedBroker, log: Path) -> AsyncIterator[Event]:
    try:
        async for message in client.messages:
            yield orjson.loads(bytes(message.payload))
    except aiomqtt.MqttError:
        raise BrokerError(f"the broker ({broker.name}) ended or hung up; its log:\n{last_lines(log)}") from None


async def at_daemon(runtime_dir: Path) -> AsyncIterator[Event]:
    """Follow the daemon's own stream, from the first event on; ends when the daemon does."""
    request = {"v": _client.PROTOCOL, "verb": "events", "n": _PAST, "follow": True}
    reader, writer = await _connected(runtime_dir / _client.SOCKET_NAME)
    try:
        writer.write(orjson.dumps(request) + b"\n")
        while line := await reader.readline():
            answer = orjson.loads(line)
            if "result" in answer:
                yield answer["result"]
    finally:
        writer.close()


async def _connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_unix_connection(str(path), limit=_client.MAX_ANSWER)
        except (FileNotFoundError, ConnectionRefusedError):  # it is still starting
            await asyncio.sleep(_RETRY_S)
