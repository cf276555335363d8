"""A consumer that is away, and a broker that forgets: what they lost comes again, and the picture is put right."""

import asyncio
from pathlib import Path

from benchmarks._delivery.rig import Rig, query, staged
from benchmarks._delivery.verdict import Books
from tocsin.mqtt.client import Received
from tocsin.mqtt.settings import BrokerSettings
from tocsin.mqtt.transport import MqttTransport

_SETTLE_S = 0.3
_EXPIRY_S = 5
_ROOT = "tocsin/v1/ams/host-a/"


async def consumer_away(folder: Path, *, alerts: int, rate: float = 100.0) -> dict[str, float]:
    """Return what is lost when a consumer misses more than the broker keeps for it (1,000 messages by default)."""
    loop = asyncio.get_running_loop()
    rig = Rig.of(folder, {"seed": "away", "rate": rate, "goal": alerts + 20})
    async with staged(rig):
        await rig.until(lambda now: now["seq"] >= 20, "the first alerts")
        rig.consumer.kill()
        last = await rig.until(
            lambda now: now["seq"] >= alerts + 20 and not now["alerts"] and not now["broker"]["outbox"],
            "all is raised and sent",
            within_s=120 + 4 * alerts / rate,
        )
        rig.consumer.start()
        began = loop.time()
        await rig.until_here(last["seq"], within_s=60 + alerts / 10)
        took = loop.time() - began
    return {"away_alerts": alerts, "away_wrong": Books.of(folder).wrong(), "away_caught_up_s": round(took, 1)}


async def words_expire(folder: Path, *, words: int = 8) -> dict[str, float]:
    """Return what becomes of numbers of the self-test whose words expired while a consumer was away.

    Nobody has these words any more, neither the broker nor the daemon, and their numbers must not wait for ever.
    """
    orders = {"seed": "expire", "rate": 20, "goal": 100, "until": str(folder / "until"), "expiry_s": _EXPIRY_S}
    rig = Rig.of(folder, orders, self_test="1s")
    async with staged(rig):
        begun = await rig.until(lambda now: now["seq"] >= 20, "the first alerts")
        await rig.until_here(begun["seq"])
        rig.consumer.kill()
        since = len(rig.tests)
        await rig.until(lambda _: len(rig.tests) >= since + words, "words of the self-test", within_s=20 + 4 * words)
        (folder / "until").touch()
        await rig.until(lambda now: not now["alerts"] and not now["broker"]["outbox"], "all is raised and sent")
        end = asyncio.get_running_loop().time() + 2 * _EXPIRY_S
        last = await rig.until(lambda _: asyncio.get_running_loop().time() > end, "they expire")
        rig.consumer.start()
        await rig.until_here(last["seq"])
    books = Books.of(folder)
    return {
        "expired_words": len(books.tests - books.rows.keys()),
        "expired_wrong": books.wrong(),
        "expired_position": rig.position,
    }


async def retained_on(port: int) -> dict[str, bytes]:
    """Return what a broker retains below the daemon's root."""
    kept: dict[str, bytes] = {}

    def take(received: Received) -> None:
        if received.retained:
            kept[received.topic] = received.payload

    transport = MqttTransport(BrokerSettings(host="127.0.0.1", port=port, client_id="looker"))
    async with transport.connect(will=None, on_message=take) as connection:
        await connection.subscribe(_ROOT + "#")
        await asyncio.sleep(_SETTLE_S)
    return kept


def wanted(folder: Path) -> dict[str, bytes]:
    """Return what the daemon's store says should be retained; its own two topics are said by each life."""
    rows = query(folder / "state" / "tocsin.db", "SELECT topic, payload FROM retained WHERE payload IS NOT NULL")
    return {str(topic): bytes(payload) for topic, payload in rows if payload}


async def broker_wiped(folder: Path) -> dict[str, float]:
    """Return how long after a broker came back with nothing its retained picture was whole again, and what is wrong."""
    loop = asyncio.get_running_loop()
    rig = Rig.of(folder, {"seed": "wiped", "rate": 50, "goal": 300})
    async with staged(rig):
        last = await rig.until(lambda now: now["seq"] >= 300 and not now["alerts"], "all is raised")
        await rig.until_here(last["seq"])
        rig.broker.stop()
        rig.broker.wipe()
        await asyncio.to_thread(rig.broker.start)
        began, took, missing = loop.time(), 0.0, -1
        while missing and took < 60:
            there, should = await retained_on(rig.broker.port), wanted(folder)
            missing = sum(there.get(topic) != payload for topic, payload in should.items())
            took = loop.time() - began
        await rig.until_here(last["seq"])
    return {
        "wiped_topics": len(should),
        "wiped_missing": missing,
        "wiped_whole_s": round(took, 2),
        "wiped_wrong": Books.of(folder).wrong(),
    }
