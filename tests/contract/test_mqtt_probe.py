"""The probe tells what a broker lets us do, and leaves nothing behind."""

import dataclasses

import pytest
from tests.support.broker import ROOT, Mosquitto, free_port, listening, retained
from tests.support.messages import ORIGIN

from tocsin.mqtt.probe import Finding, probe
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport
from tocsin.secret import Secret
from tocsin.wire.envelope import Origin


def by_check(found: tuple[Finding, ...]) -> dict[str, str]:
    return {one.check: one.level for one in found}


async def test_a_broker_with_an_acl_is_found_sound(broker_acl: Mosquitto) -> None:
    found = await probe(broker_acl.settings(), ORIGIN)
    assert by_check(found) == {"connect": "ok", "window": "ok", "own tree": "ok", "foreign trees": "ok"}


async def test_a_broker_that_lets_anyone_speak_for_anyone_is_a_warning(broker: Mosquitto) -> None:
    found = await probe(broker.settings(), ORIGIN)
    assert by_check(found)["foreign trees"] == "warning"


async def test_a_tree_that_is_not_ours_to_write_is_told_with_what_to_grant(broker_acl: Mosquitto) -> None:
    other = Origin(site="ams", watchdog="host-z")
    found = {one.check: one for one in await probe(broker_acl.settings(), other)}
    assert found["own tree"].level == "critical"
    assert found["own tree"].hint == "let this user write tocsin/v1/ams/host-z/#"


async def test_a_broker_that_is_not_there_is_the_only_finding() -> None:
    found = await probe(BrokerSettings(host="127.0.0.1", port=free_port(), client_id="x"), ORIGIN)
    assert by_check(found) == {"connect": "critical"}
    assert found[0].hint


@pytest.mark.parametrize(
    ("line", "check"),
    [("retain_available false", "retain"), ("max_qos 0", "qos"), ("max_packet_size 10000", "size")],
)
async def test_a_broker_that_grants_too_little_is_told(broker: Mosquitto, line: str, check: str) -> None:
    broker.stop()
    broker.lines = (*broker.lines, line)
    broker.start()
    found = {one.check: one for one in await probe(broker.settings(), ORIGIN)}
    assert found[check].level in {"warning", "critical"}
    assert found[check].hint


async def test_a_password_in_clear_over_the_network_is_a_warning(broker: Mosquitto) -> None:
    broker.stop()
    broker.host = "0.0.0.0"  # noqa: S104 - to be reached by a name that is no loopback address
    broker.start()
    settings = broker.settings(user="u", password=Secret("correct-horse-battery"), host="0.0.0.0")  # noqa: S104
    assert by_check(await probe(settings, ORIGIN))["tls"] == "warning"
    local = dataclasses.replace(settings, host="127.0.0.1")
    assert "tls" not in by_check(await probe(local, ORIGIN))


async def test_a_running_daemon_keeps_its_session_and_the_broker_keeps_nothing(broker: Mosquitto) -> None:
    settings = broker.settings()
    async with (
        MqttTransport(settings).connect(will=None, on_message=lambda _: None) as daemon,
        listening(broker) as listener,
    ):
        await probe(settings, ORIGIN)
        await daemon.publish(ROOT + "still/here", b"", qos=1, retain=False, expiry_s=None, content_type=None)
        await listener.settle()
    assert await retained(broker) == {}
