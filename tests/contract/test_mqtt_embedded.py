"""The demo's broker, whichever there is, carries what the publisher says and is gone afterwards."""

import asyncio
from pathlib import Path

import aiomqtt
import pytest
from tests.contract.test_mqtt_publisher import FAST
from tests.support.broker import ROOT, Listener, _tool, eventually
from tests.support.memory_outbox import MemoryOutbox
from tests.support.messages import ALERT, LIFE, ORIGIN, changed

from tocsin.clock import SystemClock
from tocsin.errors import BrokerError
from tocsin.mqtt import embedded
from tocsin.mqtt.presence import State
from tocsin.mqtt.publisher import Publisher
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport


@pytest.mark.parametrize("name", ["mosquitto", "iotcore"])
async def test_an_alert_and_the_state_of_the_daemon_pass_through(name: str, tmp_path: Path) -> None:
    if name == "mosquitto":
        _tool(name)
    else:
        pytest.importorskip("iotcore")
    outbox = MemoryOutbox()
    outbox.add(changed(ALERT, 1), ORIGIN)
    async with embedded.embedded_broker(tmp_path, name=name) as broker:
        settings = BrokerSettings(host="127.0.0.1", port=broker.port, client_id="demo")
        publisher = Publisher(
            life=LIFE,
            transport=MqttTransport(settings),
            outbox=outbox,
            clock=SystemClock(),
            timers=FAST,
        )
        publisher.set_state(State.READY)
        client = aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5)
        async with asyncio.TaskGroup() as group, client:
            task = group.create_task(publisher.run())
            await eventually(lambda: outbox.sent == [1])
            await client.subscribe(ROOT + "#", qos=1)
            listener = Listener(client)
            await listener.until("status", state="ready")
            state = await listener.until(f"alert/{ALERT.fingerprint}", state="firing")
            outbox.add(changed(ALERT, 2), ORIGIN)
            await listener.until("event/warning/node.lag", seq=2)
            assert state.content_type == "application/cloudevents+json"
            assert await publisher.goodbye(5)
            await listener.until("status", state="disconnected")
            await task
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", broker.port)


async def test_a_broker_that_is_not_there_is_named_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="apt-get install mosquitto"):
        async with embedded.embedded_broker(tmp_path, name="hivemq"):
            pass


def test_what_is_there_is_told_the_better_one_first() -> None:
    assert [name for name in ("mosquitto", "iotcore") if name in embedded.available()] == list(embedded.available())
