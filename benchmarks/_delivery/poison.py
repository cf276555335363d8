"""Everything wrong that can come over the broker, as fast as it takes it, while alerts go on.

Junk of every kind on every topic that the daemon listens to, kept and live; acks that are forged, replayed, of nobody,
or of the future; answers are asked for. None of it may be believed, none may go uncounted, and the loop goes on.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks._delivery.consumer import KEY, NAME
from benchmarks._delivery.rig import Rig, configuration, staged
from benchmarks._delivery.verdict import Books, quantile
from tocsin.errors import BrokerError
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttConnection, MqttTransport
from tocsin.wire.acks import Ack, encode

ROOT: Final = "tocsin/v1/ams/host-a/"
SOURCE: Final = "/tocsin/ams/host-a"
LIAR, LIARS_KEY = "liar", "a key of somebody who lies"
_MORE: Final = f'[[consumer]]\nname = "{LIAR}"\nkey = "{LIARS_KEY}"\n'
_RATE: Final = 20.0
_CALM_S: Final = 5.0

JUNK: Final = (
    b"x" * 2**20,
    orjson.dumps({"data": {"boot_id": "b" * 2**20, "started": "", "state": "lost"}}),
    b'{"data": {"boot_id": "\xff\xfe\xc3("}}',
    b"[" * 200_000 + b"]" * 200_000,
    b'{"data":' * 50_000 + b"0" + b"}" * 50_000,
    b'{"at": 1, "max": ' + b"9" * 100_000 + b', "missing": [], "hmac": ""}',
    b'{"at": 1, "max": 1, "missing": [' + b"1," * 8000 + b'1], "hmac": ""}',
    b"null",
    b"",
    os.urandom(4096),
)
PLACES: Final = ("status", "heartbeat", f"ack/{NAME}", "ack/nobody", "cmd/halt", "ack/" + "x" * 200)


def acks() -> Iterator[tuple[str, bytes]]:
    """Yield who claims what: forged, replayed, of nobody, unsigned, and of the future, again and again."""
    key, lies = KEY.encode(), LIARS_KEY.encode()
    forged = encode(Ack(at=2**52, max=1), SOURCE, NAME, b"another key of many bytes")
    elsewhere = encode(Ack(at=2**52, max=1), "/tocsin/ams/host-b", NAME, key)
    replayed = encode(Ack(at=1, max=0), SOURCE, NAME, key)
    future = encode(Ack(at=2**52, max=2**50), SOURCE, LIAR, lies)
    nobody = encode(Ack(at=2**52, max=1), SOURCE, "nobody", key)
    unsigned = orjson.dumps({"at": 2**52, "max": 1, "missing": []})
    yield from cycle(
        [(NAME, forged), (NAME, elsewhere), (NAME, replayed), (LIAR, future), ("nobody", nobody), (NAME, unsigned)]
    )


REASONS: Final = ("forged", "replayed", "future", "unregistered", "unsigned", "malformed", "too-large", "retained")


@dataclass
class Flood:
    """One connection that says nothing but wrong things."""

    port: int
    name: str
    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)

    def _heard(self, received: Received) -> None:
        said = orjson.loads(received.payload)["data"]
        self.answers["believed" if said["accepted"] else said["reason"]] += 1

    async def run(self, what: str) -> None:
        """Flood until cancelled; the broker may be too slow for it, which is no end."""
        settings = BrokerSettings(host="127.0.0.1", port=self.port, client_id=f"flood-{self.name}")
        transport = MqttTransport(settings)
        while True:
            with contextlib.suppress(BrokerError):
                async with transport.connect(will=None, on_message=self._heard) as connection:
                    if what == "acks":
                        await connection.subscribe(f"{ROOT}reply/#")
                    await (self._lie(connection) if what == "acks" else self._litter(connection))

    async def _litter(self, connection: MqttConnection) -> None:
        for number, payload in enumerate(cycle(JUNK)):
            for place in PLACES:
                # What is retained on ack topics would come to each new life; one of each kind is enough.
                await self._say(connection, place, payload, retain=number % 7 == 0)
                self.sent["junk"] += 1

    async def _lie(self, connection: MqttConnection) -> None:
        for number, (who, payload) in enumerate(acks()):
            reply = f"{ROOT}reply/{who}/{number}" if number % 2 else None
            await connection.publish(
                f"{ROOT}ack/{who}",
                payload,
                qos=0,
                retain=False,
                expiry_s=None,
                content_type=None,
                correlation=str(number).encode(),
                response_topic=reply,
            )
            self.sent["acks"] += 1
            if number % 50 == 0:
                await asyncio.sleep(0)

    async def _say(self, connection: MqttConnection, place: str, payload: bytes, *, retain: bool) -> None:
        await connection.publish(ROOT + place, payload, qos=1, retain=retain, expiry_s=None, content_type=None)


async def poison(folder: Path, *, seconds: float) -> dict[str, Any]:
    """Return how long the loop stood still before and in the flood, and whether anything wrong came of it."""
    rig = Rig.of(
        folder, {"seed": "poison", "rate": _RATE, "goal": int(_RATE * (seconds + 3 * _CALM_S)), "stalls": True}
    )
    (folder / "tocsin.toml").write_text(configuration(folder, rig.broker.port, more=_MORE))
    floods = [Flood(rig.broker.port, "junk"), Flood(rig.broker.port, "acks")]
    async with staged(rig):
        await rig.until(lambda now: now["seq"] > 0, "the first alert")
        await asyncio.sleep(_CALM_S)
        calm = _stalls(rig)
        tasks = [asyncio.ensure_future(flood.run(flood.name)) for flood in floods]
        try:
            await asyncio.sleep(seconds)
            flooded = await rig.status()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        stalled = _stalls(rig)
        last = await rig.until(
            lambda now: not now["alerts"] and now["seq"] >= _RATE * seconds and not now["broker"]["outbox"], "the end"
        )
        await rig.until_here(last["seq"])
    books = Books.of(folder)
    took = {"poison_latency_p99_s": round(quantile(books.latencies_s(), 0.99), 2)}
    return _figures(books.figures(), floods, flooded or last, calm, stalled) | took


def _stalls(rig: Rig) -> list[dict[str, Any]]:
    """Return what was said of stalls since the last call."""
    rig.listen()
    found, rig.stalls[:] = list(rig.stalls), []
    return found


def _figures(
    found: dict[str, int],
    floods: list[Flood],
    status: dict[str, Any],
    calm: list[dict[str, Any]],
    stalled: list[dict[str, Any]],
) -> dict[str, Any]:
    counted: dict[str, int] = status["broker"]["acks"]
    worst = max(stalled, key=lambda one: one["stall_cpu_ms"])
    answers = sum((flood.answers for flood in floods), Counter[str]())
    liar = next(one for one in status["consumers"] if one["name"] == LIAR)
    return {
        "loop_stall_ms": round(worst["stall_cpu_ms"], 1),
        "loop_stall_wall_ms": round(max(one["stall_ms"] for one in stalled), 1),
        "loop_stall_p50_ms": round(quantile([one["stall_cpu_ms"] for one in stalled], 0.5), 1),
        "loop_stall_calm_ms": round(max((one["stall_cpu_ms"] for one in calm), default=0.0), 1),
        "loop_stall_in": worst["what"],
        "poison_sent": dict(sum((flood.sent for flood in floods), Counter[str]())),
        "poison_counted": {reason: counted.get(reason, 0) for reason in REASONS},
        "poison_answers": dict(answers),
        "poison_believed": answers["believed"] + (liar["heard_at"] is not None),
        "poison_wrong": sum(
            found[key] for key in ("lost", "duplicates", "foreign", "holes", "order_broken", "unpaired")
        ),
    }
