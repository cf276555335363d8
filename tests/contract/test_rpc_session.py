"""Every fault of a node on a real socket becomes the fault that names it, within the deadline, without an exception."""

import asyncio
import gzip
import json
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from tests.support.rpcserver import (
    BLOCK,
    Behaviour,
    Request,
    answer,
    endpoint,
    engine_clock,
    healthy,
    http,
    saying,
    serving,
)

from tocsin.clock import SystemClock
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.observation import CHAIN_ID, LATEST, SYNCING, FaultKind, by_hash, by_number, run_of
from tocsin.rpc.channel import Progress, Reply
from tocsin.rpc.faults import fault_of
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.secret import Secret, SecretUrl

CALLS = (CHAIN_ID, LATEST)


@asynccontextmanager
async def session_to(url: str, **changes: Any) -> AsyncIterator[Session]:
    resolver = Resolver(SystemClock())
    session = Session(endpoint(url, **changes), clock=engine_clock(), resolver=resolver)
    try:
        yield session
    finally:
        await session.close()
        await resolver.close()
        await asyncio.sleep(0)


async def fault_from(behaviour: Behaviour, calls: tuple[str, ...] = CALLS, **changes: Any) -> Any:
    async with serving(behaviour) as node, session_to(node.url, **changes) as session:
        answer = await session.ask(calls)
        assert answer.fault is None or answer.parts == ()
        return answer.fault


async def hang(_: Request) -> None:
    await asyncio.sleep(30)


async def reset(request: Request) -> None:
    raw = request.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    request.writer.transport.abort()


async def hang_up(request: Request) -> None:
    request.writer.transport.abort()


async def drip(request: Request) -> None:
    for byte in http(answer(request.body)):
        request.writer.write(bytes([byte]))
        await request.writer.drain()
        await asyncio.sleep(0.02)


async def drip_body(request: Request) -> None:
    whole = http(answer(request.body))
    request.writer.write(whole[:-60])
    for byte in whole[-60:]:
        request.writer.write(bytes([byte]))
        await request.writer.drain()
        await asyncio.sleep(0.02)


async def endless(request: Request) -> None:
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while True:
        request.writer.write(b'{"x":"' + b"x" * 65_536 + b'"},')
        await request.writer.drain()


async def truncated(request: Request) -> None:
    request.writer.write(http(answer(request.body))[:-40])
    await request.writer.drain()
    request.writer.close()


async def truncated_chunk(request: Request) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    request.writer.write(head + b"ff\r\n[1,")
    await request.writer.drain()
    request.writer.close()


def with_ids(*ids: object) -> Behaviour:
    async def behaviour(request: Request) -> None:
        answers = [{"jsonrpc": "2.0", "id": identity, "result": "0x1"} for identity in ids]
        request.writer.write(http(json.dumps(answers).encode()))

    return behaviour


ERROR_429 = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"limit exceeded"}}'
BATCH_OF_ERRORS = json.dumps(
    [{"jsonrpc": "2.0", "id": n, "error": {"code": -32000, "message": "header not found"}} for n in (1, 2)]
).encode()

