"""What listens on this host already, where a test runs a program that looks for it."""

import socket

from tocsin.cli import _probe

PORTS = (*_probe.RPC_PORTS, *_probe.BEACON_PORTS, _probe.ENGINE_PORT, _probe.BROKER_PORT)


def doctors_codes() -> set[int]:
    """Return how `doctor` may end with what `init` found: badly on an empty host, where a node or a broker happens to
    answer also well."""
    return {0, 1} if any(map(_listens, PORTS)) else {1}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((_probe.HOST, port)) == 0
