"""What everybody writes first: a publisher without an outbox, and a subscriber with a kept session. QoS 1, no cursor.

It runs beside the real thing, in the same processes and over the same broker, and must lose alerts: a run in which it
lost none has killed nobody who held anything.
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from pathlib import Path
from typing import Final

from tocsin.errors import BrokerError
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttConnection, MqttTransport

TOPIC: Final = "naive/alerts"
_PAUSE_S: Final = 0.5
_SESSION_S: Final = 7 * 24 * 3600


class NaivePublisher:
    """Sends what it was given, in order, once each, from memory; connects again for ever."""

    def __init__(self, port: int) -> None:
        self._transport = MqttTransport(_settings(port, "naive-publisher"))
        self._queue: deque[bytes] = deque()
        self._news = asyncio.Event()

    def give(self, key: str) -> None:
        """Take one alert."""
        self._queue.append(key.encode())
        self._news.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            with contextlib.suppress(BrokerError):
                async with self._transport.connect(will=None, on_message=_ignored) as connection:
                    await self._send(connection)
            await asyncio.sleep(_PAUSE_S)

    async def _send(self, connection: MqttConnection) -> None:
        while True:
            while self._queue:
                await connection.publish(TOPIC, self._queue[0], qos=1, retain=False, expiry_s=None, content_type=None)
                self._queue.popleft()
            self._news.clear()
            await self._news.wait()


class NaiveSubscriber:
    """Writes down what comes, then confirms it."""

    def __init__(self, port: int, path: Path) -> None:
        self._transport = MqttTransport(_settings(port, "naive-subscriber", session_s=_SESSION_S))
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS got (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._unconfirmed: list[Received] = []
        self._connection: MqttConnection | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            with contextlib.suppress(BrokerError):
                async with self._transport.connect(will=None, on_message=self._take) as connection:
                    self._connection = connection
                    self._confirm()
                    await connection.subscribe(TOPIC)
                    raise await connection.ended()
            self._connection = None
            self._unconfirmed.clear()
            await asyncio.sleep(_PAUSE_S)

    def _take(self, received: Received) -> None:
        self._db.execute("INSERT OR IGNORE INTO got VALUES (?)", (received.payload.decode(),))
        self._unconfirmed.append(received)
        self._confirm()

    def _confirm(self) -> None:
        while self._connection is not None and self._unconfirmed:
            self._connection.confirm(self._unconfirmed.pop(0))


def had(path: Path) -> set[str]:
    """Return what a naive subscriber wrote down."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return {str(row[0]) for row in db.execute("SELECT id FROM got")}


def _settings(port: int, client_id: str, *, session_s: int | None = None) -> BrokerSettings:
    return BrokerSettings(host="127.0.0.1", port=port, client_id=client_id, session_s=session_s)


def _ignored(_: Received) -> None:
    return