FAULTS = {
    "hang": (hang, FaultKind.TIMEOUT),
    "reset": (reset, FaultKind.RESET),
    "hang-up": (hang_up, FaultKind.RESET),
    "slow drip of the head": (drip, FaultKind.TIMEOUT),
    "slow drip of the body": (drip_body, FaultKind.TIMEOUT),
    "429": (saying(http(b"slow down", "429 Too Many Requests")), FaultKind.RATE_LIMITED),
    "429 with Retry-After": (saying(http(b"", "429 Too Many Requests", Retry_After="7")), FaultKind.RATE_LIMITED),
    "429 with JSON": (saying(http(ERROR_429, "429 Too Many Requests")), FaultKind.RATE_LIMITED),
    "503": (saying(http(b"unavailable", "503 Service Unavailable")), FaultKind.HTTP_STATUS),
    "503 with -32005": (saying(http(ERROR_429, "503 Service Unavailable")), FaultKind.RATE_LIMITED),
    "200 with -32005": (saying(http(ERROR_429)), FaultKind.RATE_LIMITED),
    "200 with quota text": (saying(http(b"You have reached the quota of your plan")), FaultKind.RATE_LIMITED),
    "401": (saying(http(b"", "401 Unauthorized")), FaultKind.AUTH),
    "403": (saying(http(b"no", "403 Forbidden")), FaultKind.AUTH),
    "403 for a spent quota": (
        saying(http(b"monthly capacity limit exceeded", "403 Forbidden")),
        FaultKind.RATE_LIMITED,
    ),
    "broken JSON": (saying(http(b'[{"jsonrpc":"2.0",')), FaultKind.NOT_JSON),
    "HTML": (
        saying(http(b"<html><title>502 Bad gateway</title></html>", Content_Type="text/html")),
        FaultKind.NOT_JSON,
    ),
    "empty body": (saying(http(b"")), FaultKind.NOT_JSON),
    "JSON that is no answer": (saying(http(b'{"hello":1}')), FaultKind.MALFORMED),
    "a number": (saying(http(b"42")), FaultKind.MALFORMED),
    "truncated body": (truncated, FaultKind.TRUNCATED),
    "truncated chunk": (truncated_chunk, FaultKind.TRUNCATED),
    "foreign ids": (with_ids(7, 8), FaultKind.WRONG_IDS),
    "duplicate ids": (with_ids(1, 1), FaultKind.WRONG_IDS),
    "missing ids": (with_ids(2), FaultKind.WRONG_IDS),
    "ids of none": (with_ids(None, None), FaultKind.WRONG_IDS),
    "ids that are bools": (with_ids(*[True, 2]), FaultKind.WRONG_IDS),
    "endless body": (endless, FaultKind.TOO_LARGE),
    "announced too long": (saying(http(b"[" + b" " * 2_000_000 + b"]")), FaultKind.TOO_LARGE),
    "not gzip": (saying(http(b"plainly no gzip", Content_Encoding="gzip")), FaultKind.MALFORMED),
    "redirect": (saying(http(b"", "301 Moved", Location="http://evil.example/key")), FaultKind.HTTP_STATUS),
    "not HTTP": (saying(b"SSH-2.0-OpenSSH_9.6\r\n"), FaultKind.NOT_JSON),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_of_a_node_is_named(name: str) -> None:
    behaviour, kind = FAULTS[name]
    patience_ns = 300_000_000 if kind is FaultKind.TIMEOUT else 30_000_000_000
    fault = await fault_from(behaviour, max_body=1_000_000, timeout_ns=patience_ns)
    assert fault is not None
    assert (fault.kind, len(fault.detail) <= 300) == (kind, True), fault
    assert "evil" not in fault.detail


async def test_errors_of_single_calls_are_parts_and_no_fault_of_the_transport() -> None:
    async with serving(saying(http(BATCH_OF_ERRORS))) as node, session_to(node.url) as session:
        parts = (await session.ask(CALLS)).parts
    assert [(part.call, part.result, part.error.code) for part in parts] == [
        (CHAIN_ID, None, -32000),
        (LATEST, None, -32000),
    ]


async def test_answers_out_of_order_and_with_string_ids_of_a_wrong_content_type_are_matched() -> None:
    async def shuffled(request: Request) -> None:
        answers = json.loads(answer(request.body))[::-1]
        body = json.dumps([entry | {"id": str(entry["id"])} for entry in answers], indent=2).encode()
        request.writer.write(http(b"\xef\xbb\xbf" + body, Content_Type="text/plain"))

    async with serving(shuffled) as node, session_to(node.url) as session:
        parts = (await session.ask((CHAIN_ID, LATEST, SYNCING))).parts
    assert [part.call for part in parts] == [CHAIN_ID, LATEST, SYNCING]
    assert [part.result for part in parts] == [b'"0x1"', json.dumps(BLOCK, separators=(",", ":")).encode(), b"false"]


async def test_nothing_listening_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with session_to(f"http://127.0.0.1:{free.getsockname()[1]}") as session:
            assert (await session.ask(CALLS)).fault.kind is FaultKind.REFUSED


async def test_no_route_is_unroutable() -> None:
    async with session_to("http://255.255.255.255:8545") as session:
        assert (await session.ask(CALLS)).fault.kind is FaultKind.UNROUTABLE


async def test_a_name_without_an_address_is_a_dns_fault() -> None:
    async with session_to("http://nowhere.invalid:8545") as session:
        assert (await session.ask(CALLS)).fault.kind is FaultKind.DNS


async def test_a_gzip_bomb_is_stopped_at_the_cap_and_never_held_in_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(400)) + packer.flush()
    tracemalloc.start()
    try:
        fault = await fault_from(saying(http(bomb, Content_Encoding="gzip")), max_body=2_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fault.kind is FaultKind.TOO_LARGE
    assert peak < 16_000_000


async def test_gzip_is_understood() -> None:
    async def zipped(request: Request) -> None:
        request.writer.write(http(gzip.compress(answer(request.body)), Content_Encoding="gzip"))

    assert await fault_from(zipped) is None


async def test_a_healthy_node_keeps_its_connection_and_an_unchanged_answer_is_the_same_object() -> None:
    async with serving() as node, session_to(node.url) as session:
        first = await session.ask(CALLS)
        second = await session.ask(CALLS)
        assert first.fault is None
        assert second.parts is first.parts
        assert (node.connections, len(node.requests)) == (1, 2)
        assert first.started_ns <= first.ended_ns <= second.started_ns


async def test_a_changed_answer_is_read_anew() -> None:
    heads = iter(range(100))

    async def moving(request: Request) -> None:
        request.writer.write(http(answer(request.body).replace(b'"0x10"', b'"%#x"' % next(heads))))

    async with serving(moving) as node, session_to(node.url) as session:
        results = [(await session.ask(CALLS)).parts[1].result for _ in range(3)]
    assert len(set(results)) == 3


async def test_a_failed_ask_is_never_sent_again() -> None:
    async with serving(hang_up) as node, session_to(node.url) as session:
        session.batch_limit.answered(20)
        await session.ask(CALLS)
        assert len(node.requests) == 1


async def test_an_ask_recovers_after_each_kind_of_fault() -> None:
    async with serving() as node, session_to(node.url, max_body=1_000_000) as session:
        session.batch_limit.answered(20)
        for name in ("hang", "reset", "truncated body", "endless body", "not HTTP", "HTML", "503"):
            node.behaviour, kind = FAULTS[name]
            patience_ns = 300_000_000 if kind is FaultKind.TIMEOUT else None
            assert (await session.ask(CALLS, timeout_ns=patience_ns)).fault.kind is kind, name
            node.behaviour = healthy
            assert (await session.ask(CALLS)).fault is None, name


async def test_headers_credentials_and_the_path_arrive_and_are_never_shown() -> None:
    async with serving() as node:
        url = f"http://user:hunter22@127.0.0.1:{node.port}/v3/topsecretkey"
        async with session_to(url, headers=(("X-Api-Key", Secret("another-secret")),)) as session:
            assert (await session.ask(CALLS)).fault is None
            head = node.requests[0].head
            assert head.startswith("POST /v3/topsecretkey HTTP/1.1")
            assert "authorization: basic dxnlcjpodw50zxiymg==" in head.lower()
            assert "another-secret" in head

            async def echo(request: Request) -> None:
                text = (request.head + "https://user:hunter22@h/v3/topsecretkey").encode()
                request.writer.write(http(b"<html>" + text + b"</html>", "500 Oops"))

            node.behaviour = echo
            fault = (await session.ask(CALLS)).fault
    assert fault.kind is FaultKind.HTTP_STATUS
    for secret in ("hunter22", "topsecretkey", "another-secret", "dXNlcjpodW50ZXIyMg=="):
        assert secret not in fault.detail


async def test_an_http_proxy_gets_the_request_and_its_own_credentials_and_resolves_the_name() -> None:
    async with serving() as proxy:
        settings = {"proxy": SecretUrl(f"http://me:proxysecret@127.0.0.1:{proxy.port}")}
        async with session_to("http://node.invalid:8545/key123", **settings) as session:
            assert (await session.ask(CALLS)).fault is None
        head = proxy.requests[0].head
        assert head.startswith("POST http://node.invalid:8545/key123 HTTP/1.1")
        assert "proxy-authorization: basic " in head.lower()


async def test_a_proxy_that_refuses_the_tunnel_is_named() -> None:
    async with serving(saying(http(b"", "407 Proxy Authentication Required"))) as proxy:
        settings = {"proxy": SecretUrl(f"http://127.0.0.1:{proxy.port}")}
        async with session_to("https://node.invalid/", **settings) as session:
            fault = (await session.ask(CALLS)).fault
        assert proxy.requests[0].head.startswith("CONNECT node.invalid:443")
    assert (fault.kind, fault.status) == (FaultKind.AUTH, 407)


async def test_ipv6_is_spoken() -> None:
    async with serving(host="::1") as node, session_to(f"http://[::1]:{node.port}") as session:
        assert (await session.ask(CALLS)).fault is None


async def test_a_rate_limited_node_is_left_alone_and_the_fault_says_for_how_long() -> None:
    limited = saying(http(b"", "429 Too Many Requests", Retry_After="9"))
    async with serving(limited) as node, session_to(node.url) as session:
        first = await session.ask(CALLS)
        second = await session.ask(CALLS)
        assert len(node.requests) == 1
    assert first.fault.retry_after_ns == 9_000_000_000
    assert second.fault.kind is FaultKind.RATE_LIMITED
    assert 0 < second.fault.retry_after_ns <= 9_000_000_000


async def test_a_node_out_of_service_is_asked_on_although_it_says_when_to_come_back() -> None:
    away = saying(http(b"", "503 Service Unavailable", Retry_After="900"))
    async with serving(away) as node, session_to(node.url) as session:
        session.batch_limit.answered(20)
        faults = [(await session.ask(CALLS)).fault for _ in range(3)]
        assert len(node.requests) == 3
    assert {(fault.kind, fault.status) for fault in faults} == {(FaultKind.HTTP_STATUS, 503)}


async def test_a_spent_budget_is_not_asked_for() -> None:
    async with serving() as node, session_to(node.url, budget_per_day=24 * 80) as session:
        faults = [(await session.ask(CALLS)).fault for _ in range(41)]
        assert len(node.requests) == 40
    assert next(fault for fault in faults if fault is not None).kind is FaultKind.BUDGET
    assert faults[-1].retry_after_ns > 0


async def test_a_fetch_brings_one_block_by_its_hash() -> None:
    async with serving() as node, session_to(node.url) as session:
        call = by_hash("0x" + "12" * 32)
        fetched = await session.fetch(Fetch(request=5, chain="test", node="n", call=call))
        asked = json.loads(node.requests[0].body)
    assert (asked["method"], asked["params"]) == ("eth_getBlockByHash", ["0x" + "12" * 32, False])
    assert (fetched.request, fetched.call, fetched.fault) == (5, call, None)
    assert fetched.part.result is not None


async def runs_from(behaviour: Behaviour, **changes: Any) -> tuple[Fetched, list[list[str]]]:
    """What a run of four headers brings, and the heights that each request asked for."""
    async with serving(behaviour) as node, session_to(node.url, **changes) as session:
        call = run_of("0x" + "12" * 32, 0x12, 4)
        fetched = await session.fetch(Fetch(request=5, chain="test", node="n", call=call))
        bodies = [json.loads(one.body) for one in node.requests]
    assert (fetched.request, fetched.call) == (5, call)
    listed = [body if isinstance(body, list) else [body] for body in bodies]
    return fetched, [[one["params"][0] for one in body] for body in listed]


async def by_height(request: Request) -> None:
    """Every block is known by its height alone; above 17 there is none."""
    asked = json.loads(request.body)
    one_by_one = asked if isinstance(asked, list) else [asked]
    found = [
        {
            "jsonrpc": "2.0",
            "id": one["id"],
            "result": None if one["params"][0] == "0x12" else {"number": one["params"][0]},
        }
        for one in one_by_one
    ]
    request.writer.write(http(json.dumps(found if isinstance(asked, list) else found[0]).encode()))


async def test_a_run_of_headers_is_one_request_and_comes_highest_first() -> None:
    fetched, asked = await runs_from(by_height)
    assert asked == [["0x12", "0x11", "0x10", "0xf"]]
    assert (fetched.fault, fetched.part) == (None, None)
    assert [part.result for part in fetched.run] == [b"null", *(b'{"number":"%#x"}' % at for at in (17, 16, 15))]
    assert [part.call for part in fetched.run] == [by_number(at) for at in (18, 17, 16, 15)]


async def test_a_run_of_a_node_without_batches_is_asked_for_one_by_one() -> None:
    async def without(request: Request) -> None:
        if request.body.startswith(b"["):
            request.writer.write(http(b"batches are off", "400 Bad Request"))
        else:
            await by_height(request)

    fetched, asked = await runs_from(without)
    assert asked[-4:] == [["0x12"], ["0x11"], ["0x10"], ["0xf"]]
    assert [part.call for part in fetched.run] == [by_number(at) for at in (18, 17, 16, 15)]


async def test_a_run_that_fails_has_a_fault_and_no_headers() -> None:
    fetched, _ = await runs_from(reset)
    assert (fetched.part, fetched.run) == (None, ())
    assert fetched.fault is not None


async def test_a_trial_is_given_up_before_what_links_the_chain() -> None:
    async with serving() as node, session_to(node.url, budget_per_day=24 * 80) as session:
        trial = Fetch(request=1, chain="test", node="n", call="state:5")
        link = Fetch(request=2, chain="test", node="n", call=by_hash("0x" + "12" * 32))
        assert (await session.fetch(trial)).fault is None
        for _ in range(25):
            await session.ask(CALLS[:2])
        assert (await session.fetch(trial)).fault.kind is FaultKind.BUDGET
        assert (await session.fetch(link)).fault is None


async def test_what_nothing_expects_is_a_fault_of_ours_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as node, session_to(node.url) as session:
        failed = [await session.ask(("no such call",)) for _ in range(3)]
        assert (await session.ask(CALLS)).fault is None
        assert len(node.requests) == 1
    for one in failed:
        assert one.parts == ()
        assert one.fault.kind is FaultKind.INTERNAL
        assert "a defect of tocsin, not of the node: ValueError: 'no such call'" in one.fault.detail
    assert len([record for record in caplog.records if record.exc_info]) == 1


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k"),
        TypeError(f"t {SecretUrl('https://h/0123456789abcdef').reveal()}"),
        ValueError("not enough values to unpack"),
        RuntimeError("dictionary changed size during iteration"),
        RecursionError("maximum recursion depth exceeded"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
def test_an_exception_that_no_node_can_cause_blames_none(error: Exception) -> None:
    fault = fault_of(error)
    assert fault.kind is FaultKind.INTERNAL
    assert type(error).__name__ in fault.detail
    assert "0123456789abcdef" not in fault.detail


async def test_a_connection_that_we_closed_under_an_exchange_is_no_defect() -> None:
    async def two_parts(request: Request) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[")
        await asyncio.Event().wait()

    async with serving(two_parts) as node:
        client = aiohttp.ClientSession()
        answer = await client.post(node.url)
        await answer.content.readany()
        await client.close()
        with pytest.raises(RuntimeError) as cut:
            await answer.content.readany()
        with pytest.raises(RuntimeError) as late:
            await client.post(node.url)
        answer.close()
    assert [fault_of(error.value).kind for error in (cut, late)] == [FaultKind.RESET] * 2


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example"])
def test_a_name_that_is_none_is_an_address_that_cannot_be_used(host: str) -> None:
    with pytest.raises(UnicodeError) as said:
        host.encode("idna")
    assert fault_of(said.value).kind is FaultKind.UNROUTABLE
    assert fault_of(aiohttp.InvalidURL("http:/x")).kind is FaultKind.UNROUTABLE


async def test_a_defect_inside_an_exchange_blames_no_node_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        async def post(self, _body: bytes, _progress: Progress) -> Reply:
            raise ValueError("a mistake of ours")

        def hint(self) -> str | None:
            return None

        async def close(self) -> None:
            pass

    where = endpoint("http://127.0.0.1:1")
    session = Session(where, clock=engine_clock(), resolver=Resolver(SystemClock()), channel=Broken())
    faults = [(await session.ask(CALLS)).fault for _ in range(3)]
    assert {fault.kind for fault in faults} == {FaultKind.INTERNAL}
    assert session.batch_limit.size >= len(CALLS), "no defect teaches anything of batches"
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_fetches_always_leave_a_connection_to_the_polls() -> None:
    async with serving(hang) as node, session_to(node.url, concurrency=2) as session, asyncio.TaskGroup() as group:
        effect = Fetch(request=1, chain="test", node="n", call=by_hash("0x" + "12" * 32))
        tasks = [group.create_task(session.fetch(effect)) for _ in range(5)]
        while not node.requests:  # noqa: ASYNC110 - the server has no event
            await asyncio.sleep(0.01)
        node.behaviour = healthy
        assert (await session.ask(CALLS)).fault is None
        for task in tasks:
            task.cancel()
