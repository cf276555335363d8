"""The broker: whether it takes our connection, and what we publish."""

from typing import Final

from tocsin.cli._doctor.result import Level, Result, warn
from tocsin.config.tree import Mqtt, Tree
from tocsin.mqtt.probe import probe
from tocsin.runtime import endpoints
from tocsin.wire.envelope import Origin

LEVELS: Final = {"ok": Level.OK, "warning": Level.WARN, "critical": Level.FAIL}


async def examine(tree: Tree, mqtt: Mqtt) -> list[Result]:
    """Try out connection and access rights beside a running daemon."""
    watchdog = tree.watchdog
    origin = Origin(site=watchdog.site, watchdog=watchdog.name)
    return [
        Result(level=LEVELS[one.level], subject=f"broker {one.check}", said=one.detail, todo=one.hint)
        for one in await probe(endpoints.broker(watchdog, mqtt), origin)
    ]


def absent() -> Result:
    """Say that no broker is configured."""
    return warn("broker", "none is configured", "alerts show at the shell only; add [mqtt] to send them")
