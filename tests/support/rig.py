"""Two lockstep anvils with blocks of 1 s, the fault proxy before them, a subscriber and the real daemon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.anvil import Lockstep, running_lockstep
from tests.support.broker import Mosquitto
from tests.support.watchdog import (
    CALM,
    Event,
    NodeAt,
    Subscriber,
    Watchdog,
    beside,
    eventually,
    mqtt_of,
    open_alerts,
    reached,
    subscribed,
    toml,
    watchdog,
)

from tocsin.clock import NS, SystemClock
from tocsin.testing import FaultProxy

CHAIN_ID: Final = 31337
_PAST: Final = 40
"""Blocks before the daemon starts."""

# Machines that run tests stall for seconds now and then: what nobody provokes here takes longer to be believed, and
# nothing gets worse only because it took long. A node that rejoined is believed sooner, since somebody waits for it.
PATIENT: Final = """
[chain.detector."pool.blind"]
critical = { over = 20 }
[chain.detector."chain.halt"]
warning = { over = 60 }
[chain.detector."node.lag"]
critical = { over = 600, polls = 2 }
[chain.detector."node.fork"]
critical = { over = 600, polls = 2 }
rejoin_slots = 3
"""

Alerts = set[tuple[str, str, str]]
"""Detector, node (or `chain`) and severity."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which anvil a node has behind it, and whose it is; provider `a` is ourselves."""

    anvil: str
    provider: str


class Miner:
    """Mines one block a second on both anvils; others touch `pair` under `lock` only."""

    def __init__(self, pair: Lockstep) -> None:
        self.pair = pair
        self.lock = asyncio.Lock()

    async def begin(self) -> None:
        """Give the chain a past that ends now."""
        start = SystemClock().wall_ns() // NS - _PAST
        await self.pair.left.mine(timestamp=start)
        await self.pair.right.mine(timestamp=start)
        await self.pair.mine(_PAST)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(1)
            async with self.lock:
                await self.pair.mine()

    async def part(self) -> None:
        """Let the right one go its own way from here on, block by block at the same heights."""
        async with self.lock:
            await self.pair.diverge()

    async def rejoin(self) -> None:
        """Bring the right one back to the chain of the left one."""
        async with self.lock:
            await self.pair.rejoin()


@dataclass(frozen=True, kw_only=True)
class Rig:
    """All that runs."""

    miner: Miner
    proxy: FaultProxy
    daemon: Watchdog
    heard: Subscriber

    async def heal(self) -> None:
        """Make every node well, acknowledge what waits for that, and wait until nothing is open any more."""
        for name in self.proxy.names:
            await self.proxy.node(name).clear()
        for event in self._latched():
            config = str(self.daemon.config)
            said = await self.daemon.command("ack", event.data["fingerprint"], "--why", "seen", "--config", config)
            assert said.code == 0, said
        await self.until_quiet()

    async def until_quiet(self) -> None:
        """Wait until no alert is open."""
        try:
            await eventually(lambda: not open_alerts(self.heard.events), "everything resolves")
        except AssertionError as error:
            raise AssertionError(f"{error}; open are {open_alerts(self.heard.events)}") from None

    def _latched(self) -> list[Event]:
        still = open_alerts(self.heard.events)
        newest = {event.key[:2]: event for event in self.heard.events if event.key[0] == "node.corrupt_header"}
        return [event for key, event in newest.items() if key in still]

    async def until_reached(self, wanted: Alerts, since: int) -> None:
        """Return once all of these have come, or have not come in all that time: the caller compares."""
        with contextlib.suppress(AssertionError):
            await eventually(lambda: wanted <= reached(self.heard.events[since:]), f"{wanted}")


@contextlib.asynccontextmanager
async def rigged(
    folder: Path,
    binary: str,
    broker: Mosquitto,
    places: Mapping[str, Place],
    prepare: Callable[[Lockstep], Awaitable[str]] | None = None,
) -> AsyncIterator[Rig]:
    """Run all of it; the daemon is ready. `prepare` puts something on the chain, and says how it is configured."""
    async with running_lockstep(binary) as pair:
        more = await prepare(pair) if prepare is not None else ""
        miner = Miner(pair)
        await miner.begin()
        anvils = {"left": pair.left.url, "right": pair.right.url}
        async with (
            beside(miner.run()),
            FaultProxy({name: anvils[place.anvil] for name, place in places.items()}, seed=1) as proxy,
            subscribed(broker) as heard,
            watchdog(folder, _config(folder, proxy, broker, places, more)) as daemon,
        ):
            daemon.start()
            await daemon.ready()
            yield Rig(miner=miner, proxy=proxy, daemon=daemon, heard=heard)


def _config(folder: Path, proxy: FaultProxy, broker: Mosquitto, places: Mapping[str, Place], chain: str) -> str:
    nodes = {
        name: NodeAt(url=proxy.url(name), provider=place.provider, own=place.provider == "a")
        for name, place in places.items()
    }
    times = {"block_time": "1s", "poll": "500ms", "timeout": "1s"}
    return toml(folder, nodes, broker=mqtt_of(broker), chain_id=CHAIN_ID, chain=PATIENT + chain, more=CALM, **times)
