"""The broker configuration that we ship starts, and lets each user do what it says and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.broker import CONFIGS, PASSWORD, ROOT, Mosquitto, eventually, listening, passwords

from tocsin.errors import PublishRefused
from tocsin.mqtt.transport import MqttTransport
from tocsin.secret import Secret


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Mosquitto]:
    """Run a broker with the files of configs/mosquitto, moved to a folder and a port of the test."""
    folder = tmp_path / "broker"
    folder.mkdir()
    passwords(folder)
    acl = folder / "acl"
    acl.write_text((CONFIGS / "acl").read_text())
    acl.chmod(0o600)
    text = (CONFIGS / "mosquitto.conf").read_text()
    moved = text.replace("/etc/mosquitto/tocsin/", f"{folder}/").replace("/var/lib/mosquitto/", f"{folder}/")
    lines = tuple(line for line in moved.splitlines() if not line.startswith("listener "))
    broker = Mosquitto(folder=folder, lines=lines, user="tocsin")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


async def may(broker: Mosquitto, user: str, topic: str) -> bool:
    settings = broker.settings(user=user, password=Secret(PASSWORD), client_id=user)
    async with MqttTransport(settings).connect(will=None, on_message=lambda _: None) as connection:
        try:
            await connection.publish(topic, b"{}", qos=1, retain=False, expiry_s=None, content_type=None)
        except PublishRefused:
            return False
        return True


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("tocsin", ROOT + "event/warning/node.lag", True),
        ("tocsin", ROOT + "status", True),
        ("tocsin", "tocsin/v1/ams/host-b/status", False),
        ("tocsin", "tocsin/v1/ams/host-a2/status", False),
        ("viewer", ROOT + "status", False),
        ("viewer", ROOT + "cmd/halt", False),
        ("viewer", ROOT + "ack/viewer", True),
        ("viewer", ROOT + "ack/pager", False),
        ("pager", ROOT + "ack/pager", True),
        ("pager", ROOT + "ack/viewer", False),
        ("pager", ROOT + "status", False),
        ("tocsin", ROOT + "reply/viewer/1", True),
        ("viewer", ROOT + "reply/viewer/1", False),
        ("operator", ROOT + "cmd/halt", True),
        ("operator", ROOT + "status", False),
        ("operator", ROOT + "event/critical/node.fork", False),
    ],
)
async def test_each_user_may_write_what_the_access_list_says(
    shipped: Mosquitto, user: str, topic: str, *, allowed: bool
) -> None:
    assert await may(shipped, user, topic) is allowed


@pytest.mark.parametrize("user", ["viewer", "pager"])
async def test_viewers_and_consumers_hear_what_the_daemon_says(shipped: Mosquitto, user: str) -> None:
    async with listening(shipped, user=user) as listener:
        assert await may(shipped, "tocsin", ROOT + "status")
        await listener.until_any(lambda one: one.topic == ROOT + "status")


async def test_the_daemon_hears_what_is_said_in_its_name(shipped: Mosquitto) -> None:
    async with listening(shipped, [ROOT + "status"], user="tocsin") as listener:
        assert await may(shipped, "tocsin", ROOT + "status")
        await listener.until_any(lambda one: one.topic == ROOT + "status")


async def test_retained_messages_outlive_a_crash_of_the_broker(shipped: Mosquitto) -> None:
    async with MqttTransport(shipped.settings()).connect(will=None, on_message=lambda _: None) as connection:
        await connection.publish(ROOT + "a", b"{}", qos=1, retain=True, expiry_s=None, content_type=None)
        saved = shipped.folder / "mosquitto.db"
        await eventually(lambda: saved.is_file() and (ROOT + "a").encode() in saved.read_bytes())
    shipped.kill()
    shipped.start()
    async with listening(shipped, user="viewer") as listener:
        await listener.until_any(lambda one: one.topic == ROOT + "a" and one.retained)
