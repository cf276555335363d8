"""Whatever comes on a topic that the daemon listens to: it does nothing, and the daemon goes on."""

import asyncio
import os
from typing import Final

import orjson
from tests.support.broker import ROOT, Mosquitto, client_of
from tests.support.fleet import check_stream, strike
from tests.support.watchdog import Subscriber, Watchdog, eventually

from tocsin.testing import FaultProxy

PAYLOADS: Final = {
    "a megabyte": b"x" * 2**20,
    "a megabyte of JSON": orjson.dumps({"data": {"boot_id": "b" * 2**20, "started": "", "state": "lost"}}),
    "no UTF-8": b'{"data": {"boot_id": "\xff\xfe\xc3("}}',
    "deep JSON": b"[" * 200_000 + b"]" * 200_000,
    "deep objects": b'{"data":' * 50_000 + b"0" + b"}" * 50_000,
    "a broken end": b'{"data": {"boot_id": "x", "started": "2026',
    "other types": b'{"data": {"boot_id": [], "started": {}, "state": 7}}',
    "no object": b"0",
    "a bare null": b"null",
    "nothing": b"",
    "noise": os.urandom(4096),
    "huge numbers": b'{"data": {"boot_id": ' + b"9" * 100_000 + b"}}",
}

LISTENED: Final = ("status", "heartbeat")


async def publish(broker: Mosquitto, topic: str, payload: bytes, *, retain: bool) -> None:
    async with client_of(broker) as client:
        await client.publish(ROOT + topic, payload, qos=1, retain=retain)


async def test_poisoned_payloads_on_topics_that_are_listened_to_do_nothing(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, broker: Mosquitto
) -> None:
    for topic in LISTENED:
        for payload in PAYLOADS.values():
            await publish(broker, topic, payload, retain=True)
    daemon.start()
    await daemon.watching()
    await eventually(lambda: heard.states()[-1:] == ["ready"], "the daemon says that it is ready")
    connected = await connects(broker)
    assert connected == 1
    for topic in LISTENED:
        for payload in PAYLOADS.values():
            await publish(broker, topic, payload, retain=False)
            await publish(broker, topic, payload, retain=True)
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    status = await daemon.status()
    assert status["broker"]["state"] == "connected"
    assert len(status["alerts"]) == 1
    assert await connects(broker) == connected, "the connection was lost"
    await eventually(lambda: heard.states()[-1:] == ["ready"], "status is put right again")
    assert "Traceback" not in daemon.log()
    assert await daemon.stop() == 0
    check_stream(heard.events)


async def test_what_is_said_on_other_topics_changes_nothing(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, broker: Mosquitto
) -> None:
    daemon.start()
    await daemon.watching()
    for topic in ("cmd/halt", "cmd/ack", "alert/x", "chain/sim/head", "node/sim/a", "description", "response/x"):
        for payload in (b"", b"{}", PAYLOADS["a megabyte"], PAYLOADS["deep JSON"]):
            await publish(broker, topic, payload, retain=False)
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    assert [alert["detector"] for alert in (await daemon.status())["alerts"]] == ["node.wrong_chain"]
    assert await daemon.stop() == 0


async def connects(broker: Mosquitto) -> int:
    """Return how often the daemon has connected, by the broker's log."""
    return (await asyncio.to_thread(broker.log)).count(" as tocsin-ams-host-a")
