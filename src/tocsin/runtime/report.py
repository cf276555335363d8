"""The whole status: what the core knows, and what only the runtime knows about configuration, broker and disk."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from types import MappingProxyType
from typing import Any

from tocsin import __version__
from tocsin.clock import EngineClock
from tocsin.config.load import Loaded
from tocsin.engine.state import EngineState
from tocsin.engine.status import overall, status
from tocsin.mqtt.health import Health as BrokerHealth
from tocsin.mqtt.health import Link
from tocsin.rpc.batching import BatchLimit
from tocsin.rpc.bill import Bill
from tocsin.rpc.heads import HeadStats
from tocsin.runtime.abilities import abilities
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
    bills: Iterable[tuple[str, str, Bill]] = (),
    sockets: Iterable[tuple[str, str, HeadStats]] = (),
    batches: Iterable[tuple[str, str, BatchLimit]] = (),
    ignored: Mapping[str, int] = MappingProxyType({}),
    channels: Sequence[Mapping[str, object]] = (),
    deadman: Mapping[str, object] | None = None,
    troubles: Iterable[str] = (),
) -> dict[str, object]:
    """Return the status document, schema 1. `late` names critical tasks that make no progress: all else is then old."""
    core = status(state, clock.t_ns())
    heard = list(sockets)
    trouble = [*broker_trouble(broker), *_store_trouble(store), *troubles]
    levels = [str(core["level"]), "warning" if trouble else "ok"]
    return {
        **core,
        "chains": _with_abilities(core["chains"], state, heard, batches),
        "peers": [{**row, "ignored": ignored.get(str(row["name"]), 0)} for row in core["peers"]],  # type: ignore[attr-defined]
        "schema": 1,
        "level": "unknown" if late else overall(levels),
        "watchdog": _watchdog(loaded, state, started_wall_ns),
        "written_wall_ns": clock.wall_ns(),
        "stale_after_s": STALE_AFTER_S,
        "late": list(late),
        "config": _config(loaded, state, loaded_wall_ns),
        "broker": _broker(broker, store),
        "consumers": _consumers(store),
        "channels": list(channels),
        "deadman": None if deadman is None else dict(deadman),
        "store": _store(store),
        "bill": _bill(loaded, bills),
        "sockets": [_socket(chain, node, stats) for chain, node, stats in heard],
    }


def _with_abilities(
    rows: object,
    state: EngineState,
    sockets: Iterable[tuple[str, str, HeadStats]],
    batches: Iterable[tuple[str, str, BatchLimit]],
) -> list[dict[str, Any]]:
    """Return the rows of the chains, with what each node can answer."""
    heads = {(chain, node): stats for chain, node, stats in sockets}
    limits = {(chain, node): limit for chain, node, limit in batches}
    done: list[dict[str, Any]] = rows if isinstance(rows, list) else []
    for chain in done:
        records = state.chains[chain["name"]].nodes
        for node in chain["nodes"]:
            key = chain["name"], node["name"]
            node["abilities"] = abilities(records[node["name"]].capabilities, limits.get(key), heads.get(key))
    return done


def _socket(chain: str, node: str, stats: HeadStats) -> dict[str, object]:
    """Return what happened on a node's websocket since it is watched; `fault` says why there is no subscription now."""
    fault = stats.fault.detail if stats.fault is not None else None
    return {"chain": chain, "node": node, **asdict(stats), "fault": fault}


