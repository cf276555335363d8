"""The broker: whether it takes our connection, and what we publish."""

from typing import Final

from tocsin.cli._doctor.reach import broker_of
from tocsin.cli._doctor.result import Result, fail, ok, warn
from tocsin.config.tree import Mqtt, Tree
from tocsin.errors import BrokerError, PublishRefused
from tocsin.mqtt.client import Received
from tocsin.mqtt.transport import MqttTransport
from tocsin.wire import topics

NOBODY: Final = "doctor"
NO_ALERT: Final = "0" * 32
HARMLESS: Final = (topics.alert(NO_ALERT), topics.chain_head(NOBODY), topics.node(NOBODY, NOBODY))
"""Topics under our root that no chain, node or alert has: clearing them changes nothing for any subscriber."""


async def examine(tree: Tree, mqtt: Mqtt) -> list[Result]:
    """Connect beside a running daemon, clear topics that nobody has, listen where the daemon listens."""
    settings = broker_of(tree, mqtt)
    root = topics.root(tree.watchdog.site, tree.watchdog.name)
    try:
        async with MqttTransport(settings).connect(will=None, on_message=_ignore) as connection:
            results = [ok("broker", f"{settings.url} takes our connection")]
            for topic in (root + one for one in HARMLESS):
                try:
                    await connection.publish(topic, b"", qos=1, retain=True, expiry_s=None, content_type=None)
                except PublishRefused as refusal:
                    rule = f"allow {tree.mqtt.user if tree.mqtt and tree.mqtt.user else 'this client'} to write {root}#"
                    return [*results, fail("broker ACL", str(refusal), f"{rule}: configs/mosquitto has an example")]
            return [*results, ok("broker ACL", f"we may publish below {root}")]
    except BrokerError as error:
        return [fail("broker", str(error), "alerts are kept until it answers")]


def absent() -> Result:
    """No broker is configured."""
    return warn("broker", "none is configured", "alerts show at the shell only; add [mqtt] to send them")


def _ignore(_: Received) -> None:
    return
