"""State at one block, however the block is named, of a real anvil and of the simulated chain, which answer alike."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp
import orjson
import pytest
from tests.support.anvil import Anvil, running_anvil
from tests.support.rpcserver import endpoint, engine_clock

from tocsin.chain.header import decode_header
from tocsin.chain.keccak import keccak256
from tocsin.chain.proof import Claim, Proven, claim_of, verify
from tocsin.chain.receipts import Logs, bloom_of, logs_of
from tocsin.clock import NS, SystemClock
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.observation import RpcErrorKind
from tocsin.model.reading import CallOf, CodeOf, Item, Pin, ProofOf, ReceiptsOf, SlotOf, reading
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.testing import ChainSpec, ManualClock, SimChain, SimNode, serve_nodes
from tocsin.testing.simstate import Change, Reverted, SimAccount, SimLog, World

CONTRACT, NOBODY = bytes.fromhex("c0ffee" + "00" * 17), b"\x99" * 20
CODE = bytes.fromhex("602035600035555f545f525f60205fa160205ff3")
"""Writes its second word of input to the slot that the first one names; logs slot 0 under the topic zero."""
READ_ZERO = bytes.fromhex("5f545f5260205ff3")
"""Returns slot 0."""
REVERT = bytes.fromhex("60075f5260205ffd")
"""Reverts with the word seven."""


def word(value: int) -> bytes:
    return value.to_bytes(32)


class Stateful(Protocol):
    """A node with the contract on it, over HTTP."""

    url: str

    async def block(self) -> dict[str, Any]: ...
    async def write(self, slot: int, value: int) -> None: ...
    async def leave(self) -> None:
        """Leave the newest blocks for others."""


class OfAnvil:
    def __init__(self, anvil: Anvil) -> None:
        self.url = anvil.url
        self._anvil = anvil

    async def block(self) -> dict[str, Any]:
        return await self._anvil.block()

    async def write(self, slot: int, value: int) -> None:
        sender = (await self._anvil.call("eth_accounts"))[0]
        data = f"0x{(word(slot) + word(value)).hex()}"
        wanted = {"from": sender, "to": f"0x{CONTRACT.hex()}", "data": data, "gas": "0x30d40"}
        await self._anvil.call("eth_sendTransaction", wanted)
        await self._anvil.mine()

    async def leave(self) -> None:
        await self._anvil.call("anvil_rollback", 2)
        await self._anvil.mine(3, apart_s=5)


class OfSimulation:
    def __init__(self, chain: SimChain, clock: ManualClock, url: str) -> None:
        self.url = url
        self._chain = chain
        self._clock = clock

    async def block(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session:
            asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]}
            async with session.post(self.url, json=asked) as answer:
                return (await answer.json())["result"]

    async def write(self, slot: int, value: int) -> None:
        zero = value if slot == 0 else self._chain.head().world.account(CONTRACT).slots.get(0, 0)  # type: ignore[union-attr]
        log = SimLog(address=CONTRACT, topics=(word(0),), data=word(zero))
        self._chain.send(Change(slots={(CONTRACT, slot): value}, logs=(log,)))
        self._clock.advance(s=12)

    async def leave(self) -> None:
        self._chain.rollback(2)
        self._clock.advance(s=36)


def reverting(_world: World, _to: bytes, _data: bytes) -> bytes:
    raise Reverted(word(7))


@asynccontextmanager
async def simulated() -> AsyncIterator[Stateful]:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(slot_ns=12 * NS, world=World({CONTRACT: SimAccount(code=CODE, balance=5)})))
    chain.programs[READ_ZERO] = lambda world, to, _data: word(world.account(to).slots.get(0, 0))
    chain.programs[REVERT] = reverting
    node = SimNode(chain)
    node.data.pins_hash = True
    async with serve_nodes(node) as listeners:
        yield OfSimulation(chain, clock, listeners["sim"].url)


@asynccontextmanager
async def real(binary: str) -> AsyncIterator[Stateful]:
    async with running_anvil(binary) as anvil:
        await anvil.call("anvil_setCode", f"0x{CONTRACT.hex()}", f"0x{CODE.hex()}")
        await anvil.call("anvil_setBalance", f"0x{CONTRACT.hex()}", "0x5")
        await anvil.mine(4)
        yield OfAnvil(anvil)


@pytest.fixture(params=["anvil", "simulation"])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[Stateful]:
    if request.param == "simulation":
        async with simulated() as found:
            yield found
    else:
        async with real(request.getfixturevalue("anvil_binary")) as found:
            yield found


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
    block = await node.block()
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
    )
    found = await read(node, at.ref, pin, *items)
    assert found.fault is None
    assert not [part.error for part in found.run if part.error is not None]
    parts = [part.result or b"" for part in found.run]
    if pin is Pin.NUMBER:
        before, *parts, after = parts
        assert before == after
        assert orjson.loads(before)["hash"] == at.hash
    proof, slot, code, returned, receipts, absent, nothing = parts
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


async def test_a_call_that_reverts_is_an_answer_with_what_it_reverted_with(node: Stateful) -> None:
    at, _ = await head(node)
    found = await read(node, at.ref, Pin.OBJECT, CallOf(to=CONTRACT, data=b"", code=REVERT))
    assert found.part is not None
    assert found.part.error is not None
    assert found.part.error.kind is RpcErrorKind.REVERT


async def test_nothing_is_read_at_a_block_that_the_node_has_left(node: Stateful) -> None:
    await node.write(1, 1)
    left, _ = await head(node)
    await node.leave()
    by_object = await read(node, left.ref, Pin.OBJECT, SlotOf(address=CONTRACT, key=word(0)))
    assert by_object.part is not None
    assert by_object.part.error is not None
    assert by_object.part.error.kind is RpcErrorKind.NOT_FOUND
    by_number = await read(node, left.ref, Pin.NUMBER, SlotOf(address=CONTRACT, key=word(0)))
    before, _, after = [orjson.loads(part.result or b"") for part in by_number.run]
    assert before["hash"] == after["hash"] != left.hash
