"""newHeads is a hint: whatever comes down the socket, the subscription lives or is made anew."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Never

import pytest
from aiohttp import WSMsgType, web
from tests.support.rpcserver import base_clock, endpoint, engine_clock, virtual

from tocsin.clock import NS
from tocsin.model.observation import FaultKind
from tocsin.rpc.heads import Heads, read_head
from tocsin.rpc.resolver import Resolver
from tocsin.secret import Secret, SecretUrl


def head(number: int, branch: str = "a", parent: str | None = None) -> dict[str, Any]:
    def name(height: int, which: str) -> str:
        return "0x" + f"{height:x}{which}".rjust(64, "0")

    result = {"number": hex(number), "hash": name(number, branch), "parentHash": name(number - 1, parent or branch)}
    return {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": "0x1", "result": result}}


class WsNode:
    def __init__(self, script: Any) -> None:
        self.script = script
        self.connects = 0
        self.headers = None

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        self.connects += 1
        self.headers = request.headers
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        asked = json.loads((await socket.receive()).data)
        assert (asked["method"], asked["params"]) == ("eth_subscribe", ["newHeads"])
        with suppress(ConnectionError):
            await self.script(self, socket)
        return socket


@asynccontextmanager
async def watching(
    script: Any, *, silence_ns: int | None = 300_000_000, block_time_ns: int = NS, **changes: Any
) -> AsyncIterator[tuple[Any, Heads, list[Any], list[bool]]]:
    node = WsNode(script)
    app = web.Application()
    app.router.add_get("/", node.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    woken, emitted = [], []
    heads = Heads(
        endpoint("http://127.0.0.1:1", ws=SecretUrl(f"ws://127.0.0.1:{port}/"), **changes),
        clock=engine_clock(),
        resolver=Resolver(base_clock()),
        block_time_ns=block_time_ns,
        wake=lambda: woken.append(True),
        first_wait_s=0.02,
        silence_ns=silence_ns,
    )
    task = asyncio.ensure_future(heads.run(emitted.append))
    try:
        yield node, heads, emitted, woken
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await runner.cleanup()


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - polls what has no event
        await asyncio.sleep(0.005)


async def subscribed(socket: web.WebSocketResponse) -> None:
    await socket.send_json({"jsonrpc": "2.0", "id": 1, "result": "0x1"})


async def hold(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


@virtual
async def test_every_new_head_wakes_and_known_ones_do_not() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        await subscribed(socket)
        for number in (10, 11, 11, 12, 10):
            await socket.send_json(head(number))
        await hold(socket)

    async with watching(script) as (_, heads, emitted, woken):
        await until(lambda: heads.stats.heads == 5)
        assert [event.number for event in emitted] == [10, 11, 12]
        assert (len(woken), heads.stats.duplicates, heads.stats.gaps, heads.stats.breaks) == (3, 2, 0, 0)
        assert emitted[0].hash == head(10)["params"]["result"]["hash"]


@virtual
async def test_skipped_heights_and_broken_parents_are_counted() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        for announced in (head(10), head(13), head(14, "b", "a"), head(14, "c", "b"), head(15, "a")):
            await socket.send_json(announced)
        await hold(socket)

    async with watching(script) as (_, heads, emitted, _):
        await until(lambda: heads.stats.heads == 5)
        assert (heads.stats.gaps, heads.stats.breaks, len(emitted)) == (2, 2, 5)


@virtual
async def test_silence_with_the_socket_alive_means_a_new_connection() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        await subscribed(socket)
        await socket.send_json(head(10))
        await hold(socket)

    async with watching(script) as (node, heads, _, _):
        await until(lambda: node.connects >= 3)
        assert heads.stats.fault is None or heads.stats.fault.kind is FaultKind.TIMEOUT


@virtual
@pytest.mark.parametrize(("block_time_s", "silence_s"), [(1, 5), (12, 36)])
async def test_silence_is_three_block_times_and_five_seconds_at_least(block_time_s: int, silence_s: int) -> None:
    connects: list[float] = []

    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        connects.append(asyncio.get_running_loop().time())
        await subscribed(socket)
        await hold(socket)

    async with watching(script, silence_ns=None, block_time_ns=block_time_s * NS):
        await until(lambda: len(connects) == 2)
    assert silence_s <= connects[1] - connects[0] < silence_s + 1


@virtual
async def test_heads_that_keep_coming_keep_the_connection() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        for number in range(1, 21):
            await socket.send_json(head(number))
            await asyncio.sleep(0.2)
        await hold(socket)

    async with watching(script) as (node, heads, _, _):
        await until(lambda: heads.stats.heads == 20)
        assert node.connects == 1


@virtual
async def test_chatter_without_heads_is_silence() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        while True:
            await socket.send_json({"jsonrpc": "2.0", "method": "eth_subscription", "params": {"result": {}}})
            await asyncio.sleep(0.02)

    async with watching(script) as (node, heads, emitted, _):
        await until(lambda: node.connects >= 2)
        assert emitted == []
        assert heads.stats.garbage > 5


@virtual
async def test_garbage_is_survived() -> None:
    garbage = [
        "", "nul", "[]", "[" * 5_000, "42", '{"id":1}', '{"id":1,"result":[]}', "\x00", '{"params":[]}',
        '{"params":{"result":null}}', '{"params":{"result":{"number":1,"hash":"0x","parentHash":[]}}}',
        json.dumps(head(5) | {"params": {"result": {"number": "0x" + "f" * 99, "hash": "0x1", "parentHash": "0x1"}}}),
    ]  # fmt: skip

    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        for text in garbage:
            await socket.send_str(text)
        await socket.send_bytes(b"\xff\xfe")
        await socket.send_json(head(10))
        await hold(socket)

    async with watching(script) as (node, heads, emitted, _):
        await until(lambda: heads.stats.heads == 1)
        assert node.connects == 1
        assert len(emitted) == 1
        assert heads.stats.garbage == len(garbage) + 1 - 2  # two of them look like answers to the subscription


@virtual
async def test_a_message_beyond_the_cap_ends_the_connection_not_the_watch() -> None:
    async def script(node: WsNode, socket: web.WebSocketResponse) -> None:
        if node.connects == 1:
            await socket.send_str('{"x":"' + "x" * 2_000_000 + '"}')
        await socket.send_json(head(10))
        await hold(socket)

    async with watching(script) as (node, _, emitted, _):
        await until(lambda: len(emitted) == 1)
        assert node.connects == 2


@virtual
async def test_a_flood_of_heads_is_cut_down_to_a_few_events() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        for number in range(100, 2_000):
            await socket.send_json(head(number))
        await hold(socket)

    async with watching(script) as (node, heads, emitted, _):
        await until(lambda: heads.stats.fault is not None)
        assert heads.stats.fault.kind is FaultKind.TOO_LARGE
        await until(lambda: node.connects >= 2)
        assert heads.stats.suppressed > 100
        assert len(emitted) <= 20 * node.connects


@virtual
async def test_a_flood_of_bytes_ends_the_connection_though_the_messages_are_few() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        for _ in range(50):
            await socket.send_str("[" + "{}," * 300_000 + "0]")
        await hold(socket)

    async with watching(script) as (node, heads, _, _):
        await until(lambda: heads.stats.fault is not None)
        assert heads.stats.fault.kind is FaultKind.TOO_LARGE
        assert "bytes a second" in heads.stats.fault.detail
        assert heads.stats.garbage < 4 * node.connects


@virtual
@pytest.mark.parametrize("what", ["texts", "pings"])
async def test_a_flood_without_end_is_not_read_to_its_end(what: str) -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        while True:
            for _ in range(100):
                await (socket.send_str("0") if what == "texts" else socket.ping(b"0"))
            await asyncio.sleep(0)

    async with watching(script) as (node, heads, _, _):
        await until(lambda: node.connects >= 3)
        assert heads.stats.fault.kind is FaultKind.TOO_LARGE


@virtual
async def test_a_ping_is_answered() -> None:
    answered = asyncio.Event()

    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        await socket.ping(b"are you there?")
        async for message in socket:
            if message.type is WSMsgType.PONG and message.data == b"are you there?":
                answered.set()

    async with watching(script):
        await answered.wait()


@virtual
async def test_a_node_that_closes_or_is_gone_is_tried_again() -> None:
    async def script(node: WsNode, socket: web.WebSocketResponse) -> None:
        await socket.send_json(head(node.connects))
        await socket.close()

    async with watching(script) as (node, _, emitted, _):
        await until(lambda: len(emitted) == 3)
        assert node.connects >= 3


@virtual
async def test_a_refused_subscription_is_said_and_not_hammered() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        error = {"code": -32601, "message": "the method eth_subscribe does not exist/is not available"}
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "error": error})
        await hold(socket)

    async with watching(script) as (node, heads, _, _):
        await until(lambda: heads.stats.fault is not None)
        await asyncio.sleep(0.2)
        assert node.connects == 1
        assert heads.stats.fault.kind is FaultKind.RPC_ERROR


@virtual
async def test_headers_are_sent_and_handshake_refusals_named() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        await socket.send_json(head(1))
        await hold(socket)

    async with watching(script, headers=(("X-Key", Secret("wssecret")),)) as (node, _, emitted, _):
        await until(lambda: emitted)
        assert node.headers["X-Key"] == "wssecret"
    async with watching(script) as (_, heads, _, _):
        heads._url = heads._url.with_path("/elsewhere")
        await until(lambda: heads.stats.fault is not None and heads.stats.fault.status == 404)


@virtual
async def test_a_mistake_of_the_receiver_is_not_taken_for_one_of_the_node() -> None:
    async def script(_: WsNode, socket: web.WebSocketResponse) -> None:
        await socket.send_json(head(1))
        await hold(socket)

    async with watching(script) as (_, heads, _, _):

        def broken(_: object) -> Never:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await heads.run(broken)


def test_an_endpoint_without_a_websocket_is_refused() -> None:
    with pytest.raises(ValueError, match="no ws URL"):
        Heads(
            endpoint("http://x"),
            clock=engine_clock(),
            resolver=None,
            block_time_ns=1,
            wake=lambda: None,
        )


def test_heights_and_hashes_are_read_strictly() -> None:
    assert read_head(head(10)).number == 10
    for field, value in [
        ("number", "10"),
        ("number", "0x"),
        ("number", "0x00"),
        ("hash", "0xab"),
        ("parentHash", None),
    ]:
        broken = head(10)
        broken["params"]["result"][field] = value
        assert read_head(broken) is None
    assert WSMsgType.TEXT
