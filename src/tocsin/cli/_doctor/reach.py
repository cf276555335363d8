"""How the doctor reaches nodes and the broker that a configuration names: as the daemon does, but beside it."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tocsin.clock import NS
from tocsin.config.tree import Chain, Mqtt, Node, Tree
from tocsin.mqtt.settings import BrokerSettings
from tocsin.rpc.endpoint import Endpoint

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


def endpoint_of(chain: Chain, node: Node) -> Endpoint:
    """Return how a node is reached. Its budget does not count: a few dozen calls are asked once, by a person."""
    return Endpoint(
        chain=chain.name,
        node=node.name,
        url=node.url,
        ws=node.ws,
        headers=tuple(node.headers.items()),
        ca=node.ca,
        cert=node.cert,
        key=node.key,
        proxy=node.proxy,
        timeout_ns=node.timeout_ns,
    )


def broker_of(tree: Tree, mqtt: Mqtt) -> BrokerSettings:
    """Return how the broker is reached, with a client id of our own: the daemon's would end its session."""
    return BrokerSettings(
        host=mqtt.url.host,
        port=urlsplit(mqtt.url.reveal()).port or PORTS[mqtt.url.scheme],
        client_id=f"tocsin-{tree.watchdog.site}-{tree.watchdog.name}-doctor-{os.getpid()}",
        tls=mqtt.url.scheme == "mqtts",
        user=mqtt.user,
        password=mqtt.password,
        ca=_path(mqtt.ca),
        cert=_path(mqtt.cert),
        key=_path(mqtt.key),
        keepalive_s=mqtt.keepalive_ns // NS,
    )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
