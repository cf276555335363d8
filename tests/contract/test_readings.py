"""State at one block, however the block is named, of a real anvil and of the simulated chain, which answer alike."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import orjson
import pytest
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

from tocsin.chain.header import decode_header
from tocsin.chain.keccak import keccak256
from tocsin.chain.proof import Claim, Proven, claim_of, verify
from tocsin.chain.receipts import Logs, bloom_of, logs_of
from tocsin.clock import SystemClock
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.logquery import LogFilter, LogsAt
from tocsin.model.observation import RpcErrorKind
from tocsin.model.reading import BalanceOf, CallOf, CodeOf, Item, LogsOf, Pin, ProofOf, ReceiptsOf, SlotOf, reading
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.testing.simstate import Change, Reverted, SimAccount, SimLog, World

NOBODY = b"\x99" * 20
CODE = bytes.fromhex("602035600035555f545f525f60205fa160205ff3")
"""Writes its second word of input to the slot that the first one names; logs slot 0 under the topic zero."""
READ_ZERO = bytes.fromhex("5f545f5260205ff3")
"""Returns slot 0."""
REVERT = bytes.fromhex("60075f5260205ffd")
"""Reverts with the word seven."""


class Stateful(EitherNode, Protocol):
    """One whose contract can be written to."""

    async def write(self, slot: int, value: int) -> None: ...


class Anvil(OnAnvil):
    async def write(self, slot: int, value: int) -> None:
        await self.send(word(slot) + word(value))


class Simulation(OnSimulation):
    async def write(self, slot: int, value: int) -> None:
        zero = value if slot == 0 else self.chain.head().world.account(CONTRACT).slots.get(0, 0)  # type: ignore[union-attr]
        log = SimLog(address=CONTRACT, topics=(word(0),), data=word(zero))
        self.chain.send(Change(slots={(CONTRACT, slot): value}, logs=(log,)))
        await self.mine(1)


def reverting(_world: World, _to: bytes, _data: bytes) -> bytes:
    raise Reverted(word(7))


@pytest.fixture(params=["anvil", "simulation"])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[Stateful]:
    if request.param == "simulation":
        async with on_simulation(Simulation, World({CONTRACT: SimAccount(code=CODE, balance=5)})) as found:
            found.chain.programs[READ_ZERO] = lambda world, to, _data: word(world.account(to).slots.get(0, 0))
            found.chain.programs[REVERT] = reverting
            yield found
    else:
        async with on_anvil(request, Anvil, CODE, balance=5) as real:
            await real.mine(4)
            yield real


async def read(node: Stateful, block: BlockRef, pin: Pin, *items: Item) -> Fetched:
    resolver = Resolver(SystemClock())
    session = Session(endpoint(node.url), clock=engine_clock(), resolver=resolver)
    try:
        return await session.fetch(Fetch(request=1, chain="test", node="n", call=reading(block, pin, items)))
    finally:
        await session.close()
        await resolver.close()
        await asyncio.sleep(0)


async def head(node: Stateful) -> tuple[Header, dict[str, Any]]:
    block = await block_of(node)
    decoded = decode_header(orjson.dumps(block))
    assert isinstance(decoded, Header)
    assert decoded.verification is Verification.MATCH
    return decoded, block


@pytest.mark.parametrize("pin", Pin)
async def test_all_kinds_of_state_are_read_at_one_block_that_is_not_the_newest(node: Stateful, pin: Pin) -> None:
    for slot in range(1, 40):
        await node.write(slot, slot + 1)
    await node.write(3, 0)
    await node.write(0, 7)
    at, block = await head(node)
    await node.write(0, 8)
    keys = (word(0), word(1), word(3), word(99))
    items = (
        ProofOf(address=CONTRACT, keys=keys),
        SlotOf(address=CONTRACT, key=word(0)),
        CodeOf(address=CONTRACT),
        CallOf(to=CONTRACT, data=b"", code=READ_ZERO),
        ReceiptsOf(),
        ProofOf(address=NOBODY, keys=(word(0),)),
        CodeOf(address=NOBODY),
        BalanceOf(address=CONTRACT),
        LogsOf(query=LogsAt(block=at.ref, wanted=LogFilter(addresses=(CONTRACT,), topics=(word(0),)))),
        LogsOf(query=LogsAt(block=at.ref, wanted=LogFilter(addresses=(CONTRACT,), topics=(word(1),)))),
    )
    found = await read(node, at.ref, pin, *items)
    assert found.fault is None
    assert not [part.error for part in found.run if part.error is not None]
    parts = [part.result or b"" for part in found.run]
    if pin is Pin.NUMBER:
        before, *parts, after = parts
        assert before == after
        assert orjson.loads(before)["hash"] == at.hash
    proof, slot, code, returned, receipts, absent, nothing, balance, told, untold = parts
    root = bytes.fromhex(at.state_root[2:])
    claim = claim_of(proof, CONTRACT, keys)
    assert isinstance(claim, Claim)
    proven = verify(root, claim)
    assert isinstance(proven, Proven), proven
    assert proven.account is not None
    assert proven.account.balance == 5
    assert proven.slots == {word(0): 7, word(1): 2, word(3): 0, word(99): 0}
    assert int(orjson.loads(slot), 16) == 7
    assert keccak256(bytes.fromhex(orjson.loads(code)[2:])) == proven.account.code_hash == keccak256(CODE)
    assert orjson.loads(returned) == f"0x{word(7).hex()}"
    logs = logs_of(bytes.fromhex(block["receiptsRoot"][2:]), receipts)
    assert isinstance(logs, Logs), logs
    assert [(log.address, log.topics, log.data) for log in logs.logs] == [(CONTRACT, (word(0),), word(7))]
    assert f"0x{bloom_of(logs.logs).hex()}" == block["logsBloom"]
    unclaimed = claim_of(absent, NOBODY, (word(0),))
    assert isinstance(unclaimed, Claim)
    assert verify(root, unclaimed) == Proven(account=None, slots={word(0): 0})
    assert nothing == b'"0x"'
    assert int(orjson.loads(balance), 16) == 5
    [log] = orjson.loads(told)
    assert (log["blockHash"], log["topics"], log["data"]) == (at.hash, [f"0x{bytes(32).hex()}"], f"0x{word(7).hex()}")
    assert untold == b"[]"


async def test_a_call_that_reverts_is_an_answer_with_what_it_reverted_with(node: Stateful) -> None:
    at, _ = await head(node)
    found = await read(node, at.ref, Pin.OBJECT, CallOf(to=CONTRACT, data=b"", code=REVERT))
    assert found.part is not None
    assert found.part.error is not None
    assert found.part.error.kind is RpcErrorKind.REVERT


async def test_nothing_is_read_at_a_block_that_the_node_has_left(node: Stateful) -> None:
    await node.write(1, 1)
    left, _ = await head(node)
    await node.leave(2, instead=3)
    by_object = await read(node, left.ref, Pin.OBJECT, SlotOf(address=CONTRACT, key=word(0)))
    assert by_object.part is not None
    assert by_object.part.error is not None
    assert by_object.part.error.kind is RpcErrorKind.NOT_FOUND
    by_number = await read(node, left.ref, Pin.NUMBER, SlotOf(address=CONTRACT, key=word(0)))
    before, _, after = [orjson.loads(part.result or b"") for part in by_number.run]
    assert before["hash"] == after["hash"] != left.hash
