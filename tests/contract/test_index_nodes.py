"""A log index over real sessions: of a real anvil with its own reorg, and of the simulated chain, alike."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest
from tests.support.chains import pool
from tests.support.eithernode import (
    CONTRACT,
    EitherNode,
    OnAnvil,
    OnSimulation,
    block_of,
    on_anvil,
    on_simulation,
    word,
)
from tests.support.rpcserver import endpoint, engine_clock

from tocsin.chain.logrules import EventRule, RuleSet, Word
from tocsin.chain.logspan import Span
from tocsin.clock import SystemClock
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.state.indexer import Indexer, Target, Terms
from tocsin.state.indexfile import IndexFile
from tocsin.state.source import Sessions
from tocsin.testing.simstate import Change, SimLog, World

CODE = bytes.fromhex("5f355f5260205fa0" + "5f5f355f5260205fa1")
"""Logs its first word of input twice: without a topic, and under the topic zero."""
RULES = RuleSet(rules=(EventRule(name="word", addresses=(CONTRACT,), topic0=bytes(32), account=Word(0), whole=True),))


class Chain(EitherNode, Protocol):
    """One whose contract logs what it is told."""

    async def log(self, value: int) -> None: ...


class Anvil(OnAnvil):
    async def log(self, value: int) -> None:
        await self.send(word(value))


class Simulation(OnSimulation):
    async def log(self, value: int) -> None:
        bare, named = (SimLog(address=CONTRACT, topics=topics, data=word(value)) for topics in ((), (bytes(32),)))
        self.chain.send(Change(logs=(bare, named)))
        await self.mine(1)


@pytest.fixture(params=["anvil", "simulation"])
async def chain(request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    if request.param == "simulation":
        async with on_simulation(Simulation, World({}), history=0) as found:
            yield found
    else:
        async with on_anvil(request, Anvil, CODE) as real:
            yield real


async def target(chain: Chain, final: int) -> Target:
    refs = []
    for which in (hex(final), "latest"):
        shown = await block_of(chain, which)
        refs.append(BlockRef(number=int(shown["number"], 16), hash=shown["hash"]))
    return Target(finalized=refs[0], head=refs[1])


async def test_the_index_of_a_node_is_what_was_logged_on_its_chain(chain: Chain, tmp_path: Path) -> None:
    await chain.mine(2)
    for value in (7, 8, 7):
        await chain.log(value)
    await chain.mine(3)
    first = int((await block_of(chain, "latest"))["number"], 16)
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
