"""One node twice: a real anvil, and the simulated chain. What a test finds alike of both holds the one to the other.

A contract lies on it whose code a test brings; what a transaction to it does on the simulated chain the test says.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import aiohttp
import pytest
from tests.support.anvil import Anvil, running_anvil

from tocsin.clock import NS
from tocsin.testing import ChainSpec, ManualClock, SimChain, SimNode, serve_nodes
from tocsin.testing.simstate import World

CONTRACT = bytes.fromhex("c0ffee" + "00" * 17)
SLOT_S = 12


def word(value: int) -> bytes:
    return value.to_bytes(32)


class EitherNode(Protocol):
    """A node with the contract on it, over HTTP."""

    url: str

    async def mine(self, blocks: int) -> None: ...
    async def leave(self, blocks: int, *, instead: int = 1) -> None:
        """Leave the newest blocks for so many others."""


class OnAnvil:
    """The real one."""

    def __init__(self, anvil: Anvil) -> None:
        self.url = anvil.url
        self._anvil = anvil

    async def send(self, data: bytes) -> None:
        """Send a transaction to the contract, in a block of its own."""
        sender = (await self._anvil.call("eth_accounts"))[0]
        wanted = {"from": sender, "to": f"0x{CONTRACT.hex()}", "data": f"0x{data.hex()}", "gas": "0x30d40"}
        await self._anvil.call("eth_sendTransaction", wanted)
        await self._anvil.mine()

    async def mine(self, blocks: int) -> None:
        await self._anvil.mine(blocks)

    async def leave(self, blocks: int, *, instead: int = 1) -> None:
        await self._anvil.call("anvil_rollback", blocks)
        await self._anvil.mine(instead, apart_s=5)


class OnSimulation:
    """The simulated one."""

    def __init__(self, chain: SimChain, clock: ManualClock, url: str) -> None:
        self.url = url
        self.chain = chain
        self._clock = clock

    async def mine(self, blocks: int) -> None:
        self._clock.advance(s=SLOT_S * blocks)
        self.chain.grow()

    async def leave(self, blocks: int, *, instead: int = 1) -> None:
        self.chain.rollback(blocks)
        await self.mine(instead)


_Real = TypeVar("_Real", bound=OnAnvil)
_Simulated = TypeVar("_Simulated", bound=OnSimulation)


@asynccontextmanager
async def on_anvil(
    request: pytest.FixtureRequest, kind: type[_Real], code: bytes, *, balance: int = 0
) -> AsyncIterator[_Real]:
    """Yield an anvil with the contract on it; skips the test where there is no anvil."""
    async with running_anvil(request.getfixturevalue("anvil_binary")) as anvil:
        await anvil.call("anvil_setCode", f"0x{CONTRACT.hex()}", f"0x{code.hex()}")
        await anvil.call("anvil_setBalance", f"0x{CONTRACT.hex()}", hex(balance))
        yield kind(anvil)


@asynccontextmanager
async def on_simulation(kind: type[_Simulated], world: World, **spec: Any) -> AsyncIterator[_Simulated]:
    """Yield a simulated node, on a chain that begins with such a state."""
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(slot_ns=SLOT_S * NS, world=world, **spec))
    node = SimNode(chain)
    node.data.pins_hash = True
    async with serve_nodes(node) as listeners:
        yield kind(chain, clock, listeners["sim"].url)


async def block_of(node: EitherNode, which: str = "latest") -> dict[str, Any]:
    """Return a block as the node shows it."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [which, False]}
    async with aiohttp.ClientSession() as session, session.post(node.url, json=asked) as answer:
        found: dict[str, Any] = (await answer.json())["result"]
        return found
