"""Every fault over real sockets: what a client sees of it, and that healing ends it."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from tocsin.errors import UsageError
from tocsin.testing import (
    FAULTS,
    BatchRefused,
    ChainSpec,
    EchoSecrets,
    Endless,
    Fault,
    FaultProxy,
    Gzip,
    GzipBomb,
    Hang,
    Latency,
    ManualClock,
    Refused,
    Reset,
    SimChain,
    SimNode,
    SlowDrip,
    Truncated,
    WsGaps,
    WsRefused,
    WsSilent,
    parse_fault,
    serve_nodes,
)

BATCH = [
    {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []},
    {"jsonrpc": "2.0", "id": 2, "method": "eth_getBlockByNumber", "params": ["latest", False]},
    {"jsonrpc": "2.0", "id": 3, "method": "eth_syncing", "params": []},
]


@dataclass
class Bench:
    proxy: FaultProxy
    chain: SimChain
    clock: ManualClock
    session: aiohttp.ClientSession

    def post(self, body: Any, path: str = "/", **more: Any) -> Any:
        return self.session.post(self.proxy.url("b") + path, data=orjson.dumps(body), **more)

    async def read(self, body: Any = BATCH, path: str = "/", **more: Any) -> Any:
        async with self.post(body, path, **more) as response:
            return orjson.loads(await response.read())

    async def set(self, *faults: Fault) -> None:
        await self.proxy.node("b").set(*faults)

    async def healthy(self) -> bool:
        """Whether a new connection gets the whole truth."""
        async with aiohttp.ClientSession() as session, session.post(self.proxy.url("b"), json=BATCH) as response:
            answers = orjson.loads(await response.read())
        head = self.chain.head()
        return [answer["id"] for answer in answers] == [1, 2, 3] and answers[1]["result"]["hash"] == head.hash


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=80))
    async with (
        serve_nodes(SimNode(chain)) as listeners,
        FaultProxy({"a": listeners["sim"].url, "b": listeners["sim"].url}, seed=1) as proxy,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
    ):
        yield Bench(proxy, chain, clock, session)


async def test_without_a_fault_bytes_pass_as_they_are(bench: Bench) -> None:
    assert await bench.healthy()
    async with bench.session.post(bench.proxy.url("a"), data=b"{bad") as response:
        assert (await response.json())["error"]["code"] == -32700


@pytest.mark.parametrize("name", sorted(FAULTS))
async def test_every_fault_heals_and_leaves_the_other_node_alone(bench: Bench, name: str) -> None:
    await bench.set(parse_fault(SAMPLES.get(name, name)))
    async with bench.session.post(bench.proxy.url("a"), json=BATCH) as response:
        assert len(await response.json()) == 3
    await bench.proxy.node("b").clear()
    assert await bench.healthy()


SAMPLES = {"lie": 'lie:eth_chainId="0x99"'}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("http-429", 429),
        ("http-503", 503),
        ("http-401", 401),
        ("limit-503", 503),
        ("status:418", 418),
        ("redirect", 307),
        ("error:nethermind/limit", 503),
        ("html", 200),
    ],
)
async def test_http_faults_have_their_status(bench: Bench, text: str, status: int) -> None:
    await bench.set(parse_fault(text))
    async with bench.post(BATCH, allow_redirects=False) as response:
        assert response.status == status


@pytest.mark.parametrize("text", ["http-429:30", "http-503:30", "status:429/30"])
async def test_retry_after_is_sent_when_asked_for(bench: Bench, text: str) -> None:
    await bench.set(parse_fault(text))
    async with bench.post(BATCH) as response:
        assert response.headers["Retry-After"] == "30"


async def test_retry_after_is_absent_unless_asked_for(bench: Bench) -> None:
    await bench.set(parse_fault("http-429"))
    async with bench.post(BATCH) as response:
        assert "Retry-After" not in response.headers


async def test_nethermind_says_its_limit_in_a_503_with_a_json_error(bench: Bench) -> None:
    await bench.set(parse_fault("limit-503"))
    assert (await bench.read(BATCH[0]))["error"]["code"] == -32005


async def test_a_hung_node_takes_the_request_and_never_answers(bench: Bench) -> None:
    await bench.set(Hang())
    with pytest.raises(TimeoutError):
        await bench.read(timeout=aiohttp.ClientTimeout(total=0.2))


async def test_a_reset_is_a_tcp_reset(bench: Bench) -> None:
    await bench.set(Reset())
    port = int(bench.proxy.url("b").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_refused_node_refuses_connections_and_comes_back_on_its_port(bench: Bench) -> None:
    await bench.set(Refused())
    url = bench.proxy.url("b")
    with pytest.raises(aiohttp.ClientConnectorError):
        await bench.read()
    await bench.set()
    assert bench.proxy.url("b") == url
    assert await bench.healthy()


async def test_latency_comes_before_the_right_answer(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    await bench.set(Latency(delay_ns=50_000_000))
    before = loop.time()
    assert len(await bench.read()) == 3
    assert loop.time() - before >= 0.05


async def test_a_drip_is_complete_in_the_end_and_too_slow_for_a_deadline(bench: Bench) -> None:
    await bench.set(SlowDrip(pause_ns=1_000_000))
    assert (await bench.read(BATCH[0]))["result"] == hex(bench.chain.spec.chain_id)
    await bench.set(SlowDrip(pause_ns=100_000_000))
    # Every read gets something within the read timeout; only a deadline for the whole catches it.
    with pytest.raises(TimeoutError):
        await bench.read(timeout=aiohttp.ClientTimeout(total=0.5, sock_read=0.4))


async def test_a_truncated_body_ends_before_its_announced_length(bench: Bench) -> None:
    await bench.set(Truncated())
    with pytest.raises(aiohttp.ClientPayloadError):
        await bench.read()


async def test_an_endless_body_is_still_coming_after_megabytes(bench: Bench) -> None:
    await bench.set(Endless())
    got = 0
    async with bench.post(BATCH) as response:
        async for chunk in response.content.iter_chunked(65_536):
            got += len(chunk)
            if got > 8 * 2**20:
                break
    assert got > 8 * 2**20
    assert len(asyncio.all_tasks()) < 30


async def test_a_compressed_body_is_the_right_answer(bench: Bench) -> None:
    await bench.set(Gzip())
    async with bench.post(BATCH) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(await response.json()) == 3


async def test_a_gzip_bomb_is_small_on_the_wire_and_huge_unpacked(bench: Bench) -> None:
    await bench.set(GzipBomb())
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(bench.proxy.url("b"), json=BATCH) as response,
    ):
        packed = await response.read()
    assert len(packed) < 2**20
    # RFC 1952: the last four bytes of a member are its length; each member here is one megabyte.
    assert struct.unpack("<I", packed[-4:]) == (2**20,)


@pytest.mark.parametrize(("text", "why"), [("malformed", "json"), ("html", "json"), ("not-an-answer:[17]", "shape")])
async def test_bodies_that_are_no_answer(bench: Bench, text: str, why: str) -> None:
    await bench.set(parse_fault(text))
    if why == "json":
        with pytest.raises(orjson.JSONDecodeError):
            await bench.read()
    else:
        assert await bench.read() == [17]


async def test_secrets_in_a_request_come_back_in_the_error(bench: Bench) -> None:
    for status in (200, 401):
        await bench.set(EchoSecrets(status=status))
        headers = {"Authorization": "Bearer hunter2hunter2"}
        answers = await bench.read(path="/v3/key-of-mine?token=other-key", headers=headers)
        for canary in ("key-of-mine", "other-key", "hunter2hunter2"):
            assert canary in answers[0]["error"]["message"]


@pytest.mark.parametrize(
    ("client", "as_list", "code"),
    [("geth", True, -32600), ("besu", False, -32005), ("erigon", False, -32000), ("nethermind", False, -32005)],
)
async def test_batches_are_refused_in_the_shape_of_each_client(
    bench: Bench, client: str, *, as_list: bool, code: int
) -> None:
    await bench.set(BatchRefused(client=client, limit=2))
    refused = await bench.read()
    assert isinstance(refused, list) == as_list
    answer = refused[0] if as_list else refused
    assert answer["error"]["code"] == code
    assert (answer["id"] is None) != as_list
    assert len(await bench.read(BATCH[:2])) == 2
    assert (await bench.read(BATCH[0]))["result"]


async def test_a_batch_may_be_refused_by_dropping_the_connection(bench: Bench) -> None:
    await bench.set(BatchRefused(client="drop"))
    with pytest.raises(aiohttp.ClientError):
        await bench.read()
    assert (await bench.read(BATCH[0]))["result"]


async def test_an_upstream_that_is_away_is_a_502_without_its_url() -> None:
    async with FaultProxy({"x": "http://127.0.0.1:9/secret-path-of-mine"}) as proxy:
        for fault in ([], [parse_fault("stale")]):
            await proxy.node("x").set(*fault)
            async with aiohttp.ClientSession() as session, session.post(proxy.url("x"), json=BATCH) as response:
                assert response.status == 502
                assert "secret-path" not in await response.text()


async def test_a_fault_with_a_chance_strikes_the_same_requests_for_the_same_seed() -> None:
    async def strokes(seed: int) -> list[bool]:
        chain = SimChain(ManualClock())
        async with FaultProxy({"n": SimNode(chain)}, seed=seed) as proxy:
            await proxy.node("n").set(parse_fault("http-503@0.5"))
            return [(await proxy.node("n").exchange(orjson.dumps(BATCH))).status == 503 for _ in range(40)]

    first = await strokes(5)
    assert first == await strokes(5)
    assert first != await strokes(6)
    assert 5 < sum(first) < 35


@pytest.mark.parametrize(
    "text", ["nonsense", "stale:-1", "hang:3", "error:geth/nope", "latency:5", "hang@2", "hang@1.5"]
)
def test_a_fault_that_cannot_be_read_says_where_the_list_is(text: str) -> None:
    with pytest.raises(UsageError, match="tocsin chaos faults"):
        parse_fault(text)


def test_another_upstream_is_never_printed_whole() -> None:
    fault = parse_fault("forked:http://user:password1@other.example:8545/api-key-1@0.5")
    assert fault.chance == 0.5
    assert str(fault) == "forked:http://other.example:8545@0.5"


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"lie"}))
def test_a_fault_prints_as_what_it_is_read_from(name: str) -> None:
    fault = parse_fault(name)
    assert parse_fault(str(fault)) == fault
    assert parse_fault(f"{fault}@0.25").chance == 0.25


# -- websocket


@contextlib.asynccontextmanager
async def subscribed(bench: Bench) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with bench.session.ws_connect(bench.proxy.ws_url("b")) as socket:
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
        await socket.send_str(orjson.dumps(request).decode())
        assert "result" in orjson.loads((await socket.receive()).data)
        yield socket


async def announced(bench: Bench, socket: aiohttp.ClientWebSocketResponse, blocks: int) -> list[int]:
    """Let blocks come one by one, then the answer to a call as an end mark; return the heights announced before it."""
    for _ in range(blocks):
        bench.clock.advance(s=12)
        await asyncio.sleep(0.12)
    await socket.send_str(orjson.dumps(BATCH[0]).decode())
    heights: list[int] = []
    while True:
        message = orjson.loads((await socket.receive()).data)
        if "method" not in message:
            return heights
        heights.append(int(message["params"]["result"]["number"], 16))


async def test_announcements_pass_through(bench: Bench) -> None:
    async with subscribed(bench) as socket:
        assert await announced(bench, socket, 3) == [81, 82, 83]


async def test_a_silent_websocket_lives_but_announces_nothing(bench: Bench) -> None:
    async with subscribed(bench) as socket:
        await bench.set(WsSilent())
        assert await announced(bench, socket, 3) == []
        await bench.set()
        assert await announced(bench, socket, 1) == [84]


async def test_gaps_leave_out_every_nth_announcement(bench: Bench) -> None:
    async with subscribed(bench) as socket:
        await bench.set(WsGaps(every=2))
        assert await announced(bench, socket, 4) == [81, 83]


async def test_a_stale_node_announces_nothing_new_and_a_regressed_one_its_own_heads(bench: Bench) -> None:
    async with subscribed(bench) as socket:
        await bench.set(parse_fault("stale"))
        assert await announced(bench, socket, 3) == []
        await bench.set(parse_fault("regress:5"))
        assert await announced(bench, socket, 2) == [79, 80]


@pytest.mark.parametrize("fault", [WsRefused(), Refused()], ids=str)
async def test_open_websockets_end_when_they_are_refused(bench: Bench, fault: Fault) -> None:
    async with subscribed(bench) as socket:
        await bench.set(fault)
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    with pytest.raises((aiohttp.WSServerHandshakeError, aiohttp.ClientConnectorError)):
        await bench.session.ws_connect(bench.proxy.ws_url("b"))


async def test_calls_over_a_websocket_are_answered_with_what_is_wrong_but_never_compressed(bench: Bench) -> None:
    await bench.set(Gzip(), parse_fault("wrong-chain:56"))
    async with bench.session.ws_connect(bench.proxy.ws_url("b")) as socket:
        await socket.send_str(orjson.dumps(BATCH[0]).decode())
        assert orjson.loads((await socket.receive()).data)["result"] == "0x38"
