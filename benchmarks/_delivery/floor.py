"""What the bare parts take on this machine: a synced commit, one message over the broker, and another synced commit."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks._delivery.broker import HOST
from tocsin.clock import SystemClock
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport

_TOPIC = "floor"
_BYTES = b"x" * 1200
_PAUSE_S = 0.7


def _database(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, payload BLOB)")
    return db


async def floor(folder: Path, port: int, taken_ms: list[float]) -> None:
    """Measure for ever, now and then, and append to the list."""
    clock, here = SystemClock(), asyncio.Event()

    def heard(_: Received) -> None:
        here.set()

    hears = MqttTransport(BrokerSettings(host=HOST, port=port, client_id="floor-hears"))
    says = MqttTransport(BrokerSettings(host=HOST, port=port, client_id="floor-says"))
    with closing(_database(folder / "floor-1.db")) as first, closing(_database(folder / "floor-2.db")) as second:
        async with (
            hears.connect(will=None, on_message=heard) as ear,
            says.connect(will=None, on_message=heard) as mouth,
        ):
            await ear.subscribe(_TOPIC)
            while True:
                began = clock.monotonic_ns()
                first.execute("INSERT INTO row (payload) VALUES (?)", (_BYTES,))
                here.clear()
                await mouth.publish(_TOPIC, _BYTES, qos=1, retain=False, expiry_s=None, content_type=None)
                await here.wait()
                second.execute("INSERT INTO row (payload) VALUES (?)", (_BYTES,))
                taken_ms.append((clock.monotonic_ns() - began) / 1e6)
                await asyncio.sleep(_PAUSE_S)
