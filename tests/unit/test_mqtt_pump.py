"""What the pump does while the broker has not answered yet."""

import asyncio
import contextlib
from collections.abc import Sequence

from tests.support.broker import eventually
from tests.support.memory_outbox import MemoryOutbox
from tests.support.messages import NOON_NS, ORIGIN

from tocsin.errors import BrokerError, PublishRefused
from tocsin.mqtt.health import Tally
from tocsin.mqtt.presence import Life
from tocsin.mqtt.pump import ROUND, Pump
from tocsin.mqtt.reasons import NOT_AUTHORIZED
from tocsin.store import Dropped, Pending
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


class Fussy(SlowBroker):
    """Answers at once, and refuses what begins as it does not like it."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.answers.set()
        self._prefix = prefix

    async def publish(self, topic: str, payload: bytes, **_: object) -> int:
        if topic.startswith(self._prefix):
            raise PublishRefused(topic, NOT_AUTHORIZED, "not authorized", hint="")
        self.taken.append((topic, payload))
        return 0


def life() -> Life:
    return Life(origin=ORIGIN, boot="b", started_wall_ns=NOON_NS, version="1", environment="test", config_hash="0" * 8)


def pump_of(outbox: MemoryOutbox, own: frozenset[str] = frozenset()) -> Pump:
    return Pump(outbox, life=life(), clock=ManualClock(), pause_s=3600, own=own, tally=Tally())


async def test_behind_many_retained_topics_that_are_refused_the_others_do_not_wait() -> None:
    outbox, broker = MemoryOutbox(), Fussy(ORIGIN.root + "node/bad")
    pump = pump_of(outbox, own=frozenset({ORIGIN.root + "status"}))
    task = asyncio.create_task(pump.run(broker))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await eventually(pump.idle.is_set)
        outbox.put(ORIGIN.root + "status", b"ready")
        for at in range(3 * ROUND):
            outbox.put(f"{ORIGIN.root}node/bad/{at}", b"1")
        for at in range(2 * ROUND):
            outbox.put(f"{ORIGIN.root}node/good/{at}", b"1")
        await eventually(lambda: len(broker.taken) == 2 * ROUND)
        outbox.put(f"{ORIGIN.root}node/good/0", b"2")
        await eventually(lambda: broker.taken[-1] == (f"{ORIGIN.root}node/good/0", b"2"))
    task.cancel()
    assert len(broker.taken) == 2 * ROUND + 1, "each is said once"


async def test_a_topic_that_a_reload_took_away_while_it_was_said_is_cleared() -> None:
    outbox, broker = MemoryOutbox(), SlowBroker()
    pump = Pump(outbox, life=life(), clock=ManualClock(), pause_s=1, own=frozenset(), tally=Tally())  # type: ignore[arg-type]
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


class Fickle(SlowBroker):
    """Refuses the first message, and takes what comes then."""

    refusals = 0

    async def publish(self, topic: str, payload: bytes, **_: object) -> int:  # type: ignore[override]
        if not self.refusals:
            self.refusals += 1
            raise PublishRefused(topic, NOT_AUTHORIZED, "not authorized", hint="")
        self.taken.append((topic, payload))
        return 0


class Stalling(MemoryOutbox):
    """Takes longer, in each round that begins with something refused, than that has to wait."""

    def __init__(self, broker: Fickle, stall_s: float) -> None:
        super().__init__()
        self._broker, self._stall_s = broker, stall_s
        self._stalls = False

    async def pending(self, limit: int) -> Sequence[Pending]:
        self._stalls = bool(self._broker.refusals)
        return await super().pending(limit)

    async def dropped(self) -> Sequence[Dropped]:
        await asyncio.sleep(self._stall_s if self._stalls else 0)
        return await super().dropped()


async def test_what_was_refused_is_tried_again_though_its_pause_ends_while_others_are_looked_at() -> None:
    broker = Fickle()
    outbox = Stalling(broker, stall_s=0.6)
    pump = Pump(outbox, life=life(), clock=ManualClock(), pause_s=0.2, own=frozenset(), tally=Tally())
    outbox.put(TOPIC, b"sick")
    task = asyncio.create_task(pump.run(broker))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await eventually(lambda: broker.taken == [(TOPIC, b"sick")])
    task.cancel()
    assert broker.refusals == 1


class Halting(Fickle):
    """Refuses the first message, and stands still until it is let."""

    async def publish(self, topic: str, payload: bytes, **_: object) -> int:  # type: ignore[override]
        code = await super().publish(topic, payload)
        await self.answers.wait()
        return code


async def test_a_topic_that_was_refused_is_said_as_it_is_once_its_turn_comes_again() -> None:
    outbox, broker = MemoryOutbox(), Halting()
    pump = Pump(outbox, life=life(), clock=ManualClock(), pause_s=0.2, own=frozenset(), tally=Tally())  # type: ignore[arg-type]
    outbox.put(TOPIC, b"of long ago")
    task = asyncio.create_task(pump.run(broker))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await eventually(lambda: broker.refusals == 1)
        for at in range(5 * ROUND):
            outbox.put(f"{ORIGIN.root}node/good/{at}", b"1")
        outbox.put(TOPIC, b"now")
        await eventually(lambda: len(broker.taken) == ROUND)
        await asyncio.sleep(0.3)
        broker.answers.set()
        await eventually(lambda: (TOPIC, b"now") in broker.taken)
        await eventually(pump.idle.is_set)
    task.cancel()
    assert (TOPIC, b"of long ago") not in broker.taken
    assert len(broker.taken) == 5 * ROUND + 1
