"""What most end-to-end tests begin with: simulated nodes, a broker, a subscriber, a daemon not started yet."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, fleet, nodes_of
from tests.support.watchdog import Subscriber, Watchdog, mqtt_of, subscribed, toml, watchdog

from tocsin.testing import FaultProxy


@pytest_asyncio.fixture
async def nodes() -> AsyncIterator[FaultProxy]:
    async with fleet("a", "b", "c", "d", "e") as proxy:
        yield proxy


@pytest_asyncio.fixture
async def daemon(tmp_path: Path, nodes: FaultProxy, broker: Mosquitto) -> AsyncIterator[Watchdog]:
    text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK)
    async with watchdog(tmp_path, text) as daemon:
        yield daemon


@pytest_asyncio.fixture
async def heard(broker: Mosquitto) -> AsyncIterator[Subscriber]:
    async with subscribed(broker) as subscriber:
        yield subscriber
