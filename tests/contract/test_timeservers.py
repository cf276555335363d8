"""Time servers on real sockets: what they say, what they may not make us believe, and what they ask for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.timeserver import TimeServer, serving_time

from tocsin.clock import MS, NS, SystemClock
from tocsin.engine.timesources import agree_on_time
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.timeserver import EVERY_NS, TimeServers, ask
from tocsin.testing import ManualClock
from tocsin.wire import sntp

SLACK_NS = 500 * MS
"""What a machine that runs tests may add to the way of a packet."""


@asynccontextmanager
async def resolving() -> AsyncIterator[Resolver]:
    resolver = Resolver(SystemClock())
    try:
        yield resolver
    finally:
        await resolver.close()


async def answer_of(server: TimeServer, **changes: float) -> sntp.Time | sntp.Refusal:
    async with resolving() as resolver, serving_time(server) as (where,):
        return await ask(where, clock=SystemClock(), resolver=resolver, timeout_s=changes.get("timeout_s", 20))


@pytest.mark.parametrize("ahead_s", [-5000, -3, 0, 3, 10**6])
async def test_the_offset_of_a_server_is_found(ahead_s: int) -> None:
    said = await answer_of(TimeServer(ahead_ns=ahead_s * NS))
    assert isinstance(said, sntp.Time)
    assert abs(said.offset_ns - ahead_s * NS) <= said.distance_ns + MS < SLACK_NS


async def test_forged_answers_are_passed_over() -> None:
    said = await answer_of(TimeServer(ahead_ns=7 * NS, forged=50))
    assert isinstance(said, sntp.Time)


@pytest.mark.parametrize("changes", [{"silent": True}, {"cut": 47}, {"mode": 3}])
async def test_what_is_no_answer_is_waited_out(changes: dict[str, object]) -> None:
    said = await answer_of(TimeServer(**changes), timeout_s=0.2)  # type: ignore[arg-type]
    assert isinstance(said, sntp.Refusal)
    assert "no answer within" in said.reason


async def test_a_closed_port_and_a_name_that_does_not_exist_are_said() -> None:
    async with resolving() as resolver:
        for where in ("127.0.0.1:9", "name.invalid:123"):
            said = await ask(where, clock=SystemClock(), resolver=resolver, timeout_s=20)
            assert isinstance(said, sntp.Refusal)
            assert "cannot be asked" in said.reason


async def test_each_request_has_a_number_of_its_own() -> None:
    server = TimeServer()
    async with resolving() as resolver, serving_time(server) as (where,):
        for _ in range(3):
            await ask(where, clock=SystemClock(), resolver=resolver)
    assert len({asked[40:] for asked in server.asked}) == 3


async def test_servers_are_asked_once_a_minute_and_stand_with_what_they_said() -> None:
    clock, servers = ManualClock(), [TimeServer(), TimeServer(ahead_ns=9 * NS), TimeServer()]
    async with resolving() as resolver, serving_time(*servers) as where:
        asking = TimeServers(clock, resolver, timeout_s=20)
        first = await asking.sample(where)
        assert await asking.sample(where) == ()
        clock.advance(ns=EVERY_NS)
        second = await asking.sample(where)
    assert [one.server for one in first] == list(where)
    assert [one.server for one in second] == list(where)
    assert [len(server.asked) for server in servers] == [2, 2, 2]


async def test_a_falseticker_among_three_is_found() -> None:
    servers = [TimeServer(), TimeServer(ahead_ns=9 * NS), TimeServer()]
    async with resolving() as resolver, serving_time(*servers) as where:
        verdict = agree_on_time(await TimeServers(SystemClock(), resolver, timeout_s=20).sample(where))
    assert verdict.offset_ns is not None
    assert abs(verdict.offset_ns) < SLACK_NS
    assert verdict.false == (where[1],)


async def test_a_kiss_of_death_is_obeyed_and_rate_is_heeded() -> None:
    clock, denying, hasty = ManualClock(), TimeServer(stratum=0, refid=b"DENY"), TimeServer(stratum=0, refid=b"RATE")
    async with resolving() as resolver, serving_time(denying, hasty) as where:
        asking = TimeServers(clock, resolver, timeout_s=20)
        counts = []
        for _ in range(12):
            samples = await asking.sample(where)
            assert all(one.problem for one in samples)
            counts.append((len(denying.asked), len(hasty.asked)))
            clock.advance(ns=EVERY_NS)
    assert counts[-1][0] == 1
    assert counts[-1][1] == 3  # after two, then after four rounds
    await asyncio.sleep(0)
