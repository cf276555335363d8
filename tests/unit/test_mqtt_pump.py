"""What the pump does while the broker has not answered yet."""

import asyncio
import contextlib

from tests.support.broker import eventually
from tests.support.memory_outbox import MemoryOutbox
from tests.support.messages import NOON_NS, ORIGIN

from tocsin.errors import BrokerError
from tocsin.mqtt.health import Tally
from tocsin.mqtt.presence import Life
from tocsin.mqtt.pump import Pump
from tocsin.testing import ManualClock

TOPIC = ORIGIN.root + "node/sim/a"


class SlowBroker:
    """Takes everything; answers when it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.answers = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, **_: object) -> None:
        self.taken.append((topic, payload))
        await self.answers.wait()

    async def subscribe(self, topic: str) -> None:
        """Nothing ever comes."""

    async def ended(self) -> BrokerError:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_topic_that_a_reload_took_away_while_it_was_said_is_cleared() -> None:
    life = Life(origin=ORIGIN, boot="b", started_wall_ns=NOON_NS, version="1", environment="test", config_hash="0" * 8)
    outbox, broker = MemoryOutbox(), SlowBroker()
    pump = Pump(outbox, life=life, clock=ManualClock(), pause_s=1, own=frozenset(), tally=Tally())  # type: ignore[arg-type]
    pump.configure(frozenset({TOPIC}))
    outbox.put(TOPIC, b"sick")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(pump.run(broker))
        async with asyncio.timeout(20):
            await eventually(lambda: bool(broker.taken))
        pump.configure(frozenset())
        outbox.put(TOPIC, None)
        broker.answers.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                await eventually(lambda: TOPIC not in outbox.table)
        task.cancel()
    assert broker.taken[-1] == (TOPIC, b"")
    assert TOPIC not in outbox.table