def _bill(loaded: Loaded, bills: Iterable[tuple[str, str, Bill]]) -> list[dict[str, object]]:
    """Return what each provider's nodes cost: counted over the last 24 hours, and a day at the rate of the last one."""
    providers = {(chain.name, node.name): node.provider for chain in loaded.tree.chains for node in chain.everyone}
    budgets = {provider.name: provider.budget for provider in loaded.tree.providers}
    nodes: dict[str, list[dict[str, object]]] = {}
    sums: dict[str, list[int]] = {}
    for chain, node, bill in bills:
        if (provider := providers.get((chain, node))) is None:
            continue
        costs = asdict(bill)
        nodes.setdefault(provider, []).append({"chain": chain, "node": node, **costs})
        sums[provider] = [
            total + cost for total, cost in zip(sums.get(provider, [0] * len(costs)), costs.values(), strict=True)
        ]
    keys = [field.name for field in fields(Bill)]
    return [
        {
            "provider": provider,
            "budget": budgets.get(provider),
            **dict(zip(keys, sums[provider], strict=True)),
            "nodes": nodes[provider],
        }
        for provider in sorted(nodes)
    ]


def _watchdog(loaded: Loaded, state: EngineState, started_wall_ns: int) -> dict[str, object]:
    watchdog = loaded.tree.watchdog
    return {
        "site": watchdog.site,
        "name": watchdog.name,
        "environment": watchdog.environment,
        "version": __version__,
        "boot": state.boot,
        "started_at": rfc3339(started_wall_ns),
    }


def _config(loaded: Loaded, state: EngineState, loaded_wall_ns: int) -> dict[str, object]:
    return {
        "hash": loaded.settings.config_hash,
        "ok": not state.config_problems,
        "problems": list(state.config_problems),
        "warnings": list(loaded.warnings),
        "loaded_at": rfc3339(loaded_wall_ns),
    }


def _broker(broker: BrokerHealth, store: StoreHealth) -> dict[str, object]:
    return {
        "state": "refused" if broker.refused else _LINKS[broker.link],
        "detail": "; ".join(broker_trouble(broker)) or broker.broker,
        "outbox": waiting(store),
        "since_wall_ns": broker.since_wall_ns,
        "counts": asdict(broker.tally),
        "unheard": broker.unheard,
        "acks": dict(sorted(broker.acks.items())),
    }


def _consumers(store: StoreHealth) -> list[dict[str, object]]:
    """Return how far each registered consumer is; `heard_at` is null before its first ack."""
    return [
        {
            "name": one.name,
            "max": one.max,
            "lag": one.lag(store.last_seq),
            "missing": len(one.missing),
            "heard_at": rfc3339(one.heard_wall_ns) if one.at else None,
        }
        for one in store.consumers
    ]


def waiting(store: StoreHealth) -> int:
    """Return how many messages of the stream wait for the broker, those that are not on disk among them."""
    return store.counts.pending


_LINKS = {link: "connected" if link is Link.CONNECTED else "none" if link is Link.NONE else "down" for link in Link}


def broker_trouble(broker: BrokerHealth) -> list[str]:
    """Return what is wrong with the broker, each with what to do."""
    found = list(broker.refused)
    if broker.rival:
        found.append(f"another daemon (boot {broker.rival}) speaks under this site and name: stop it or rename one")
    if broker.error:
        found.append(broker.error)
    elif broker.link in (Link.CONNECTING, Link.DOWN):
        found.append(f"not connected to {broker.broker}")
    return found


def _store(store: StoreHealth) -> dict[str, object]:
    trouble = _store_trouble(store)
    return {"state": "degraded" if trouble else "ok", "detail": "; ".join(trouble), "damaged": store.damaged}


def _store_trouble(store: StoreHealth) -> list[str]:
    """Return what is wrong with the state directory."""
    found = [store.reason or store.mode.value] if store.mode is not Mode.NORMAL else []
    if store.seal_error:
        found.append(store.seal_error)
    if store.saturated:
        found.append(f"{store.counts.pending} messages wait for the broker, about as many as are kept")
    return found


def line(report: dict[str, object]) -> str:
    """Return the status in one line, for the service manager."""
    chains = report["chains"]
    count = len(chains) if isinstance(chains, list) else 0
    total = report["alerts_total"]
    alerts = _counted(total if isinstance(total, int) else 0, "alert")
    words = f"{_counted(count, 'chain')}, {alerts}, seq {report['seq']}"
    return f"{str(report['level']).upper()}: {words}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
