"""The whole status: what the core knows, and what only the runtime knows about configuration, broker and disk."""

from tocsin import __version__
from tocsin.clock import EngineClock
from tocsin.config.load import Loaded
from tocsin.engine.state import EngineState
from tocsin.engine.status import overall, status
from tocsin.mqtt.health import Health as BrokerHealth
from tocsin.mqtt.health import Link
from tocsin.store import Health as StoreHealth
from tocsin.store import Mode
from tocsin.wire.envelope import rfc3339

STALE_AFTER_S = 15
"""The document is written at least every few seconds; older than this it stands for a daemon that hangs."""


def document(
    *,
    loaded: Loaded,
    loaded_wall_ns: int,
    started_wall_ns: int,
    state: EngineState,
    clock: EngineClock,
    broker: BrokerHealth,
    store: StoreHealth,
    late: tuple[str, ...],
) -> dict[str, object]:
    """Return the status document, schema 1. `late` names critical tasks that make no progress: all else is then old."""
    core = status(state, clock.t_ns())
    watchdog = loaded.tree.watchdog
    levels = [str(core["level"])]
    if broker.link not in (Link.CONNECTED, Link.NONE) or broker.refused:
        levels.append("warning")
    if store.mode is not Mode.NORMAL or store.saturated:
        levels.append("warning")
    return {
        **core,
        "schema": 1,
        "level": "unknown" if late else overall(levels),
        "watchdog": {
            "site": watchdog.site,
            "name": watchdog.name,
            "environment": watchdog.environment,
            "version": __version__,
            "boot": state.boot,
            "started_at": rfc3339(started_wall_ns),
        },
        "written_wall_ns": clock.wall_ns(),
        "stale_after_s": STALE_AFTER_S,
        "late": list(late),
        "config": {
            "hash": loaded.settings.config_hash,
            "ok": not state.config_problems,
            "problems": list(state.config_problems),
            "warnings": list(loaded.warnings),
            "loaded_at": rfc3339(loaded_wall_ns),
        },
        "broker": {
            "state": "refused" if broker.refused else _LINKS[broker.link],
            "detail": "; ".join([*broker.refused, broker.error]) if broker.refused or broker.error else broker.broker,
            "outbox": store.counts.pending + store.counts.unsaved,
        },
        "store": {
            "state": "ok" if store.mode is Mode.NORMAL else "degraded",
            "detail": store.reason or store.seal_error,
        },
    }


_LINKS = {link: "connected" if link is Link.CONNECTED else "none" if link is Link.NONE else "down" for link in Link}


def line(report: dict[str, object]) -> str:
    """Return the status in one line, for the service manager."""
    chains = report["chains"]
    count = len(chains) if isinstance(chains, list) else 0
    alerts = report["alerts"]
    firing = len(alerts) if isinstance(alerts, list) else 0
    return f"{str(report['level']).upper()}: {count} chains, {firing} alerts, seq {report['seq']}"
