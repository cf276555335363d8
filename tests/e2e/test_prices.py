"""The daemon with feeds on a chain and price gateways over HTTP: read, told on MQTT, replayed, reloaded, discreet."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio
from tests.support.broker import Mosquitto
from tests.support.canaries import CANARIES, files_in, leaks, unpacked
from tests.support.feedpool import ORACLE, PAIR, POOL, WETH, world
from tests.support.rpcserver import Request, http, serving
from tests.support.watchdog import CALM, NodeAt, Subscriber, Watchdog, eventually, mqtt_of, subscribed, toml, watchdog

from tocsin.clock import NS, SystemClock
from tocsin.testing import ChainSpec, SimChain, SimNode, serve_nodes
from tocsin.testing.simfeeds import PHASE, answered, install

DOLLAR = 10**8
FEEDS = f"""
[[chain.feed]]
name = "eth-usd"
address = "0x{ORACLE.hex()}"
prices = "eth/usd"
heartbeat = "1h"
[[chain.feed]]
name = "spot"
kind = "uniswap-v3-spot"
address = "0x{POOL.hex()}"
prices = "eth/usd"
base = "0x{WETH.hex()}"
[[chain.feed]]
name = "pair"
kind = "uniswap-v2-spot"
address = "0x{PAIR.hex()}"
prices = "eth/usd"
base = "0x{WETH.hex()}"
"""
GATEWAY = """
[[price_gateway]]
name = "{name}"
url = {{ env = "URL_{name}" }}
headers = {{ X-Key = {{ env = "KEY" }} }}
prices = "eth/usd"
provider = "{name}"
price = "result.price"
poll = "1s"
max_age = "3s"
"""


@dataclass
class Exchange:
    """A server that quotes a price, or says what it is told to."""

    price: str = "2000.00"
    says: bytes | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, request: Request) -> None:
        self.asked.append(request.head)
        if self.says is not None:
            request.writer.write(http(self.says, "500 Internal Server Error"))
            return
        request.writer.write(http(json.dumps({"result": {"price": self.price}}).encode()))


@dataclass(frozen=True, kw_only=True)
class Scene:
    chain: SimChain
    exchanges: dict[str, Exchange]
    daemon: Watchdog
    heard: Subscriber

    def told(self, topic: str) -> dict[str, Any]:
        found = self.heard.retained.get(topic)
        return {} if found is None else dict(found.data)


@pytest_asyncio.fixture
async def scene(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[Scene]:
    clock = SystemClock()
    begun_s = clock.wall_ns() // NS - 300
    chain = SimChain(clock, ChainSpec(chain_id=1337, slot_ns=NS, history=200, world=world(begun_s)))
    install(chain)
    exchanges = {"north": Exchange(), "south": Exchange()}
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_nodes(*(SimNode(chain, name=name) for name in "abc")))
        environ = {"KEY": CANARIES["header"]}
        for name, exchange in exchanges.items():
            node = await stack.enter_async_context(serving(exchange))
            user = f"{CANARIES['user']}:{CANARIES['password']}"
            environ[f"URL_{name}"] = (
                f"http://{user}@127.0.0.1:{node.port}/{CANARIES['path']}/ticker?key={CANARIES['query']}"
            )
        known = {name: NodeAt(url=listener.url, provider=name) for name, listener in served.items()}
        more = "".join(GATEWAY.format(name=name) for name in exchanges) + CALM + '[journal]\nsegment = "1s"\n'
        times = {"block_time": "1s", "poll": "250ms", "timeout": "2s"}
        text = toml(tmp_path, known, broker=mqtt_of(broker), chain=FEEDS, more=more, **times)
        heard = await stack.enter_async_context(subscribed(broker))
        daemon = await stack.enter_async_context(watchdog(tmp_path, text, environ=environ))
        daemon.start(log_level="debug")
        await daemon.watching()
        yield Scene(chain=chain, exchanges=exchanges, daemon=daemon, heard=heard)


def is_about(detector: str, subject: str) -> Any:
    return lambda one: one.data["detector"] == detector and subject in one.data["labels"].values()


async def test_prices_are_read_told_side_by_side_and_replayed(scene: Scene, tmp_path: Path) -> None:
    def whole() -> bool:
        feed = scene.told("feed/sim/eth-usd")
        return bool(feed) and feed["market"]["voices"] == 4 and feed["says"] is not None

    await eventually(whole, "oracle and market stand side by side")
    feed = scene.told("feed/sim/eth-usd")
    assert feed["says"]["value"] == "2000"
    assert (feed["says"]["phase"], feed["aggregator"][:4]) == (1, "0xfe")
    assert {one["source"] for one in feed["sources"]} == {"eth-usd", "spot", "pair", "north", "south"}
    assert (scene.told("gateway/north")["state"], scene.told("gateway/north")["value"]) == ("ok", "2000")

    scene.chain.send(answered(ORACLE, PHASE + 8, 2_400 * DOLLAR, SystemClock().wall_ns() // NS))
    await scene.heard.until(is_about("oracle.jump", "eth-usd"), "the jump is told")
    await scene.heard.until(is_about("oracle.deviation", "eth-usd"), "and that the oracle is off the market")
    await eventually(lambda: scene.told("feed/sim/eth-usd")["gap_bps"] == 2_000, "both are told again")
    scene.exchanges["south"].says = b"no"
    await scene.heard.until(is_about("oracle.stale", "south"), "a gateway that fails is told")
    await eventually(lambda: scene.told("gateway/south")["state"] == "unreachable", "on its topic, too")
    shown = await scene.daemon.command("feed", "show", "eth-usd", "--config", str(scene.daemon.config))
    assert shown.code == 0, shown
    assert "the feed says   2400 for eth/usd" in shown.out
    assert "between them    20.00 %" in shown.out

    out = tmp_path / "session.rec"
    said = await scene.daemon.command("record", str(out), "--last", "10m", "--config", str(scene.daemon.config))
    assert said.code == 0, said
    replayed = await scene.daemon.command("replay", str(out), environ={"PYTHONHASHSEED": "7"})
    assert replayed.code == 0, replayed.err
    assert replayed.out.splitlines() == [event.heard.payload.decode() for event in scene.heard.events]


async def test_a_reload_takes_feeds_and_gateways_in_and_out(scene: Scene) -> None:
    await eventually(lambda: "gateway/south" in scene.heard.retained, "both gateways are told of")
    scene.exchanges["south"].says = b"no"
    await scene.heard.until(is_about("oracle.stale", "south"), "one fails")
    text = scene.daemon.config.read_text()
    start = text.index('[[price_gateway]]\nname = "south"')
    scene.daemon.configure(text[:start] + text[text.index("[detector", start) :])
    assert (await scene.daemon.ask("reload"))["ok"]
    ended = await scene.heard.until(lambda one: one.data["reason"] == "unconfigured", "its alert ends")
    assert ended.data["labels"]["gateway"] == "south"
    await eventually(lambda: "gateway/south" not in scene.heard.retained, "its topic is cleared")
    asked = len(scene.exchanges["south"].asked)
    scene.daemon.configure(text)
    assert (await scene.daemon.ask("reload"))["ok"]
    await eventually(lambda: len(scene.exchanges["south"].asked) > asked, "it is asked again")


async def test_no_secret_of_a_gateway_comes_out(scene: Scene) -> None:
    """It repeats all that it was sent in the text of an error: nothing of it is kept or said."""
    aloud = " ".join(CANARIES[name] for name in ("user", "password", "path", "query", "header"))
    scene.exchanges["north"].says = f"no price for {aloud}".encode()
    await scene.heard.until(is_about("oracle.stale", "north"), "the failure is told")
    daemon = scene.daemon
    journal = daemon.state_dir / "journal"
    await eventually(lambda: len(list(journal.glob("*.tsj"))) > 2, "it lies in sealed segments")
    config = ("--config", str(daemon.config))
    said = [await daemon.command(*words, *config) for words in (("status", "--json"), ("config", "show"))]
    await daemon.stop()
    places = {
        "commands": [piece.encode() for one in said for piece in (one.out, one.err)],
        "log": [daemon.log().encode()],
        "state directory": list(files_in(daemon.state_dir)),
        "journal": [piece for path in journal.iterdir() if path.suffix == ".tsj" for piece in unpacked(path)],
        "MQTT": [piece for one in scene.heard.heard for piece in (one.topic.encode(), one.payload)],
    }
    assert any(CANARIES["path"] in head and CANARIES["header"] in head for head in scene.exchanges["north"].asked)
    assert any(b"GatewayPolled" in piece for piece in places["journal"])
    assert leaks(places) == {}
