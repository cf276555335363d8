"""The self-test over a real broker: heard back by the one who said it, on its own topic alone."""

import dataclasses
from collections.abc import Container

import orjson
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from tests.contract.test_mqtt_publisher import FAST, is_connected, running
from tests.support.broker import ROOT, Mosquitto, client_of, eventually
from tests.support.memory_outbox import MemoryOutbox
from tests.support.messages import ALERT, LIFE, ORIGIN, changed

from tocsin.clock import EngineClock, SystemClock
from tocsin.model.alert import Alert, Severity
from tocsin.model.event import Echoed
from tocsin.model.selftest import ID
from tocsin.mqtt.client import Received, properties_of
from tocsin.mqtt.echo import Echo
from tocsin.mqtt.publisher import Publisher
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport
from tocsin.wire.envelope import alert_messages

TOPIC = f"{ROOT}event/info/self.test"
WORD: Alert = dataclasses.replace(ALERT, fingerprint="0" * 32, detector=ID, severity=Severity.INFO, labels=())


class Rig:
    """A publisher with an ear for its own self-test, and what that heard."""

    def __init__(self, settings: BrokerSettings, awaited: Container[int] = (1,)) -> None:
        self.outbox = MemoryOutbox()
        self.heard: list[Echoed] = []
        self.echo = Echo(
            origin=ORIGIN,
            clock=EngineClock(SystemClock(), last_t_ns=0, last_wall_ns=0),
            awaits=lambda seq: seq in awaited,
            emit=self.heard.append,
        )
        self.transport = MqttTransport(settings)
        self.publisher = Publisher(
            life=LIFE,
            transport=self.transport,
            outbox=self.outbox,
            clock=SystemClock(),
            broker=settings.url,
            timers=FAST,
            echo=self.echo,
        )

    def say(self, seq: int, alert: Alert = WORD) -> None:
        self.outbox.add(changed(alert, seq), ORIGIN)

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.heard]


async def test_a_word_that_waited_for_the_connection_is_heard_back_too(broker: Mosquitto) -> None:
    rig = Rig(broker.settings(), (1, 2))
    rig.say(1)
    async with running(rig.publisher):
        await eventually(lambda: rig.seqs == [1])
        rig.say(2)
        await eventually(lambda: rig.seqs == [1, 2])
        assert rig.publisher.health().tally.garbage == 0


async def test_the_own_ear_does_not_hide_that_nobody_listens_elsewhere(broker: Mosquitto) -> None:
    rig = Rig(broker.settings())
    rig.say(1)
    async with running(rig.publisher):
        await eventually(lambda: rig.seqs == [1] and rig.outbox.unsent == [])
        before = rig.transport.counters.unheard
        rig.say(2, dataclasses.replace(ALERT, severity=Severity.CRITICAL))
        await eventually(
            lambda: rig.outbox.sent == [1, 2] and rig.outbox.table[f"{ROOT}alert/{ALERT.fingerprint}"].published != 0
        )
        assert rig.transport.counters.unheard == before + 2


async def test_nothing_but_what_was_said_is_an_echo(broker: Mosquitto) -> None:
    rig = Rig(broker.settings(), (1, 7))
    said = orjson.loads(alert_messages(changed(WORD, 7), ORIGIN)[0].payload)
    async with running(rig.publisher), client_of(broker) as stranger:
        await eventually(is_connected(rig.publisher))
        for payload in (b"", b"{", b"[]", orjson.dumps({"data": {"seq": 7}}), orjson.dumps(said), b"\xff" * 70_000):
            await stranger.publish(TOPIC, payload, qos=1)
            await stranger.publish(TOPIC, payload, qos=1, properties=correlated(bytes(8)))
        await stranger.publish(TOPIC, orjson.dumps(said), qos=1, retain=True)
        await eventually(lambda: rig.publisher.health().tally.garbage == 13)
        rig.say(1)
        await eventually(lambda: rig.seqs == [1])
        assert rig.publisher.health().tally.garbage == 13


def test_a_word_is_believed_only_with_its_number_and_byte_for_byte(broker: Mosquitto) -> None:
    rig = Rig(broker.settings(), (7, 8))
    payload = b'{"data": {"seq": 7}}'
    mark = rig.echo.marked(TOPIC, 7, payload)
    assert mark is not None
    assert rig.echo.marked(f"{ROOT}event/info/node.lag", 8, payload) is None
    other = rig.echo.marked(TOPIC, 8, b'{"data": {"seq": 8}}')
    for lie in (
        Received(topic=TOPIC, payload=payload, retained=True, correlation=mark),
        Received(topic=TOPIC, payload=payload, retained=False),
        Received(topic=TOPIC, payload=payload, retained=False, correlation=other),
        Received(topic=TOPIC, payload=payload + b" ", retained=False, correlation=mark),
    ):
        assert not rig.echo.hear(lie)
    assert rig.echo.hear(Received(topic=TOPIC, payload=payload, retained=False, correlation=mark))
    assert rig.seqs == [7]


def test_a_word_that_is_sent_again_has_another_number_and_old_ones_are_forgotten(broker: Mosquitto) -> None:
    rig = Rig(broker.settings(), range(1, 1000))
    marks = [rig.echo.marked(TOPIC, 1, b"word") for _ in range(100)]
    assert len(set(marks)) == 100
    assert [
        rig.echo.hear(Received(topic=TOPIC, payload=b"word", retained=False, correlation=mark)) for mark in marks
    ] == [False] * 36 + [True] * 64


def correlated(data: bytes) -> Properties:
    properties = properties_of(PacketTypes.PUBLISH)
    properties.CorrelationData = data
    return properties


async def test_the_shipped_access_list_lets_the_daemon_hear_itself_and_without_that_line_nothing_comes(
    broker_acl: Mosquitto,
) -> None:
    acl = broker_acl.folder / "acl"
    allowed = acl.read_text()
    line = f"topic read {TOPIC}\n"
    assert line in allowed
    acl.write_text(allowed.replace(line, ""))
    broker_acl.reload()
    rig = Rig(broker_acl.settings(), range(1, 10_000))
    rig.say(1)
    async with running(rig.publisher):
        await eventually(lambda: rig.outbox.sent == [1])
        acl.write_text(allowed)
        broker_acl.reload()
        for seq in range(2, 10_000):  # the broker takes its time to read the list
            rig.say(seq)
            await eventually(lambda seq=seq: seq in rig.outbox.sent)  # type: ignore[misc]
            if rig.seqs:
                break
        assert rig.seqs[0] > 1
