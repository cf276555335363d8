"""Beacon nodes over real sockets, the real daemon, a real broker: faults come and go, and a replay says the same."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from tests.support.broker import Mosquitto
from tests.support.watchdog import (
    CALM,
    NodeAt,
    Subscriber,
    Watchdog,
    eventually,
    mqtt_of,
    open_alerts,
    reached,
    subscribed,
    toml,
    watchdog,
)

from tocsin.clock import NS, SystemClock
from tocsin.testing import ChainSpec, SimBeacon, SimChain, SimNode, serve_beacons, serve_nodes

LAYER = ("north", "south", "west")


@dataclass(frozen=True, kw_only=True)
class Scene:
    chain: SimChain
    beacons: dict[str, SimBeacon]
    daemon: Watchdog
    heard: Subscriber

    async def quiet(self) -> None:
        await eventually(lambda: not open_alerts(self.heard.events), "everything resolves")


@pytest_asyncio.fixture
async def scene(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[Scene]:
    chain = SimChain(SystemClock(), ChainSpec(chain_id=1337, slot_ns=NS, history=200))
    nodes = [SimNode(chain, name=name) for name in ("a", "b", "c")]
    beacons = {name: SimBeacon(chain, name=name) for name in LAYER}
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_nodes(*nodes))
        layer = await stack.enter_async_context(serve_beacons(*beacons.values()))
        tables = "".join(
            f'[[chain.beacon]]\nname = "{name}"\nurl = "{layer[name].url}"\nprovider = "{name}"\nown = true\n'
            f'execution = "{node}"\n'
            for name, node in zip(LAYER, ("a", "b", "c"), strict=True)
        )
        known = {name: NodeAt(url=listener.url, provider=name) for name, listener in served.items()}
        times = {"block_time": "1s", "poll": "250ms", "timeout": "2s"}
        text = toml(tmp_path, known, broker=mqtt_of(broker), chain=tables, more=CALM, **times)
        heard = await stack.enter_async_context(subscribed(broker))
        daemon = await stack.enter_async_context(watchdog(tmp_path, text))
        daemon.start()
        await daemon.watching()
        yield Scene(chain=chain, beacons=beacons, daemon=daemon, heard=heard)


async def test_beacon_nodes_are_polled_told_and_replayed(scene: Scene, tmp_path: Path) -> None:
    def healthy(now: dict[str, list[dict[str, object]]]) -> bool:
        rows = now["chains"][0]["beacons"]
        return isinstance(rows, list) and all(row["state"] == "healthy" and row["finalized_epoch"] for row in rows)

    await scene.daemon.until_status(healthy, "all beacon nodes are healthy")
    topic = "node/sim/north"
    await eventually(lambda: topic in scene.heard.retained, "the beacon node has its topic")
    document = scene.heard.retained[topic].data
    assert document["kind"] == "beacon"

    scene.beacons["north"].syncing = True
    scene.chain.fork("bad", depth=150)
    scene.beacons["south"].final_branch = "bad"
    wanted = {("beacon.syncing", "north", "warning"), ("beacon.mismatch", "south", "critical")}
    # Two of three are left once one syncs: neither of the two that contradict each other has a majority.
    with contextlib.suppress(AssertionError):
        await eventually(lambda: wanted <= reached(scene.heard.events), "both are told", within_s=30)
    assert wanted <= reached(scene.heard.events) <= wanted | {("beacon.mismatch", "west", "critical")}
    scene.beacons["north"].syncing = False
    scene.beacons["south"].final_branch = None
    await scene.quiet()

    scene.beacons["west"].broken = {"/": (200, b"<html>")}
    await scene.heard.until_fired("beacon.unreachable", "west")
    scene.beacons["west"].broken = {}
    await scene.quiet()

    out = tmp_path / "session.rec"
    said = await scene.daemon.command("record", str(out), "--last", "10m", "--config", str(scene.daemon.config))
    assert said.code == 0, said
    replayed = await scene.daemon.command("replay", str(out), environ={"PYTHONHASHSEED": "7"})
    assert replayed.code == 0, replayed.err
    assert replayed.out.splitlines() == [event.heard.payload.decode() for event in scene.heard.events]


async def test_a_reload_takes_beacon_nodes_in_and_out(scene: Scene) -> None:
    text = scene.daemon.config.read_text()
    scene.beacons["west"].broken = {"/": (500, b"{}")}
    await scene.heard.until_fired("beacon.unreachable", "west")
    start = text.index('[[chain.beacon]]\nname = "west"')
    end = text.index("[detector", start)
    scene.daemon.configure(text[:start] + text[end:])
    assert (await scene.daemon.ask("reload"))["ok"]
    await scene.quiet()
    last = scene.heard.events[-1].data
    assert (last["detector"], last["reason"]) == ("beacon.unreachable", "unconfigured")
    await eventually(lambda: "node/sim/west" not in scene.heard.retained, "its topic is cleared")
    now = await scene.daemon.status()
    assert [row["name"] for row in now["chains"][0]["beacons"]] == ["north", "south"]
    scene.beacons["west"].broken = {}
    asked = len(scene.beacons["west"].asked)
    scene.daemon.configure(text)
    assert (await scene.daemon.ask("reload"))["ok"]
    await eventually(lambda: len(scene.beacons["west"].asked) > asked, "it is asked again")
