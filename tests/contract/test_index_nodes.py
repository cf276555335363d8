"""A log index over real sessions: of a real anvil with its own reorg, and of the simulated chain, alike."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
from tests.support.anvil import Anvil, running_anvil
from tests.support.chains import pool
from tests.support.rpcserver import endpoint, engine_clock

from tocsin.chain.logrules import EventRule, RuleSet, Word
from tocsin.chain.logspan import Span
from tocsin.clock import NS, SystemClock
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.state.indexer import Indexer, Target, Terms
from tocsin.state.indexfile import IndexFile
from tocsin.state.source import Sessions
from tocsin.testing import ChainSpec, ManualClock, SimChain, SimNode, serve_nodes
from tocsin.testing.simstate import Change, SimLog, World

CONTRACT = bytes.fromhex("c0ffee" + "00" * 17)
CODE = bytes.fromhex("5f355f5260205fa0" + "5f5f355f5260205fa1")
"""Logs its first word of input twice: without a topic, and under the topic zero."""
RULES = RuleSet(rules=(EventRule(name="word", addresses=(CONTRACT,), topic0=bytes(32), account=Word(0), whole=True),))


def word(value: int) -> bytes:
    return value.to_bytes(32)


class Chain(Protocol):
    """A node whose contract logs what it is told, and that can leave its newest blocks."""

    url: str

    async def log(self, value: int) -> None: ...
    async def mine(self, blocks: int) -> None: ...
    async def leave(self, blocks: int) -> None: ...


class OfAnvil:
    def __init__(self, anvil: Anvil) -> None:
        self.url = anvil.url
        self._anvil = anvil

    async def log(self, value: int) -> None:
        sender = (await self._anvil.call("eth_accounts"))[0]
        wanted = {"from": sender, "to": f"0x{CONTRACT.hex()}", "data": f"0x{word(value).hex()}", "gas": "0x30d40"}
        await self._anvil.call("eth_sendTransaction", wanted)
        await self._anvil.mine()

    async def mine(self, blocks: int) -> None:
        await self._anvil.mine(blocks)

    async def leave(self, blocks: int) -> None:
        await self._anvil.call("anvil_rollback", blocks)
        await self._anvil.mine(apart_s=5)


class OfSimulation:
    def __init__(self, chain: SimChain, clock: ManualClock, url: str) -> None:
        self.url = url
        self._chain = chain
        self._clock = clock

    async def log(self, value: int) -> None:
        bare, named = (SimLog(address=CONTRACT, topics=topics, data=word(value)) for topics in ((), (bytes(32),)))
        self._chain.send(Change(logs=(bare, named)))
        await self.mine(1)

    async def mine(self, blocks: int) -> None:
        self._clock.advance(s=12 * blocks)
        self._chain.grow()

    async def leave(self, blocks: int) -> None:
        self._chain.rollback(blocks)
        await self.mine(1)


@asynccontextmanager
async def simulated() -> AsyncIterator[Chain]:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(slot_ns=12 * NS, history=0, world=World({})))
    async with serve_nodes(SimNode(chain)) as listeners:
        yield OfSimulation(chain, clock, listeners["sim"].url)


@asynccontextmanager
async def real(binary: str) -> AsyncIterator[Chain]:
    async with running_anvil(binary) as anvil:
        await anvil.call("anvil_setCode", f"0x{CONTRACT.hex()}", f"0x{CODE.hex()}")
        yield OfAnvil(anvil)


@pytest.fixture(params=["anvil", "simulation"])
async def chain(request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    if request.param == "simulation":
        async with simulated() as found:
            yield found
    else:
        async with real(request.getfixturevalue("anvil_binary")) as found:
            yield found


async def block(chain: Chain, which: str) -> dict[str, Any]:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [which, False]}
    async with aiohttp.ClientSession() as session, session.post(chain.url, json=asked) as answer:
        found: dict[str, Any] = (await answer.json())["result"]
        return found


async def target(chain: Chain, final: int) -> Target:
    refs = []
    for which in (hex(final), "latest"):
        shown = await block(chain, which)
        refs.append(BlockRef(number=int(shown["number"], 16), hash=shown["hash"]))
    return Target(finalized=refs[0], head=refs[1])


async def test_the_index_of_a_node_is_what_was_logged_on_its_chain(chain: Chain, tmp_path: Path) -> None:
    await chain.mine(2)
    for value in (7, 8, 7):
        await chain.log(value)
    await chain.mine(3)
    first = int((await block(chain, "latest"))["number"], 16)
    await chain.log(9)
    await chain.log(10)
    resolver = Resolver(SystemClock())
    sessions = {name: Session(endpoint(chain.url), clock=engine_clock(), resolver=resolver) for name in "AB"}
    file = IndexFile(tmp_path / "i.db", RULES, salt=b"salt")
    terms = Terms(audit_one_in=2, span=Span(size=3))
    nodes = Sessions("test", sessions)
    try:
        async with Indexer(file, pool("A B"), nodes, clock=SystemClock(), terms=terms) as indexer:
            result = await indexer.advance(await target(chain, first))
            assert result.is_done, result.stuck
            assert not result.deviations + result.refusals
            assert indexer.audited
            assert file.accounts().keys() == {word(7), word(8)}
            assert file.accounts()[word(7)] == (first - 5, first - 3)
            assert file.accounts(with_tail=True).keys() == {word(7), word(8), word(9), word(10)}
            assert file.logs == 3
            await chain.leave(1)
            await chain.log(11)
            result = await indexer.advance(await target(chain, first))
            assert result.is_done, result.stuck
            assert file.accounts(with_tail=True).keys() == {word(7), word(8), word(9), word(11)}
            await chain.mine(4)
            result = await indexer.advance(await target(chain, first + 4))
            assert result.is_done, result.stuck
            assert file.accounts().keys() == {word(7), word(8), word(9), word(11)}
            assert file.grade is Grade.QUORUM
    finally:
        for session in sessions.values():
            await session.close()
        await resolver.close()
        await asyncio.sleep(0)
