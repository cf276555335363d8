"""The simulated node and a real anvil pass the same tests: what holds against the one holds against the other."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from Crypto.Hash import keccak
from tests.support.anvil import running_anvil

from tocsin.clock import NS
from tocsin.testing import HEADER_FIELDS, ChainSpec, ManualClock, SimChain, SimNode, header_hash, serve_nodes

SLOTS_TO_SAFE, SLOTS_TO_FINALIZED = 32, 64
UNKNOWN_HASH = "0x" + "ab" * 32


@dataclass
class Subject:
    url: str
    ws_url: str
    chain_id: int
    mine: Callable[[int], Awaitable[None]]
    session: aiohttp.ClientSession

    async def post(self, body: bytes) -> Any:
        async with self.session.post(self.url, data=body, headers={"Content-Type": "application/json"}) as response:
            assert response.status == 200
            return orjson.loads(await response.read())

    async def answer(self, method: str, *params: Any) -> Any:
        return await self.post(orjson.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}))

    async def ask(self, method: str, *params: Any) -> Any:
        answer = await self.answer(method, *params)
        assert answer.keys() == {"jsonrpc", "id", "result"}, answer
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
        return answer["result"]

    async def block(self, where: str, *, by: str = "Number") -> Any:
        return await self.ask(f"eth_getBlockBy{by}", *[where, False])


@contextlib.asynccontextmanager
async def simulated(first: int) -> AsyncIterator[tuple[str, str, Callable[[int], Awaitable[None]]]]:
    clock = ManualClock()
    spec = ChainSpec(chain_id=4242, history=0, genesis_number=first, slot_ns=NS)
    node = SimNode(SimChain(clock, spec))

    async def mine(blocks: int) -> None:
        clock.advance(s=blocks)

    async with serve_nodes(node) as listeners:
        yield listeners["sim"].url, listeners["sim"].ws_url, mine


@contextlib.asynccontextmanager
async def real(binary: str, first: int) -> AsyncIterator[tuple[str, str, Callable[[int], Awaitable[None]]]]:
    async with running_anvil(binary, "--chain-id", "4242", "--number", str(first)) as anvil:

        async def mine(blocks: int) -> None:
            await anvil.mine(blocks)

        yield anvil.url, anvil.ws_url, mine


@contextlib.asynccontextmanager
async def subject_of(kind: str, request: pytest.FixtureRequest, first: int = 0) -> AsyncIterator[Subject]:
    binary = request.getfixturevalue("anvil_binary") if kind == "anvil" else ""
    made = real(binary, first) if kind == "anvil" else simulated(first)
    async with made as (url, ws_url, mine), aiohttp.ClientSession() as session:
        yield Subject(url, ws_url, 4242, mine, session)


@pytest_asyncio.fixture(params=["simnode", "anvil"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with subject_of(request.param, request) as found:
        yield found


@pytest_asyncio.fixture(params=["simnode", "anvil"])
async def young(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A chain that pretends to be old, so that nothing is finalized yet."""
    async with subject_of(request.param, request, 21_000_000) as found:
        yield found


def independent_hash(block: dict[str, Any]) -> str:
    """RLP and keccak once more, from the definition, sharing nothing with the package."""

    def length(size: int, offset: int) -> bytes:
        if size < 56:
            return bytes([size + offset])
        digits = size.to_bytes(8, "big").lstrip(b"\0")
        return bytes([offset + 55 + len(digits)]) + digits

    def text(value: bytes) -> bytes:
        return value if len(value) == 1 and value < b"\x80" else length(len(value), 0x80) + value

    roots = ["stateRoot", "transactionsRoot", "receiptsRoot"]
    counts = ["difficulty*", "number*", "gasLimit*", "gasUsed*", "timestamp*"]
    london_to_prague = ["baseFeePerGas*", "withdrawalsRoot", "blobGasUsed*", "excessBlobGas*", "parentBeaconBlockRoot"]
    names = ["parentHash", "sha3Uncles", "miner", *roots, "logsBloom", *counts, "extraData", "mixHash", "nonce"]
    items = b""
    for name in [*names, *london_to_prague, "requestsHash"]:
        digits = block[name.rstrip("*")][2:]
        raw = bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))
        items += text(raw.lstrip(b"\0") if name.endswith("*") else raw)
    return "0x" + keccak.new(digest_bits=256).update(length(len(items), 0xC0) + items).hexdigest()


async def test_identity_is_the_configured_chain(subject: Subject) -> None:
    assert await subject.ask("eth_chainId") == hex(subject.chain_id)
    assert await subject.ask("net_version") == str(subject.chain_id)
    assert await subject.ask("eth_syncing") is False
    assert isinstance(await subject.ask("web3_clientVersion"), str)


async def test_latest_is_the_block_of_the_highest_number(subject: Subject) -> None:
    await subject.mine(3)
    latest = await subject.block("latest")
    assert latest["number"] == await subject.ask("eth_blockNumber") == "0x3"
    assert latest == await subject.block("0x3")
    assert latest == await subject.block(latest["hash"], by="Hash")


