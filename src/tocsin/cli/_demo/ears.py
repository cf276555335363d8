"""Hearing the alerts: as a subscriber of the broker, or where there is none, from the daemon itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from tocsin.cli import _client
from tocsin.cli._demo.crew import last_lines
from tocsin.errors import BrokerError
from tocsin.mqtt.client import Received
from tocsin.mqtt.embedded import HOST, EmbeddedBroker
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import Connection, MqttTransport

Event = Mapping[str, Any]
"""A CloudEvent as it was published."""

_RETRY_S: Final = 0.1
_PAST: Final = 1000


class BrokerEar:
    """What arrives at the broker."""

    def __init__(self, connection: Connection, heard: asyncio.Queue[Event], name: str, log: Path) -> None:
        self._connection = connection
        self._heard = heard
        self._name = name
        self._log = log

    async def events(self) -> AsyncIterator[Event]:
        """Yield every event as it comes, for ever."""
        while True:
            yield await self._heard.get()

    async def lost(self) -> None:
        """Wait until the broker is gone, and raise BrokerError with the end of its log."""
        await self._connection.ended()
        raise BrokerError(f"the broker ({self._name}) ended or hung up; its log:\n{last_lines(self._log)}")


@asynccontextmanager
async def at_broker(broker: EmbeddedBroker, root: str, log: Path) -> AsyncIterator[BrokerEar]:
    """Subscribe to the stream of events for the length of a block. Raises BrokerError when the broker refuses."""
    heard: asyncio.Queue[Event] = asyncio.Queue()

    def take(message: Received) -> None:
        heard.put_nowait(orjson.loads(message.payload))

    settings = BrokerSettings(host=HOST, port=broker.port, client_id="tocsin-demo-listener")
    async with MqttTransport(settings).connect(will=None, on_message=take) as connection:
        await connection.subscribe(f"{root}event/#")
        yield BrokerEar(connection, heard, broker.name, log)


class DaemonEar:
    """What the daemon tells at its control socket. Whether it lives is for others to watch."""

    def __init__(self, runtime_dir: Path) -> None:
        self._path = runtime_dir / _client.SOCKET_NAME

    async def events(self) -> AsyncIterator[Event]:
        """Yield every event from the daemon's first one on, until its end."""
        request = {"v": _client.PROTOCOL, "verb": "events", "n": _PAST, "follow": True}
        reader, writer = await self._connected()
        try:
            writer.write(orjson.dumps(request) + b"\n")
            while line := await reader.readline():
                answer = orjson.loads(line)
                if "result" in answer:
                    yield answer["result"]
        finally:
            writer.close()

    async def lost(self) -> None:
        """Return at once: there is nothing of its own to lose."""

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            try:
                return await asyncio.open_unix_connection(str(self._path), limit=_client.MAX_ANSWER)
            except (FileNotFoundError, ConnectionRefusedError):  # it is still starting
                await asyncio.sleep(_RETRY_S)
