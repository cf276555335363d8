"""Beacon nodes over real sockets, the real daemon, a real broker: faults come and go, and a replay says the same."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest_asyncio
from aiohttp import web
from tests.support.broker import Mosquitto
from tests.support.canaries import CANARIES, files_in, leaks, unpacked
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
from tocsin.testing.servers import Handler, serve

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


async def test_no_secret_of_a_beacon_node_comes_out(tmp_path: Path, broker: Mosquitto) -> None:
    """One repeats in its version what it was sent, one in the text of an error: nothing of it is kept or said."""
    chain = SimChain(SystemClock(), ChainSpec(chain_id=1337, slot_ns=NS, history=200))
    aloud = " ".join(CANARIES[name] for name in ("user", "password", "path", "query", "header"))
    talkative, refusing = SimBeacon(chain, name="talkative", version=f"Sim {aloud}"), SimBeacon(chain, name="refusing")
    refusing.broken = {"/": (401, f"no entry for {aloud}".encode())}
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_nodes(SimNode(chain, name="a"), SimNode(chain, name="b")))
        layer = await stack.enter_async_context(serve_beacons(talkative, refusing))
        tables, environ = "", {"KEY": CANARIES["header"]}
        for name, listener in layer.items():
            # The simulated node knows no path below its own: it is asked through one that takes the key away.
            proxied = await stack.enter_async_context(serve(_behind(listener.url)))
            host = proxied.url.removeprefix("http://")
            environ[f"URL_{name.upper()}"] = (
                f"http://{CANARIES['user']}:{CANARIES['password']}@{host}/{CANARIES['path']}/?key={CANARIES['query']}"
            )
            tables += (
                f'[[chain.beacon]]\nname = "{name}"\nurl = {{ env = "URL_{name.upper()}" }}\n'
                'headers = { X-Key = { env = "KEY" } }\n'
            )
        known = {name: NodeAt(url=listener.url, provider=name) for name, listener in served.items()}
        text = toml(
            tmp_path,
            known,
            broker=mqtt_of(broker),
            block_time="1s",
            poll="250ms",
            chain=tables,
            more=CALM + '[journal]\nsegment = "1s"\n',
        )
        heard = await stack.enter_async_context(subscribed(broker))
        daemon = await stack.enter_async_context(watchdog(tmp_path, text, environ=environ))
        daemon.start(log_level="debug")
        await heard.until_fired("beacon.unreachable", "refusing")
        await eventually(lambda: "node/sim/talkative" in heard.retained, "the other one is told of")
        journal = daemon.state_dir / "journal"
        await eventually(lambda: len(list(journal.glob("*.tsj"))) > 2, "it lies in sealed segments")
        config = ("--config", str(daemon.config))
        said = [
            await daemon.command(*words, *config) for words in (("status", "--json"), ("doctor",), ("config", "show"))
        ]
        await daemon.stop()
        sealed = [path for path in journal.iterdir() if path.suffix == ".tsj"]
        places = {
            "commands": [piece.encode() for one in said for piece in (one.out, one.err)],
            "log": [daemon.log().encode()],
            "state directory": list(files_in(daemon.state_dir)),
            "journal": [piece for segment in sealed for piece in unpacked(segment)],
            "MQTT": [piece for one in heard.heard for piece in (one.topic.encode(), one.payload)],
        }
    assert any(CANARIES["path"] in path for path in _PATHS_SEEN)
    assert any(b"beacon:version" in piece for piece in places["journal"])
    assert leaks(places) == {}


_PATHS_SEEN: list[str] = []


def _behind(url: str) -> Handler:
    """Take the first step off the path and ask another server for the rest."""

    async def handle(request: web.Request) -> web.StreamResponse:
        _PATHS_SEEN.append(request.path_qs)
        async with (
            aiohttp.ClientSession() as client,
            client.get(url + "/" + request.path.split("/", 2)[2]) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read())

    return handle
