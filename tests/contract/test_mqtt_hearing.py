"""A critical alert that reaches nobody over a real broker is told of once, with why; one that is heard is not."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest
from paho.mqtt.packettypes import PacketTypes
from tests.contract.test_mqtt_publisher import FAST
from tests.support.broker import ROOT, Mosquitto, client_of, eventually, listening
from tests.support.memory_outbox import MemoryOutbox
from tests.support.messages import ALERT, LIFE, ORIGIN, changed

from tocsin.clock import EngineClock, SystemClock
from tocsin.model.alert import Alert, AlertState, Severity
from tocsin.model.event import Why
from tocsin.mqtt import hearing
from tocsin.mqtt.client import properties_of
from tocsin.mqtt.echo import Echo
from tocsin.mqtt.health import Link
from tocsin.mqtt.hearing import Hearing
from tocsin.mqtt.publisher import Publisher
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport
from tocsin.wire import envelope

Told = tuple[str, int, Why]


def critical(number: int, *, activation: int = 1, count: int = 1, over: bool = False) -> Alert:
    return dataclasses.replace(
        ALERT,
        fingerprint=f"{number:032x}",
        severity=Severity.CRITICAL,
        activation=activation,
        count=count,
        state=AlertState.RESOLVED if over else AlertState.FIRING,
    )


def damaged(payload: bytes) -> bytes:
    return b"\x00" + payload[1:]


def key(number: int, why: Why, activation: int = 1) -> Told:
    return f"{number:032x}", activation, why


class Rig:
    """A publisher with all its own subscriptions, and what was told of it. Seconds are as short as a test likes."""

    def __init__(self, settings: BrokerSettings | None) -> None:
        self.outbox = MemoryOutbox()
        self.told: list[Told] = []
        self.hearing = Hearing(self.outbox, lambda *said: self.told.append(said))
        clock = SystemClock()
        echo = Echo(
            origin=ORIGIN,
            clock=EngineClock(clock, last_t_ns=0, last_wall_ns=0),
            awaits=lambda _: False,
            emit=lambda _: None,
        )
        self.publisher = Publisher(
            life=LIFE,
            transport=None if settings is None else MqttTransport(settings),
            outbox=self.outbox,
            clock=clock,
            timers=FAST,
            echo=echo,
            hearing=self.hearing,
        )
        self._seq = 0

    def say(self, alert: Alert) -> None:
        self._seq += 1
        self.outbox.add(changed(alert, self._seq), ORIGIN)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.publisher.run()), group.create_task(self.hearing.run())]
            yield
            for task in tasks:
                task.cancel()

    async def all_taken(self) -> None:
        await eventually(lambda: not self.outbox.rows and all(one.published for one in self.outbox.table.values()))
        await asyncio.sleep(0.2)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "LATE_S", 0.6)
    monkeypatch.setattr(hearing, "_LOOK_S", 0.05)


pytestmark = pytest.mark.usefixtures("_quick")


async def test_an_alert_that_nobody_subscribes_to_is_told_of_once_however_often_it_is_said(broker: Mosquitto) -> None:
    rig = Rig(broker.settings())
    async with rig.running():
        rig.say(critical(1))
        await rig.all_taken()
        rig.say(critical(1, count=2))
        await rig.all_taken()
        rig.say(critical(1, count=3, over=True))
        rig.say(critical(1, activation=2))
        rig.say(dataclasses.replace(critical(2), severity=Severity.WARNING))
        await rig.all_taken()
        await asyncio.sleep(1)
    assert rig.told == [key(1, Why.NOBODY), key(1, Why.NOBODY, activation=2)]
    assert rig.publisher.health().unheard == 2


@pytest.mark.parametrize("topic", ["event/critical/#", "event/#", "alert/+", "#"])
async def test_whoever_hears_it_on_the_stream_or_on_its_own_topic_is_somebody(broker: Mosquitto, topic: str) -> None:
    rig = Rig(broker.settings())
    async with client_of(broker) as subscriber, rig.running():
        await subscriber.subscribe(ROOT + topic, qos=1)
        rig.say(critical(1))
        await rig.all_taken()
        await asyncio.sleep(1)
    assert rig.told == []


@pytest.mark.parametrize("topic", ["event/warning/#", "heartbeat", "status", "event/info/self.test"])
async def test_whoever_listens_elsewhere_is_nobody(broker: Mosquitto, topic: str) -> None:
    rig = Rig(broker.settings())
    async with client_of(broker) as subscriber, rig.running():
        await subscriber.subscribe(ROOT + topic, qos=1)
        rig.say(critical(1))
        await eventually(lambda: rig.told == [key(1, Why.NOBODY)])


async def test_a_kept_session_of_somebody_who_is_away_counts_as_a_listener(broker: Mosquitto) -> None:
    rig = Rig(broker.settings())
    properties = properties_of(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 600
    async with client_of(broker, identifier="away", clean_start=False, properties=properties) as subscriber:
        await subscriber.subscribe(ROOT + "event/#", qos=1)
    async with rig.running():
        rig.say(critical(1))
        await rig.all_taken()
        await asyncio.sleep(1)
    assert rig.told == []


async def test_one_that_was_heard_is_not_told_of_when_nobody_is_left_for_its_reminders(broker: Mosquitto) -> None:
    rig = Rig(broker.settings())
    async with rig.running():
        async with listening(broker) as listener:
            rig.say(critical(1))
            await listener.until("event/critical/node.lag", seq=1)
        rig.say(critical(1, count=2))
        await rig.all_taken()
    assert rig.told == []


async def test_a_refused_alert_is_told_of_at_once_and_once(broker_acl: Mosquitto) -> None:
    acl = broker_acl.folder / "acl"
    acl.write_text(acl.read_text().replace(f"topic write {ROOT}#", f"topic write {ROOT}event/warning/#"))
    broker_acl.reload()
    rig = Rig(broker_acl.settings())
    async with rig.running(), listening(broker_acl, user="viewer"):
        rig.say(critical(1))
        await eventually(lambda: rig.publisher.health().tally.refused > 3)
        await asyncio.sleep(1)
    assert rig.told == [key(1, Why.REFUSED)]


async def test_without_a_broker_each_is_told_of_after_its_time_and_not_again_when_it_is_sent(broker: Mosquitto) -> None:
    broker.kill()
    rig = Rig(broker.settings())
    async with rig.running():
        for number in (1, 2):
            rig.say(critical(number))
            rig.say(critical(number, count=2))
        rig.say(dataclasses.replace(ALERT, severity=Severity.WARNING))
        await eventually(lambda: len(rig.told) == 2)
        broker.start()
        await eventually(lambda: rig.publisher.health().link is Link.CONNECTED)
        await rig.all_taken()
        await asyncio.sleep(1)
    assert sorted(rig.told) == [key(1, Why.LATE), key(2, Why.LATE)]


async def test_the_end_of_an_alert_that_nobody_hears_is_no_news() -> None:
    rig = Rig(None)
    async with rig.running():
        rig.say(critical(1, over=True))
        await asyncio.sleep(1.2)
    assert rig.told == []


async def test_where_no_broker_is_configured_nobody_hears_either() -> None:
    rig = Rig(None)
    async with rig.running():
        rig.say(critical(1))
        await eventually(lambda: rig.told == [key(1, Why.LATE)])


async def test_an_alert_whose_own_topic_was_heard_before_its_row_was_sent_is_heard() -> None:
    rig = Rig(None)
    stream, own = envelope.alert_messages(changed(critical(1), 1), ORIGIN)
    rig.say(critical(1))
    [pending] = await rig.outbox.pending(1)
    rig.hearing.retained(own.topic, own.payload, 0)
    rig.hearing.taken(pending, 0x10)
    async with rig.running():
        await asyncio.sleep(1)
    assert stream.payload == pending.row.payload
    assert rig.told == []


async def test_an_alert_that_the_disk_has_damaged_is_sent_once_and_keeps_no_other(broker: Mosquitto) -> None:
    rig = Rig(broker.settings())
    rig.say(critical(1))
    rig.say(critical(2))
    rig.outbox.rows[1] = dataclasses.replace(rig.outbox.rows[1], payload=damaged(rig.outbox.rows[1].payload))
    topic, state = next(iter(rig.outbox.table.items()))
    rig.outbox.table[topic] = dataclasses.replace(state, payload=damaged(state.payload or b""))
    async with rig.running():
        await eventually(lambda: sorted(rig.outbox.sent) == [1, 2])
        await eventually(lambda: all(one.published for one in rig.outbox.table.values()))
        await eventually(lambda: rig.told == [key(2, Why.NOBODY)])
    assert sorted(rig.outbox.sent) == [1, 2]
