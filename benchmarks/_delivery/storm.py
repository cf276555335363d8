"""Ten thousand alerts in ten seconds: the critical ones must not wait behind the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

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
_CRITICAL_OF = 10
_INTERVAL_S = 5
_SLACK_S = 0.5
_LOOK_S = 0.1


class Listener:
    """Notes when which alert of the stream came, from outside of every process that it is about."""

    def __init__(self, port: int) -> None:
        settings = BrokerSettings(host="127.0.0.1", port=port, client_id="listener")
        self._transport = MqttTransport(settings)
        self._clock = SystemClock()
        self.heard: dict[int, tuple[str, str, float]] = {}
        """By number: severity, fingerprint, and seconds from being raised."""

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
        self.heard.setdefault(data["seq"], (data["severity"], data["fingerprint"], now_ns / 1e9 - raised_s))


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


async def storm(folder: Path, *, alerts: int, within_s: float, after_s: float) -> dict[str, float]:
    """Return how long critical alerts, and the others, took from the tick to a listener."""
    rig = Rig.of(folder, {"storm": alerts, "within_s": within_s, "after_s": after_s, "critical_of": _CRITICAL_OF})
    chains = max(1, alerts // _CHAIN_NODES)
    listener, people = Listener(rig.broker.port), People()
    async with serve(people.hear) as webhook:
        more, weak = _channel(webhook.url), min(alerts, _CHAIN_NODES)
        text = configuration(folder, rig.broker.port, chains=chains, weak=weak, tick="250ms", more=more)
        (folder / "tocsin.toml").write_text(text)
        rss_mb = await _heard_all(rig, listener, alerts, 120 + after_s + 10 * within_s)
    return _figures(listener, people, alerts, rss_mb)


async def _heard_all(rig: Rig, listener: Listener, alerts: int, within_s: float) -> float:
    """Wait until the listener has heard of everybody, or of as many as time allows; return the daemon's memory then."""
    async with staged(rig), listener.listening():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while len(listener.heard) < alerts:
                    rig.listen()
                    await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(2 * _INTERVAL_S)
        return rig.rss_mb()


def _figures(listener: Listener, people: People, alerts: int, rss_mb: float) -> dict[str, float]:
    urgent = [took for severity, _, took in listener.heard.values() if severity == "critical"]
    others = [took for severity, _, took in listener.heard.values() if severity != "critical"]
    return {
        "storm_alerts": len({fingerprint for _, fingerprint, _ in listener.heard.values()}),
        "storm_critical": len(urgent),
        "storm_critical_expected": alerts // _CRITICAL_OF,
        "storm_critical_p99_s": round(quantile(urgent, 0.99), 3),
        "storm_critical_p50_s": round(quantile(urgent, 0.5), 3),
        "storm_others_p99_s": round(quantile(others, 0.99), 3),
        "storm_rss_mb": round(rss_mb, 1),
        "people_messages": len(people.told),
        "people_groups": len({group for _, group in people.told}),
        "people_too_soon": people.too_soon(),
    }
