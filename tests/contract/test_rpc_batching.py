"""What a node takes in one batch is learned from what it refuses, whichever way it says no."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.rpcserver import Behaviour, Request, answer, endpoint, engine_clock, http, serving

from tocsin.clock import SystemClock
from tocsin.model.observation import CHAIN_ID, FINALIZED, GENESIS, LATEST, SAFE, SYNCING, FaultKind
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session

CALLS = (CHAIN_ID, LATEST, SAFE, FINALIZED, SYNCING, GENESIS)


@asynccontextmanager
async def session_to(node: Any) -> AsyncIterator[Session]:
    session = Session(endpoint(node.url), clock=engine_clock(), resolver=Resolver(SystemClock()))
    try:
        yield session
    finally:
        await session.close()


def sizes(node: Any) -> list[int]:
    asked = [json.loads(request.body) for request in node.requests]
    return [len(calls) if isinstance(calls, list) else 1 for calls in asked]


def refusing_above(limit: int, refuse: Callable[..., Awaitable[None]]) -> Behaviour:
    """A node that takes batches up to a limit and refuses longer ones in its own way."""

    async def behaviour(request: Request) -> None:
        calls = json.loads(request.body)
        if isinstance(calls, list) and len(calls) > limit:
            await refuse(request, calls)
        else:
            request.writer.write(http(answer(request.body)))

    return behaviour


async def like_geth(request: Request, calls: list[dict[str, Any]]) -> None:
    error = {"jsonrpc": "2.0", "id": calls[0]["id"], "error": {"code": -32600, "message": "batch too large"}}
    request.writer.write(http(json.dumps([error]).encode()))


async def like_erigon(request: Request, calls: list[dict[str, Any]]) -> None:
    message = f"batch limit 3 exceeded (can increase by --rpc.batch.limit). Requested batch of size: {len(calls)}"
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": message}}
    request.writer.write(http(json.dumps(error).encode()))


async def like_besu(request: Request, _: list[Any]) -> None:
    error = {"code": -32005, "message": "Number of requests exceeds max batch size"}
    request.writer.write(http(json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()))


async def each_call(request: Request, calls: list[dict[str, Any]]) -> None:
    error = {"code": -32003, "message": "response too large"}
    body = [{"jsonrpc": "2.0", "id": call["id"], "error": error} for call in calls]
    request.writer.write(http(json.dumps(body).encode()))


async def by_status(request: Request, _: list[Any]) -> None:
    request.writer.write(http(b"request entity too large", "413 Request Entity Too Large"))


async def by_bad_request(request: Request, _: list[Any]) -> None:
    request.writer.write(http(b'{"error":"cannot unmarshal array"}', "400 Bad Request"))


async def by_hanging_up(request: Request, _: list[Any]) -> None:
    request.writer.transport.abort()


async def by_invalid_request(request: Request, _: list[Any]) -> None:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Invalid Request"}}
    request.writer.write(http(json.dumps(error).encode()))


REFUSALS = (like_geth, like_erigon, like_besu, each_call, by_status, by_bad_request, by_hanging_up, by_invalid_request)


@pytest.mark.parametrize("refuse", REFUSALS, ids=lambda refuse: refuse.__name__)
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_refused_batch_is_halved_within_the_ask_and_the_length_that_fits_is_remembered(
    refuse: Callable[..., Awaitable[None]], limit: int
) -> None:
    async with serving(refusing_above(limit, refuse)) as node, session_to(node) as session:
        first = await session.ask(CALLS)
        assert first.fault is None
        assert [part.call for part in first.parts] == list(CALLS)
        assert all(part.result is not None for part in first.parts)
        learning = len(node.requests)
        second = await session.ask(CALLS)
        assert second.parts == first.parts
        assert max(sizes(node)[learning:]) == limit == session.batch_limit.size


async def test_a_node_that_hangs_up_on_everything_is_a_reset_and_teaches_nothing() -> None:
    async def hang_up(request: Request) -> None:
        request.writer.transport.abort()

    async with serving(hang_up) as node, session_to(node) as session:
        faults = [(await session.ask(CALLS)).fault.kind for _ in range(6)]
        assert set(faults) == {FaultKind.RESET}
        assert session.batch_limit.size == 20
        # one search for a smaller batch, then ever fewer
        assert sizes(node).count(6) == 6
        assert len(node.requests) < 6 + 3 * 10


async def test_a_batch_that_once_worked_is_not_suspected_when_the_connection_drops() -> None:
    async def hang_up(request: Request) -> None:
        request.writer.transport.abort()

    async with serving() as node, session_to(node) as session:
        assert (await session.ask(CALLS)).fault is None
        node.behaviour = hang_up
        assert (await session.ask(CALLS)).fault.kind is FaultKind.RESET
        assert sizes(node) == [6, 6]
