"""Aave's own contracts on an anvil, with accounts on both sides of the line, and nodes of three providers before it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from tests.lab.aave import ASSETS, CORE, Asset, Lab, deploy_3_0
from tests.lab.chain import ARGUMENTS, Artifacts, Chain
from tests.support.anvil import running_anvil
from tests.support.fleet import nodes_of
from tests.support.watchdog import toml

from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.base import Question
from tocsin.testing import FaultProxy
from tocsin.testing.exchange import Exchange
from tocsin.testing.faults.base import Fault
from tocsin.testing.jsonrpc import Json

PROVIDERS: Final = ("a", "b", "c")
WETH: Final = 0
USDC: Final = 2
CHAIN_ID: Final = 31337
_MARKET: Final = """
[[market]]
name = "lab"
kind = "aave-v3"
chain = "sim"
pool = "{pool}"
from = 0
shocks = ["-10%", "-30%"]
near = "20%"
sample_one_in = 5
"""


Changes = Callable[[Json, Any], Any]
"""What a lie makes of a call and its result."""


@dataclass(kw_only=True)
class Lie(Fault):
    """Results are changed."""

    name: ClassVar[str] = "lie-by-hand"
    changes: Changes

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:  # noqa: ARG002 - of every fault
        return {**answer, "result": self.changes(call, answer["result"])} if "result" in answer else answer


@dataclass
class LiveMarket:
    """The market, and the proxies before its chain."""

    lab: Lab
    proxy: FaultProxy
    borrowers: list[str] = field(default_factory=list)

    async def open(self, health: float) -> str:
        """Let a new account hold ten ethers and owe dollars, so that it has this health."""
        user = f"0x{random.Random(len(self.borrowers)).getrandbits(160):040x}"  # noqa: S311 - not secret
        lab = self.lab
        ether, dollars = lab.assets[WETH], lab.assets[USDC]
        worth = 10 * ether.price * ether.threshold // 10_000
        units = int(worth / health * 10**dollars.decimals / dollars.price)
        await lab.chain.send_all(
            [(lab.pool.call("supply", lab.tokens[WETH].address, 10 * 10**18, user, 0), lab.chain.owner)]
        )
        borrow = lab.pool.call("borrow", lab.tokens[USDC].address, units, 2, 0, user)
        [receipt] = await lab.chain.send_all([(borrow, user)])
        assert receipt["status"] == "0x1", f"nobody may borrow down to a health of {health}"
        self.borrowers.append(user)
        return user

    async def price(self, percent: float) -> None:
        """Let the next block have ether at this share of its first price."""
        await self.lab.set_price(WETH, int(self.lab.assets[WETH].price * percent / 100))
        await self.lab.chain.anvil.mine()

    async def liquidatable(self) -> set[str]:
        """Return who can be liquidated, by the pool's own word."""
        said = await self.lab.data([bytes.fromhex(user[2:]) for user in self.borrowers])
        return {user for user, numbers in zip(self.borrowers, said, strict=True) if numbers[5] < 10**18}

    async def debts(self) -> list[int]:
        """Return what the token of debts in dollars keeps of each borrower: shares."""
        pool, dollars = (bytes.fromhex(one.address[2:]) for one in (self.lab.pool, self.lab.tokens[USDC]))
        [data] = await self.lab.chain.answers([Question(reading.RESERVE, pool, (dollars,))])
        asked = [Question(reading.BORROWED, data[10], (bytes.fromhex(user[2:]),)) for user in self.borrowers]
        return [int(word) for word in await self.lab.chain.answers(asked)]

    def configuration(self, folder: Path, *, broker: str | None = None, more: str = "", pool: str = "") -> str:
        """Return a configuration that values the market."""
        nodes = nodes_of(self.proxy)
        tables = _MARKET.format(pool=pool or self.lab.pool.address)
        return toml(folder, nodes, broker=broker, chain_id=CHAIN_ID, block_time="1s", chain=tables + more)


@contextlib.asynccontextmanager
async def live_market(
    binary: str, *, healths: Sequence[float] = (), assets: Sequence[Asset] = ASSETS[:4], apart_s: float = 0.0
) -> AsyncIterator[LiveMarket]:
    """Run a market with accounts of these healths; with `apart_s` a block comes so often by itself."""
    async with contextlib.AsyncExitStack() as stack:
        anvil = await stack.enter_async_context(running_anvil(binary, *ARGUMENTS, "--slots-in-an-epoch", "4"))
        lab = await deploy_3_0(Chain(anvil, Artifacts(CORE)), assets)
        proxy = await stack.enter_async_context(FaultProxy(dict.fromkeys(PROVIDERS, anvil.url)))
        found = LiveMarket(lab=lab, proxy=proxy)
        for health in healths:
            await found.open(health)
        await anvil.mine(12)
        if apart_s:
            task = asyncio.create_task(_mining(anvil, apart_s))
            stack.push_async_callback(_ended, task)
        yield found


async def _mining(anvil: Any, apart_s: float) -> None:
    while True:
        await asyncio.sleep(apart_s)
        await anvil.mine()


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
