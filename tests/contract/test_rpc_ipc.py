"""JSON-RPC over a unix socket, as geth (newline) and reth (back to back) speak it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.rpcserver import answer, endpoint, engine_clock

from tocsin.clock import SystemClock
from tocsin.model.observation import CHAIN_ID, LATEST, SYNCING, FaultKind
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session

CALLS = (CHAIN_ID, LATEST, SYNCING)


class Socket:
    """A node's ipc socket; `reply` turns a request into chunks to write, None hangs up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self.reply = lambda body: [answer(body) + b"\n"]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                body = await reader.readuntil(b"\n")
                chunks = self.reply(body)
                if chunks is None:
                    break
                for chunk in chunks:
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(0.002)
        writer.transport.abort()


@asynccontextmanager
async def ipc(tmp_path: Path, **changes: Any) -> AsyncIterator[tuple[Socket, Session]]:
    path = tmp_path / "geth.ipc"
    node = Socket(path)
    server = await asyncio.start_unix_server(node.connected, path)
    session = Session(endpoint(f"ipc://{path}", **changes), clock=engine_clock(), resolver=Resolver(SystemClock()))
    try:
        yield node, session
    finally:
        await session.close()
        server.close()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "frame",
    [
        lambda body: [answer(body) + b"\n"],
        lambda body: [answer(body)],
        lambda body: [b" \r\n" + answer(body)[:20], answer(body)[20:]],
        lambda body: [bytes([byte]) for byte in answer(body)[:40]] + [answer(body)[40:]],
        lambda body: [json.dumps(json.loads(answer(body)), indent=1).replace("[", "[\n").encode()],
    ],
    ids=["geth", "reth", "halves", "bytes", "pretty"],
)
async def test_an_answer_ends_where_its_value_ends(tmp_path: Path, frame: Callable[[bytes], list[bytes]]) -> None:
    async with ipc(tmp_path) as (node, session):
        node.reply = frame
        for _ in range(3):
            made = await session.ask(CALLS)
            assert made.fault is None
            assert [part.call for part in made.parts] == list(CALLS)
        assert node.connections == 1


async def test_asks_at_a_time_have_a_connection_each_and_never_mix_answers(tmp_path: Path) -> None:
    async with ipc(tmp_path, concurrency=3) as (node, session):
        plans = [CALLS, (CHAIN_ID,), (SYNCING,), (SYNCING, CHAIN_ID)] * 3
        made = await asyncio.gather(*(session.ask(plan) for plan in plans))
        assert all([part.call for part in one.parts] == list(plan) for one, plan in zip(made, plans, strict=True))
        assert all(
            one.parts[-1].result == b"false" for one, plan in zip(made, plans, strict=True) if plan[-1] == SYNCING
        )
        assert node.connections <= 3


async def test_a_late_answer_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    async with ipc(tmp_path) as (node, session):
        node.reply = lambda body: [b""] * 80 + [answer(body)]
        assert (await session.ask((CHAIN_ID,), timeout_ns=100_000_000)).fault.kind is FaultKind.TIMEOUT
        node.reply = lambda body: [answer(body)]
        made = await session.ask((SYNCING,))
        assert made.parts[0].result == b"false"
        assert node.connections == 2


async def test_it_reconnects_after_the_node_restarted(tmp_path: Path) -> None:
    async with ipc(tmp_path) as (node, session):
        assert (await session.ask(CALLS)).fault is None
        node.reply = lambda _: None
        assert (await session.ask(CALLS)).fault.kind is FaultKind.RESET
        node.reply = lambda body: [answer(body)]
        assert (await session.ask(CALLS)).fault is None


@pytest.mark.parametrize(
    ("chunks", "kind"),
    [
        ([b"hello\n"], FaultKind.NOT_JSON),
        ([b'[{"jsonrpc": }]'], FaultKind.NOT_JSON),
        ([b"[" + b'"x",' * 100_000], FaultKind.TOO_LARGE),
        ([b"[1,2"], FaultKind.TIMEOUT),
    ],
    ids=["text", "broken", "endless", "unfinished"],
)
async def test_garbage_on_the_socket_is_a_fault_and_the_next_ask_is_clean(
    tmp_path: Path, chunks: list[bytes], kind: FaultKind
) -> None:
    async with ipc(tmp_path, max_body=100_000) as (node, session):
        node.reply = lambda _: chunks
        patience_ns = 300_000_000 if kind is FaultKind.TIMEOUT else None
        assert (await session.ask(CALLS, timeout_ns=patience_ns)).fault.kind is kind
        node.reply = lambda body: [answer(body)]
        assert (await session.ask(CALLS)).fault is None


async def test_a_path_that_no_file_can_have_is_refused() -> None:
    session = Session(endpoint("ipc:///run/geth%00.ipc"), clock=engine_clock(), resolver=Resolver(SystemClock()))
    fault = (await session.ask(CALLS)).fault
    assert fault is not None
    assert fault.kind is FaultKind.REFUSED


async def test_no_socket_file_is_refused_and_a_cut_answer_is_truncated(tmp_path: Path) -> None:
    async with ipc(tmp_path) as (node, session):
        node.path.unlink()
        assert (await session.ask(CALLS)).fault.kind is FaultKind.REFUSED
