"""Two daemons on one broker watch each other: the death of one is the other's alert, a failure of the broker is not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.broker import Mosquitto, client_of
from tests.support.fleet import QUICK, fleet, nodes_of
from tests.support.watchdog import Subscriber, Watchdog, eventually, mqtt_of, subscribed, toml, watchdog

DEAD = "peer.watchdog_dead"
LIMIT_S = 30
"""The figure that the death of a watchdog is held to."""


def of_peers(heard: Subscriber) -> list[tuple[str, str]]:
    return [(one.data["state"], one.data["severity"]) for one in heard.events if one.key[0] == DEAD]


def configured(folder: Path, text: str, name: str, peer: str) -> str:
    """Return the configuration of host-a as that of another watchdog with a peer."""
    (folder / name).mkdir()
    return text.replace('name = "host-a"', f'name = "{name}"\npeers = ["ams/{peer}"]').replace(
        f'"{folder}/', f'"{folder / name}/'
    )


async def until_heard(daemon: Watchdog) -> None:
    await daemon.until_status(lambda now: now["peers"][0]["state"] == "alive", "the peer is heard")


@pytest_asyncio.fixture
async def pair(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[tuple[Watchdog, Watchdog]]:
    """Give two daemons that hear each other."""
    async with fleet("a", "b", "c") as nodes, contextlib.AsyncExitStack() as stack:
        text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK)
        both = []
        for name, peer in (("host-a", "host-b"), ("host-b", "host-a")):
            text_of = configured(tmp_path, text, name, peer)
            both.append(await stack.enter_async_context(watchdog(tmp_path / name, text_of)))
        for daemon in both:
            daemon.start()
        for daemon in both:
            await until_heard(daemon)
        yield both[0], both[1]


async def test_the_death_of_a_watchdog_is_told_by_its_peer_and_over_when_it_is_back(
    pair: tuple[Watchdog, Watchdog], heard: Subscriber
) -> None:
    alive, dying = pair
    await dying.kill()
    fired = await heard.until_fired(DEAD, "self")
    assert fired.data["severity"] == "critical"
    assert fired.data["labels"] == {"environment": "test", "peer": "ams/host-b"}
    assert fired.data["evidence"]["silent_ms"] < LIMIT_S * 1000
    shown = (await alive.command("status", "--config", str(alive.config))).out
    assert "ams/host-b lost" in shown
    dying.start()
    await heard.until_resolved(DEAD, "self")
    assert of_peers(heard) == [("firing", "critical"), ("resolved", "critical")]


async def test_a_clean_stop_and_a_quick_restart_are_no_death(
    pair: tuple[Watchdog, Watchdog], heard: Subscriber
) -> None:
    alive, other = pair
    assert await other.stop() == 0
    await alive.until_status(lambda now: now["peers"][0]["state"] == "away", "the goodbye is heard")
    other.start()
    await until_heard(alive)
    await other.kill()
    other.start()
    await asyncio.sleep(15)  # the last will of the life that was killed comes after 10 s, and means nothing
    await until_heard(alive)
    assert of_peers(heard) == []


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_failure_of_the_broker_accuses_no_watchdog(
    pair: tuple[Watchdog, Watchdog], heard: Subscriber, broker: Mosquitto
) -> None:
    broker.kill()
    for daemon in pair:
        await daemon.until_status(lambda now: now["peers"][0]["state"] == "unknown", "nothing is concluded")
    await asyncio.sleep(LIMIT_S + 5)
    broker.start()
    for daemon in pair:
        await until_heard(daemon)
    broker.freeze()  # connections stay open: nobody tells that nothing comes any more
    await asyncio.sleep(LIMIT_S + 15)
    broker.thaw()
    for daemon in pair:
        await until_heard(daemon)
    await asyncio.sleep(15)
    assert of_peers(heard) == []


async def test_nonsense_on_the_topics_of_a_peer_is_complained_of_once_and_believed_never(
    tmp_path: Path, broker: Mosquitto
) -> None:
    async with fleet("a", "b", "c") as nodes, subscribed(broker) as heard:
        text = toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK)
        async with watchdog(tmp_path / "host-a", configured(tmp_path, text, "host-a", "host-b")) as daemon:
            daemon.start()
            await daemon.until_status(lambda now: now["peers"][0]["listening"], "the topics are subscribed")
            async with client_of(broker) as forger:
                for payload in (b"", b"\xff", b"{}", b"[" * 9000, b"x" * 200_000, b'{"data": {"boot_id": 1}}'):
                    for topic in ("status", "heartbeat"):
                        await forger.publish(f"tocsin/v1/ams/host-b/{topic}", payload, qos=1)
            await eventually(lambda: "not understood" in daemon.log(), "it is complained of")
            status = await daemon.status()
            assert status["peers"][0]["said"] == ""
            assert status["peers"][0]["heard_s_ago"] is None
            assert daemon.log().count("not understood") == 1
            assert of_peers(heard) == []
