"""A price gateway on a real socket: what is asked, what of its answer counts, and what each of its faults becomes."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from tests.support.rpcserver import (
    Behaviour,
    Node,
    Request,
    base_clock,
    endpoint,
    engine_clock,
    http,
    saying,
    serving,
    virtual,
)

from tocsin.clock import MS, NS
from tocsin.model.event import Event, GatewayPolled
from tocsin.model.observation import Fault, FaultKind
from tocsin.rpc.gateway import GatewayPlan, GatewayProber, GatewaySession
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.resolver import Resolver
from tocsin.secret import Secret
from tocsin.wire.quote import LARGEST, Price

PLAN = GatewayPlan(poll_ns=10 * NS, price="data.0.last", time="data.0.ts")
BODY = b'{"data": [{"last": 2297.50, "ts": 1706558123}]}'
PRICE = Price("2297.5", 1_706_558_123 * NS)


@asynccontextmanager
async def asking(behaviour: Behaviour, path: str = "", **changes: Any) -> AsyncIterator[tuple[Node, GatewaySession]]:
    plan = changes.pop("plan", PLAN)
    resolver = Resolver(base_clock())
    async with serving(behaviour) as node:
        session = GatewaySession(endpoint(node.url + path, **changes), plan, clock=engine_clock(), resolver=resolver)
        try:
            yield node, session
        finally:
            await session.close()
            await resolver.close()
            await asyncio.sleep(0)


async def asked(behaviour: Behaviour, **changes: Any) -> Price | Fault:
    async with asking(behaviour, **changes) as (_, session):
        return await session.ask()


async def test_the_price_is_asked_for_where_the_url_says_with_its_query_and_its_headers() -> None:
    async with asking(saying(http(BODY)), "/v1/ticker?pair=ETHUSD", headers=(("X-Key", Secret("k")),)) as (node, one):
        assert await one.ask() == PRICE
        assert await one.ask() == PRICE
    [first, second] = [request.head for request in node.requests]
    assert first.startswith("GET /v1/ticker?pair=ETHUSD HTTP/1.1\r\n")
    assert "X-Key: k\r\n" in first
    assert first == second
    assert node.connections == 1


async def hang(_: Request) -> None:
    await asyncio.sleep(3600)


async def drip(request: Request) -> None:
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        request.writer.write(b" ")
        await asyncio.sleep(1)


async def endless(request: Request) -> None:
    request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not request.writer.is_closing():
        request.writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await request.writer.drain()


async def hang_up(request: Request) -> None:
    request.writer.transport.abort()


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (saying(http(b"<html>busy</html>")), FaultKind.NOT_JSON),
        (saying(http(b'{"data": []}')), FaultKind.MALFORMED),
        (saying(http(b"", "503 Service Unavailable")), FaultKind.HTTP_STATUS),
        (saying(http(b"", "302 Found", Location="http://127.0.0.1:1/")), FaultKind.HTTP_STATUS),
        (saying(http(b"no", "401 Unauthorized")), FaultKind.AUTH),
        (saying(b"nonsense\r\n\r\n"), FaultKind.NOT_JSON),
        (hang_up, FaultKind.RESET),
        (endless, FaultKind.TOO_LARGE),
        (saying(http(gzip.compress(b" " * (LARGEST + 1)), Content_Encoding="gzip")), FaultKind.TOO_LARGE),
    ],
)
async def test_each_way_not_to_give_a_price_is_a_fault_of_its_kind(behaviour: Behaviour, kind: FaultKind) -> None:
    found = await asked(behaviour)
    assert isinstance(found, Fault)
    assert found.kind is kind


@pytest.mark.parametrize(("behaviour", "said"), [(hang, "no answer"), (drip, "the answer was not complete")])
def test_a_poll_ends_at_its_deadline(behaviour: Behaviour, said: str) -> None:
    @virtual
    async def test() -> None:
        found = await asked(behaviour, timeout_ns=5 * NS)
        assert isinstance(found, Fault)
        assert (found.kind, found.detail) == (FaultKind.TIMEOUT, f"{said} after 5000 ms")

    test()


async def test_who_is_not_there_is_refused() -> None:
    async with serving() as node:
        url = node.url
    resolver = Resolver(base_clock())
    session = GatewaySession(endpoint(url), PLAN, clock=engine_clock(), resolver=resolver)
    found = await session.ask()
    await session.close()
    await resolver.close()
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.REFUSED


@virtual
async def test_a_gateway_that_asks_to_be_left_alone_is() -> None:
    async with asking(saying(http(b"", "429 Too Many Requests", Retry_After="30"))) as (node, session):
        await session.ask()
        for _ in range(5):
            found = await session.ask()
            assert isinstance(found, Fault)
            assert found.kind is FaultKind.RATE_LIMITED
        assert len(node.requests) == 1
        await asyncio.sleep(31)
        await session.ask()
        assert len(node.requests) == 2


async def test_no_secret_that_an_answer_repeats_stands_in_its_fault() -> None:
    async def echo(request: Request) -> None:
        line = request.head.splitlines()[0].split()[1]
        request.writer.write(http(f"no price for {line} and s3cr3t-header".encode(), "400 Bad Request"))

    headers = (("X-Key", Secret("s3cr3t-header")),)
    async with asking(echo, "/v1/s3cr3t-path/price?key=s3cr3t-query", headers=headers) as (_, session):
        found = await session.ask()
    assert isinstance(found, Fault)
    assert "s3cr3t" not in found.detail


@virtual
async def test_it_is_polled_in_its_pace_and_every_poll_is_an_event() -> None:
    events: list[Event] = []
    answers = [http(BODY), http(b"{}"), http(BODY)]

    async def turns(request: Request) -> None:
        request.writer.write(answers[(len(events)) % 3])

    async with asking(turns) as (_, session):
        clock = engine_clock()
        lag = LoopLag(clock)
        prober = GatewayProber(session, clock=clock, lag=lag)
        task = asyncio.create_task(prober.run(events.append))
        await asyncio.sleep(35)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    polls = [event for event in events if isinstance(event, GatewayPolled)]
    assert [poll.poll for poll in polls] == list(range(1, len(polls) + 1))
    assert 3 <= len(polls) <= 5
    assert [(poll.price, poll.price_ns) for poll in polls[:3]] == [
        ("2297.5", PRICE.at_ns),
        ("", None),
        ("2297.5", PRICE.at_ns),
    ]
    assert [poll.fault is None for poll in polls[:3]] == [True, False, True]
    gaps = {round((after.started_ns - before.started_ns) / MS) for before, after in pairwise(polls[1:])}
    assert gaps <= set(range(9_990, 10_011))


async def test_a_price_out_of_its_bounds_is_malformed() -> None:
    found = await asked(saying(http(BODY)), plan=replace(PLAN, high="2000"))
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.MALFORMED
