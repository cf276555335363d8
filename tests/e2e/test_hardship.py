"""What hosts and people do to a daemon: stop it, crowd its socket, give it hardly a disk, take its nodes away."""

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest
from tests.e2e.test_state_directory import own_disk
from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, check_stream, distinct, heal, nodes_of, strike
from tests.support.watchdog import Subscriber, Watchdog, eventually, mqtt_of, subscribed, toml

from tocsin.testing import FaultProxy


@pytest.mark.parametrize(
    "seconds", [5, *(pytest.param(long, marks=[pytest.mark.slow, pytest.mark.timeout(400)]) for long in (30, 120))]
)
async def test_a_daemon_that_was_stopped_blames_no_node_and_goes_on(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, seconds: int
) -> None:
    daemon.start()
    await daemon.ready()
    polls = {node["name"]: node["polls"] for node in (await daemon.status())["chains"][0]["nodes"]}
    daemon.signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    daemon.signal(signal.SIGCONT)
    await daemon.until_status(
        lambda now: all(node["polls"] > polls[node["name"]] + 5 for node in now["chains"][0]["nodes"]), "it polls on"
    )
    await eventually(lambda: heard.states()[-1:] == ["ready"], "it says that it is ready")
    assert {event.key[0] for event in heard.events} <= {"self.loop_lag", "self.heartbeat"}
    await strike(nodes, "a")
    await heard.until_fired("node.wrong_chain", "a")
    assert await daemon.stop() == 0
    check_stream(heard.events)


async def test_a_reload_while_the_broker_is_down_comes_into_force_and_is_told_later(
    tmp_path: Path, daemon: Watchdog, nodes: FaultProxy, broker: Mosquitto
) -> None:
    daemon.start()
    await daemon.ready()
    await strike(nodes, "a")
    await daemon.until_status(lambda now: now["alerts"] and not now["broker"]["outbox"], "the alert is delivered")
    broker.stop()
    before = await daemon.until_status(lambda now: now["broker"]["state"] == "down", "the broker is missed")
    rest = {name: node for name, node in nodes_of(nodes).items() if name != "a"}
    daemon.configure(toml(tmp_path, rest, broker=mqtt_of(broker), chain=QUICK))
    daemon.signal(signal.SIGHUP)
    after = await daemon.until_status(lambda now: now["config"]["hash"] != before["config"]["hash"], "it is in force")
    assert (after["config"]["ok"], after["alerts"]) == (True, [])
    # In force at once, on disk a moment later: the one word waits for the broker.
    await daemon.until_status(lambda now: now["broker"]["outbox"] == 1, "what is to be told waits")
    # Stopped until somebody listens: it may be back at the broker sooner, and what it says is said once.
    daemon.signal(signal.SIGSTOP)
    broker.start()
    async with subscribed(broker) as heard:
        daemon.signal(signal.SIGCONT)
        resolved = await heard.until_resolved("node.wrong_chain", "a")
        assert resolved.data["reason"] == "unconfigured"
        await eventually(lambda: "node/sim/a" not in heard.retained, "its topic is cleared")
        await eventually(
            lambda: heard.retained["status"].data["config_hash"] == after["config"]["hash"], "the broker is told"
        )
    assert await daemon.stop() == 0


async def test_a_reload_that_leaves_one_node_goes_on_with_it_and_says_that_nobody_confirms_it(
    tmp_path: Path, daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, broker: Mosquitto
) -> None:
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a", "b")
    await heard.until_fired("node.wrong_chain", "a")
    await heard.until_fired("node.wrong_chain", "b")
    daemon.configure(toml(tmp_path, {"c": nodes_of(nodes)["c"]}, broker=mqtt_of(broker), chain=QUICK))
    daemon.signal(signal.SIGHUP)
    for name in "ab":
        assert (await heard.until_resolved("node.wrong_chain", name)).data["reason"] == "unconfigured"
    now = await daemon.until_status(lambda now: now["chains"][0]["grade"] == "uncorroborated", "nobody confirms it")
    assert [node["name"] for node in now["chains"][0]["nodes"]] == ["c"]
    head = now["chains"][0]["head"]["number"]
    await daemon.until_status(lambda now: now["chains"][0]["head"]["number"] > head + 5, "the head goes on")
    await eventually(
        lambda: [topic for topic in heard.retained if topic.startswith("node/")] == ["node/sim/c"], "topics are cleared"
    )
    daemon.configure(toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK))
    await heal(nodes)
    daemon.signal(signal.SIGHUP)
    await daemon.until_status(lambda now: now["chains"][0]["grade"] == "quorum", "all are back")
    assert {event.key[0] for event in heard.events} == {"node.wrong_chain"}
    assert await daemon.stop() == 0
    check_stream(heard.events)


async def test_a_crowd_on_the_control_socket_keeps_nobody_from_knowing_and_the_daemon_from_nothing(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    daemon.start()
    await daemon.ready()
    path = str(daemon.runtime_dir / "control.sock")
    crowd: list[asyncio.StreamWriter] = []

    async def come(says: bytes) -> None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_unix_connection(path)
            crowd.append(writer)
            writer.write(says)

    try:
        await asyncio.gather(*(come(b"") for _ in range(1000)))
        await asyncio.gather(*(come(b'{"v":1,"verb":"events","n":5,"follow":true}\n') for _ in range(200)))
        said = await daemon.command("check", "--config", str(daemon.config))
        assert said.code == 0, said
        await strike(nodes, "a")
        await heard.until_fired("node.wrong_chain", "a")
    finally:
        for writer in crowd:
            writer.close()
    await daemon.until_status(lambda now: now["alerts"], "it answers again")
    assert "Traceback" not in daemon.log()
    assert await daemon.stop() == 0


@pytest.mark.parametrize("size", ["1m", "8m", "20m"])
async def test_on_a_disk_that_hardly_holds_the_store_alerts_are_delivered_or_the_start_says_what_lacks(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, size: str
) -> None:
    daemon.start(through=own_disk(daemon.state_dir, size))
    await daemon.watching()
    for activation in (1, 2, 3):
        await strike(nodes, "a", "b")
        await heard.until_fired("node.wrong_chain", "a", activation=activation)
        await heal(nodes)
        await heard.until_resolved("node.wrong_chain", "a", activation=activation)
        await heard.until_resolved("node.wrong_chain", "b", activation=activation)
    now = await daemon.status()
    assert now["store"]["state"] in ("ok", "degraded")
    assert bool(now["store"]["detail"]) is (now["store"]["state"] == "degraded")
    assert "Traceback" not in daemon.log()
    assert await daemon.stop() == 0
    check_stream(distinct(heard.events))
