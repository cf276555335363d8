"""Ten thousand alerts in ten seconds: the critical ones must not wait behind the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import orjson

from benchmarks._delivery.rig import Rig, configuration, staged
from benchmarks._delivery.verdict import quantile
from tocsin.clock import SystemClock
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport

_CHAIN_NODES = 25
_CRITICAL_OF = 10


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


async def storm(folder: Path, *, alerts: int, within_s: float, after_s: float) -> dict[str, float]:
    """Return how long critical alerts, and the others, took from the tick to a listener."""
    rig = Rig.of(folder, {"storm": alerts, "within_s": within_s, "after_s": after_s, "critical_of": _CRITICAL_OF})
    chains = max(1, alerts // _CHAIN_NODES)
    text = configuration(folder, rig.broker.port, chains=chains, weak=min(alerts, _CHAIN_NODES), tick="250ms")
    (folder / "tocsin.toml").write_text(text)
    listener = Listener(rig.broker.port)
    async with staged(rig), listener.listening():
        async with asyncio.timeout(120 + after_s + 10 * within_s):
            while len(listener.heard) < alerts:
                rig.listen()
                await asyncio.sleep(0.1)
        rss_mb = rig.rss_mb()
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
    }