async def test_every_header_hashes_to_its_hash_and_links_to_its_parent(subject: Subject) -> None:
    await subject.mine(5)
    blocks = [await subject.block(hex(number)) for number in range(6)]
    assert [block["hash"] for block in blocks] == [independent_hash(block) for block in blocks]
    assert [block["hash"] for block in blocks] == [header_hash(block) for block in blocks]
    assert [block["parentHash"] for block in blocks[1:]] == [block["hash"] for block in blocks[:-1]]
    stamps = [int(block["timestamp"], 16) for block in blocks]
    assert stamps == sorted(set(stamps))


async def test_every_field_has_its_own_place_in_the_hash(subject: Subject) -> None:
    await subject.mine(1)
    block = await subject.block("latest")
    for at, name in enumerate(HEADER_FIELDS):
        block[name] = hex(at + 7) if len(block[name]) < 20 and name not in ("extraData", "nonce") else block[name]
    assert header_hash(block) == independent_hash(block)


async def test_base_fee_follows_from_the_parent_as_eip_1559_says(subject: Subject) -> None:
    await subject.mine(4)
    blocks = [await subject.block(hex(number)) for number in range(5)]
    for parent, child in itertools.pairwise(blocks[1:]):
        fee, used, limit = (int(parent[name], 16) for name in ("baseFeePerGas", "gasUsed", "gasLimit"))
        assert used == 0
        assert int(child["baseFeePerGas"], 16) == fee - fee * (limit // 2) // (limit // 2) // 8


async def test_blocks_that_do_not_exist_are_null(subject: Subject) -> None:
    assert await subject.block("0x999") is None
    assert await subject.block(UNKNOWN_HASH, by="Hash") is None


async def test_tags_follow_the_head_and_stop_at_genesis(subject: Subject) -> None:
    for tag in ("safe", "finalized", "earliest"):
        assert (await subject.block(tag))["number"] == "0x0"
    await subject.mine(70)
    heights = {tag: int((await subject.block(tag))["number"], 16) for tag in ("latest", "safe", "finalized")}
    assert heights == {"latest": 70, "safe": 70 - SLOTS_TO_SAFE, "finalized": 70 - SLOTS_TO_FINALIZED}


async def test_finalized_is_null_until_there_is_such_a_block(young: Subject) -> None:
    assert await young.block("finalized") is None
    assert (await young.block("latest"))["number"] == hex(21_000_000)
    await young.mine(SLOTS_TO_FINALIZED)
    assert (await young.block("finalized"))["number"] == hex(21_000_000)


async def test_a_batch_answers_every_id(subject: Subject) -> None:
    names = ("eth_chainId", "eth_blockNumber", "no_such_method")
    calls = [{"jsonrpc": "2.0", "id": 10 + at, "method": name, "params": []} for at, name in enumerate(names)]
    answers = await subject.post(orjson.dumps(calls))
    by_id = {answer["id"]: answer for answer in answers}
    assert sorted(by_id) == [10, 11, 12]
    assert by_id[10]["result"] == hex(subject.chain_id)
    assert by_id[12]["error"]["code"] == -32601


async def test_an_unknown_method_is_an_error_with_the_standard_code(subject: Subject) -> None:
    assert (await subject.answer("no_such_method"))["error"]["code"] == -32601


@pytest.mark.parametrize("params", [["bogus", False], [], ["0xzz", False]])
async def test_bad_parameters_are_an_error_with_the_standard_code(subject: Subject, params: list[Any]) -> None:
    assert (await subject.answer("eth_getBlockByNumber", *params))["error"]["code"] == -32602


@pytest.mark.parametrize("body", [b"{bad", b"[]", b"17", b'{"id": 5, "method": "eth_chainId"}'])
async def test_what_is_no_request_is_an_error_and_not_a_silence(subject: Subject, body: bytes) -> None:
    answer = await subject.post(body)
    assert answer["error"]["code"] in (-32600, -32700)


async def test_new_heads_announce_every_block_with_its_header(subject: Subject) -> None:
    async with subject.session.ws_connect(subject.ws_url) as socket:
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
        await socket.send_str(orjson.dumps(request).decode())
        subscription = orjson.loads((await socket.receive()).data)["result"]
        await subject.mine(2)
        heads = []
        for _ in range(2):
            message = orjson.loads((await socket.receive()).data)
            assert message["method"] == "eth_subscription"
            assert message["params"]["subscription"] == subscription
            heads.append(message["params"]["result"])
    assert [head["number"] for head in heads] == ["0x1", "0x2"]
    assert [head["hash"] for head in heads] == [independent_hash(head) for head in heads]


async def test_calls_and_batches_work_over_the_websocket_too(subject: Subject) -> None:
    calls = [{"jsonrpc": "2.0", "id": at, "method": "eth_chainId", "params": []} for at in (1, 2)]
    async with subject.session.ws_connect(subject.ws_url) as socket:
        await socket.send_str(orjson.dumps(calls).decode())
        batch = orjson.loads((await socket.receive()).data)
        await socket.send_str(orjson.dumps(calls[0]).decode())
        single = orjson.loads((await socket.receive()).data)
    assert sorted(answer["id"] for answer in batch) == [1, 2]
    assert single["result"] == hex(subject.chain_id)


async def test_an_unknown_subscription_is_an_error(subject: Subject) -> None:
    async with subject.session.ws_connect(subject.ws_url) as socket:
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["bogus"]}
        await socket.send_str(orjson.dumps(request).decode())
        assert orjson.loads((await socket.receive()).data)["error"]["code"] == -32602
