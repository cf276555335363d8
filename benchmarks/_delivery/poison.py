"""Everything wrong that can come over the broker, as fast as it takes it, while alerts go on.

Junk of every kind on every topic that the daemon listens to, kept and live; acks that are forged, replayed, of nobody,
or of the future; answers are asked for. None of it may be believed, none may go uncounted, and the loop goes on.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks._delivery.consumer import KEY, NAME
from benchmarks._delivery.flood import Flood, publish
from benchmarks._delivery.rig import Rig, configuration, query, staged
from benchmarks._delivery.verdict import Books, quantile
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport
from tocsin.wire.acks import Ack, encode

ROOT: Final = "tocsin/v1/ams/host-a/"
SOURCE: Final = "/tocsin/ams/host-a"
LIAR, LIARS_KEY = "liar", "a key of somebody who lies"
_MORE: Final = f'[[consumer]]\nname = "{LIAR}"\nkey = "{LIARS_KEY}"\n'
_RATE: Final = 20.0
_CALM_S: Final = 5.0
_LARGE_RATE: Final = 20e6
"""Bytes a second of messages of a megabyte: twenty of them, beside all that is small."""

LARGE: Final = (
    b"x" * 2**20,
    orjson.dumps({"data": {"boot_id": "b" * 2**20, "started": "", "state": "lost"}}),
    b"[" * 500_000 + b"]" * 500_000,
    b'{"data":' * 100_000 + b"0" + b"}" * 100_000,
    b'{"at": 1, "max": ' + b"9" * 2**20 + b', "missing": [], "hmac": ""}',
    b'{"at": 1, "max": 1, "missing": [' + b"1," * 2**19 + b'1], "hmac": ""}',
    os.urandom(2**20),
)
SMALL: Final = (
    b'{"data": {"boot_id": "\xff\xfe\xc3("}}',
    b"[" * 8_000 + b"]" * 8_000,
    b'{"data":' * 1_500 + b"0" + b"}" * 1_500,
    b'{"at": 1, "max": ' + b"9" * 10_000 + b', "missing": [], "hmac": ""}',
    b'{"at": 1, "max": 1, "missing": [' + b"1," * 7_000 + b'1], "hmac": ""}',
    b"null",
    b"[]",
    b"",
    b"\xef\xbb\xbf{}",
    os.urandom(4096),
)
PLACES: Final = (
    "status",
    "heartbeat",
    f"ack/{NAME}",
    "ack/nobody",
    "cmd/halt",
    "ack/" + "x" * 200,
    "event/info/self.test",
)


def junk(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """Yield packets of everything that is no message, in every place, some of them to be kept."""
    for number, (payload, place) in enumerate(cycle(product(payloads, PLACES))):
        yield publish(ROOT + place, payload, retain=number % 7 == 0)


def lies(stream: str) -> Iterator[bytes]:
    """Yield packets of acks; every second one wants an answer."""
    for number, (who, payload) in enumerate(acks(stream)):
        reply = f"{ROOT}reply/{who}/{number}" if number % 2 else ""
        yield publish(f"{ROOT}ack/{who}", payload, reply=reply, correlation=str(number).encode())


def acks(stream: str) -> Iterator[tuple[str, bytes]]:
    """Yield who claims what: forged, replayed, of nobody, unsigned, of no stream, and of the future, over and over."""
    key, lies = KEY.encode(), LIARS_KEY.encode()
    forged = encode(Ack(at=2**52, max=1), SOURCE, NAME, b"another key of many bytes")
    elsewhere = encode(Ack(at=2**52, max=1), "/tocsin/ams/host-b", NAME, key)
    replayed = encode(Ack(at=1, max=0), SOURCE, NAME, key)
    future = encode(Ack(at=2**52, max=2**50, stream=stream), SOURCE, LIAR, lies)
    unnamed = encode(Ack(at=2**52, max=1), SOURCE, LIAR, lies)
    nobody = encode(Ack(at=2**52, max=1), SOURCE, "nobody", key)
    unsigned = orjson.dumps({"at": 2**52, "max": 1, "missing": []})
    of_the_consumer = [(NAME, forged), (NAME, elsewhere), (NAME, replayed), (NAME, unsigned)]
    yield from cycle([*of_the_consumer, (LIAR, future), (LIAR, unnamed), ("nobody", nobody)])


REASONS: Final = (
    "forged",
    "replayed",
    "future",
    "no-stream",
    "unregistered",
    "unsigned",
    "malformed",
    "too-large",
    "retained",
)


class Answers:
    """What liars are answered."""

    def __init__(self, port: int) -> None:
        self._transport = MqttTransport(BrokerSettings(host="127.0.0.1", port=port, client_id="answers"))
        self.heard: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Answers"]:
        """Listen for the length of a block."""
        async with self._transport.connect(will=None, on_message=self._take) as connection:
            await connection.subscribe(f"{ROOT}reply/{NAME}/#")
            await connection.subscribe(f"{ROOT}reply/{LIAR}/#")
            yield self

    def _take(self, received: Received) -> None:
        if received.topic.endswith("/ack"):
            return  # to the consumer, who does not lie
        said = orjson.loads(received.payload)["data"]
        self.heard["believed" if said["accepted"] else said["reason"]] += 1


async def poison(folder: Path, *, seconds: float) -> dict[str, Any]:
    """Return how long the loop stood still before and in the flood, and whether anything wrong came of it."""
    rig = Rig.of(
        folder, {"seed": "poison", "rate": _RATE, "goal": int(_RATE * (seconds + 3 * _CALM_S)), "stalls": True}
    )
    (folder / "tocsin.toml").write_text(configuration(folder, rig.broker.port, more=_MORE))
    port = rig.broker.port
    async with staged(rig), Answers(port).listening() as answers:
        await rig.until(lambda now: now["seq"] > 0, "the first alert")
        [[stream]] = query(folder / "state" / "tocsin.db", "SELECT value FROM meta WHERE key = 'stream'")
        floods = {
            Flood(port, "small"): junk(SMALL),
            Flood(port, "large", rate=_LARGE_RATE): junk(LARGE),
            Flood(port, "acks"): lies(stream),
        }
        await asyncio.sleep(_CALM_S)
        calm = _stalls(rig)
        tasks = [asyncio.ensure_future(flood.run(packets)) for flood, packets in floods.items()]
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
    return _figures(books, list(floods), answers.heard, flooded or last, calm, stalled) | took


def _stalls(rig: Rig) -> list[dict[str, Any]]:
    """Return what was said of stalls since the last call."""
    rig.listen()
    found, rig.stalls[:] = list(rig.stalls), []
    return found


def _figures(
    books: Books,
    floods: list[Flood],
    answers: Counter[str],
    status: dict[str, Any],
    calm: list[dict[str, Any]],
    stalled: list[dict[str, Any]],
) -> dict[str, Any]:
    counted: dict[str, int] = status["broker"]["acks"]
    worst = max(stalled, key=lambda one: one["stall_cpu_ms"])
    liar = next(one for one in status["consumers"] if one["name"] == LIAR)
    return {
        "loop_stall_ms": round(worst["stall_cpu_ms"], 1),
        "loop_stall_wall_ms": round(max(one["stall_ms"] for one in stalled), 1),
        "loop_stall_gc_ms": round(max(one["stall_gc_ms"] for one in stalled), 1),
        "loop_starved_ms": round(max(one["starved_ms"] for one in stalled), 1),
        "loop_stall_p50_ms": round(quantile([one["stall_cpu_ms"] for one in stalled], 0.5), 1),
        "loop_stall_calm_ms": round(max((one["stall_cpu_ms"] for one in calm), default=0.0), 1),
        "loop_stall_in": worst["what"],
        "poison_sent": dict(sum((flood.sent for flood in floods), Counter[str]())),
        "poison_counted": {reason: counted.get(reason, 0) for reason in REASONS},
        "poison_answers": dict(answers),
        "poison_believed": answers["believed"] + (liar["heard_at"] is not None),
        "poison_wrong": books.wrong(),
    }
