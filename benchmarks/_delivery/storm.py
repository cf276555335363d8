"""Ten thousand alerts in ten seconds: the critical ones must not wait behind the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from benchmarks._delivery.rig import Rig, configuration, staged
from benchmarks._delivery.verdict import quantile
from tocsin.clock import SystemClock
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport
from tocsin.testing.servers import serve

_CHAIN_NODES = 25
_ALERTS_OF_NODE = 4
_CRITICAL_OF = 2
_SLOT_S = 600
"""No block comes in a storm: the chains are not what it is about."""
_INTERVAL_S = 5
_SLACK_S = 0.5
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An alert as it came: how bad, when it was raised, and how long it took from there."""

    severity: str
    raised_s: float
    took_s: float


class Listener:
    """Notes when which alert of the stream came, from outside of every process that it is about."""

    def __init__(self, port: int) -> None:
        settings = BrokerSettings(host="127.0.0.1", port=port, client_id="listener")
        self._transport = MqttTransport(settings)
        self._clock = SystemClock()
        self.heard: dict[str, Heard] = {}
        """The first word of each alert, by its fingerprint."""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Listener"]:
        """Listen for the length of a block."""
        async with self._transport.connect(will=None, on_message=self._take) as connection:
            await connection.subscribe("tocsin/v1/ams/host-a/event/#")
            yield self

    def _take(self, received: Received) -> None:
        now_ns = self._clock.wall_ns()
        event = orjson.loads(received.payload)
        if event["type"] != "dev.tocsin.alert.v1":
            return
        data = event["data"]
        raised_s = datetime.fromisoformat(data["updated_at"]).timestamp()
        heard = Heard(severity=data["severity"], raised_s=raised_s, took_s=now_ns / 1e9 - raised_s)
        self.heard.setdefault(data["fingerprint"], heard)


class People:
    """Gets what people are told, over a webhook."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []
        """When, and of which group."""

    async def hear(self, request: web.Request) -> web.StreamResponse:
        """Take one message."""
        event = orjson.loads(await request.read())
        data = event["data"]
        at = datetime.fromisoformat(event["time"]).timestamp()
        self.told.append((at, f"{data['severity']} {' '.join(one['detector'] for one in data['detectors'])}"))
        return web.Response(status=204)

    def too_soon(self) -> int:
        """Count messages about a group that came sooner after the one before than its interval."""
        groups: dict[str, list[float]] = {}
        for at, group in self.told:
            groups.setdefault(group, []).append(at)
        pairs = [pair for times in groups.values() for pair in pairwise(sorted(times))]
        return sum(later - before < _INTERVAL_S - _SLACK_S for before, later in pairs)


def _channel(url: str) -> str:
    return (
        f'[[notify]]\nname = "people"\nkind = "webhook"\nurl = "{url}"\nkey = "sixteen bytes or more"\n'
        f'group_by = ["detector"]\ngroup_wait = "1s"\ngroup_interval = "{_INTERVAL_S}s"\nper_minute = 60'
    )


async def storm(folder: Path, *, alerts: int, within_s: float, after_s: float) -> dict[str, Any]:
    """Return how long critical alerts, and the others, took from the tick to a listener, and how long the loop stood.

    Of a storm that was not heard whole there are no times: those that came in time would flatter the rest.
    """
    orders = {"storm": True, "within_s": within_s, "after_s": after_s, "critical_of": _CRITICAL_OF, "slot_s": _SLOT_S}
    rig = Rig.of(folder, orders | {"stalls": True})
    nodes = alerts // _ALERTS_OF_NODE
    listener, people = Listener(rig.broker.port), People()
    async with serve(people.hear) as webhook:
        text = configuration(
            folder,
            rig.broker.port,
            chains=max(1, nodes // _CHAIN_NODES),
            weak=min(nodes, _CHAIN_NODES),
            tick="250ms",
            slot_s=_SLOT_S,
            own=True,
            more=_channel(webhook.url),
        )
        (folder / "tocsin.toml").write_text(text)
        rss_mb = await _heard_all(rig, listener, 120 + after_s + 10 * within_s)
    return _figures(rig, listener, people, rss_mb)


async def _heard_all(rig: Rig, listener: Listener, within_s: float) -> float:
    """Wait until the listener has heard of everything, or as much as time allows; return the daemon's memory then."""
    async with staged(rig), listener.listening():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not rig.storm or len(listener.heard) < rig.storm["storm"]:
                    rig.listen()
                    if not rig.storm:
                        rig.stalls.clear()
                    await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(2 * _INTERVAL_S)
        rig.listen()
        return rig.rss_mb()


def _figures(rig: Rig, listener: Listener, people: People, rss_mb: float) -> dict[str, Any]:
    heard = listener.heard.values()
    urgent = [one.took_s for one in heard if one.severity == "critical"]
    others = [one.took_s for one in heard if one.severity != "critical"]
    raised = [one.raised_s for one in heard]
    expected, critical = rig.storm.get("storm", 0), rig.storm.get("critical", 0)
    is_whole = 0 < expected <= len(heard) and len(urgent) >= critical
    worst = max(rig.stalls, key=lambda one: one["stall_cpu_ms"], default={"stall_cpu_ms": 0.0, "what": ""})
    return {
        "storm_alerts": len(heard),
        "storm_missing": max(0, expected - len(heard)),
        "storm_foreign": max(0, len(heard) - expected),
        "storm_critical": len(urgent),
        "storm_critical_expected": critical,
        "storm_raised_in_s": round(max(raised) - min(raised), 1) if is_whole else None,
        "storm_critical_p99_s": round(quantile(urgent, 0.99), 3) if is_whole else None,
        "storm_critical_p50_s": round(quantile(urgent, 0.5), 3) if is_whole else None,
        "storm_others_p99_s": round(quantile(others, 0.99), 3) if is_whole else None,
        "storm_stall_ms": round(worst["stall_cpu_ms"], 1),
        "storm_stall_wall_ms": round(max((one["stall_ms"] for one in rig.stalls), default=0.0), 1),
        "storm_stall_gc_ms": round(max((one["stall_gc_ms"] for one in rig.stalls), default=0.0), 1),
        "storm_starved_ms": round(max((one["starved_ms"] for one in rig.stalls), default=0.0), 1),
        "storm_stall_in": worst["what"],
        "storm_rss_mb": round(rss_mb, 1),
        "people_messages": len(people.told),
        "people_groups": len({group for _, group in people.told}),
        "people_too_soon": people.too_soon(),
    }
