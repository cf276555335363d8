"""The prober reports every poll once, in step with the other nodes of its chain, and never retries."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
from tests.support.rpcserver import Request, answer, base_clock, endpoint, engine_clock, http, saying, serving, virtual

from tocsin.clock import MS
from tocsin.model.effect import Pace
from tocsin.model.event import Polled
from tocsin.model.observation import (
    CHAIN_ID,
    FINALIZED,
    GENESIS,
    LATEST,
    NETWORK,
    SAFE,
    SYNCING,
    FaultKind,
    RpcErrorKind,
)
from tocsin.model.question import CLIENT_VERSION, PEERS, TXPOOL
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.prober import PollPlan, Prober
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.testing.loop import VirtualLoop

SLOT = (SAFE, FINALIZED, SYNCING)


class Events:
    def __init__(self) -> None:
        self.got = []
        self._more = asyncio.Event()

    def __call__(self, event: Any) -> None:
        self.got.append(event)
        self._more.set()

    async def until(self, count: int) -> list[Any]:
        while len(self.got) < count:
            self._more.clear()
            await self._more.wait()
        return self.got[:count]


def stall(seconds: float) -> None:
    """Let time pass while the loop does nothing."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.clock.advance(s=seconds)


@asynccontextmanager
async def probing(
    url: str,
    *,
    poll_ms: int = 50,
    slot_ms: int = 150,
    lag: LoopLag | None = None,
    slow: tuple[str, ...] = (),
    slow_ms: int = 300,
    sparse_ms: int = 60_000,
    first: tuple[str, ...] = (GENESIS,),
    **changes: Any,
) -> AsyncIterator[tuple[Prober, Any]]:
    clock = engine_clock()
    session = Session(endpoint(url, **changes), clock=clock, resolver=Resolver(base_clock()))
    plan = PollPlan(
        chain="test",
        node="n",
        poll_ns=poll_ms * MS,
        slot_ns=slot_ms * MS,
        slow_calls=slow,
        slow_ns=slow_ms * MS,
        sparse_ns=sparse_ms * MS,
        first_calls=first,
    )
    prober = Prober(plan, session, clock=clock, lag=lag or LoopLag(clock))
    events = Events()
    task = asyncio.ensure_future(prober.run(events))
    try:
        yield prober, events
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await session.close()


def called(event: Any) -> tuple[str, ...]:
    return tuple(part.call for part in event.parts)


@virtual
async def test_the_first_poll_asks_the_genesis_and_slot_calls_come_once_per_slot() -> None:
    async with serving() as node, probing(node.url) as (_, events):
        polls = await events.until(10)
    assert [event.poll for event in polls] == list(range(1, 11))
    assert called(polls[0]) == (CHAIN_ID, LATEST, *SLOT, GENESIS)
    later = [called(event) for event in polls[1:]]
    assert set(later) <= {(CHAIN_ID, LATEST), (CHAIN_ID, LATEST, *SLOT)}
    slots = {event.started_ns // (150 * MS) for event in polls}
    assert sum(SAFE in called(event) for event in polls) == len(slots)


@virtual
async def test_genesis_is_asked_until_it_is_answered_and_again_after_a_reconnect() -> None:
    async with serving(saying(http(b"", "500 Oops"))) as node, probing(node.url) as (_, events):
        await events.until(2)
        node.behaviour = lambda request: saying(http(answer(request.body)))(request)
        while not events.got[-1].parts:
            await events.until(len(events.got) + 1)
        assert GENESIS in called(events.got[-1])
        polls = len(events.got)

        async def hang_up(request: Request) -> None:
            request.writer.transport.abort()

        node.behaviour = hang_up
        while events.got[-1].fault is None:
            await events.until(len(events.got) + 1)
        node.behaviour = lambda request: saying(http(answer(request.body)))(request)
        while events.got[-1].fault is not None:
            await events.until(len(events.got) + 1)
        assert GENESIS in called(events.got[-1])
        assert len(events.got) > polls


@virtual
async def test_every_failure_is_one_report_and_one_request() -> None:
    async with serving(saying(http(b"", "500 Oops"))) as node, probing(node.url) as (prober, events):
        prober._session.batch_limit.answered(20)
        polls = await events.until(4)
        assert [event.fault.kind for event in polls] == [FaultKind.HTTP_STATUS] * 4
        assert len(node.requests) - len(polls) in (0, 1)


@virtual
async def test_nodes_of_one_chain_are_polled_at_shared_instants() -> None:
    plans = [PollPlan(chain="main", node=f"n{index}", poll_ns=2_000 * MS, slot_ns=12_000 * MS) for index in range(20)]
    shifts = [plan.jitter_ns(seed=7) for plan in plans]
    assert max(shifts) - min(shifts) <= 40 * MS
    assert len(set(shifts)) == 2
    assert shifts == [plan.jitter_ns(seed=7) for plan in plans]


@virtual
async def test_polls_start_on_the_chain_s_instants() -> None:
    async with serving() as node, probing(node.url, poll_ms=80) as (prober, events):
        polls = (await events.until(6))[1:]
        shift = prober._cadence.phase_ns + prober._jitter_ns
    assert all((event.started_ns - shift) % (80 * MS) < MS for event in polls)
    assert [event.started_ns // (80 * MS) for event in polls] == [
        polls[0].started_ns // (80 * MS) + n for n in range(5)
    ]


@virtual
async def test_a_wake_up_polls_early_but_never_more_often_than_the_floor() -> None:
    async with serving() as node, probing(node.url, poll_ms=600) as (prober, events):
        await events.until(1)
        for _ in range(40):
            prober.wake()
            await asyncio.sleep(0.02)
        polls = list(events.got)
    gaps = [later.started_ns - earlier.started_ns for earlier, later in itertools.pairwise(polls)]
    assert min(gaps) == pytest.approx(150 * MS, abs=MS)


@virtual
async def test_a_rate_limited_node_is_reported_at_every_instant_without_being_asked() -> None:
    limited = saying(http(b"", "429 Too Many Requests", Retry_After="60"))
    async with serving(limited) as node, probing(node.url) as (_, events):
        polls = await events.until(4)
        assert len(node.requests) == 1
    assert [event.fault.kind for event in polls] == [FaultKind.RATE_LIMITED] * 4
    assert polls[0].fault.retry_after_ns >= polls[-1].fault.retry_after_ns > 0


@virtual
async def test_a_hung_node_is_reported_as_often_as_its_timeout_allows() -> None:
    async def hang(_: Request) -> None:
        await asyncio.sleep(30)

    async with serving(hang) as node, probing(node.url, poll_ms=100, timeout_ns=100 * MS) as (_, events):
        polls = await events.until(5)
    assert {event.fault.kind for event in polls} == {FaultKind.TIMEOUT}
    gaps = [later.t_ns - earlier.t_ns for earlier, later in pairwise(polls[1:])]
    assert max(gaps) <= 110 * MS


@virtual
async def test_our_own_stall_is_marked_and_healthy_polls_are_not() -> None:
    clock = engine_clock()
    lag = LoopLag(clock)
    guard = asyncio.ensure_future(lag.run())
    try:
        async with serving() as node, probing(node.url, lag=lag, timeout_ns=400 * MS) as (_, events):

            async def stalling(request: Request) -> None:
                stall(0.3)  # our own loop: the server lives in it
                request.writer.write(http(answer(request.body)))

            quiet = await events.until(3)
            node.behaviour = stalling
            polls = (await events.until(len(events.got) + 5))[-5:]
            assert any(event.stalled for event in polls)
            assert lag.worst_ns() >= 200 * MS
            assert lag.worst_ns() < 200 * MS
        assert not any(event.stalled for event in quiet)
    finally:
        guard.cancel()


@virtual
async def test_a_stall_is_seen_before_the_guard_s_own_timer_runs() -> None:
    clock = engine_clock()
    lag = LoopLag(clock)
    guard = asyncio.ensure_future(lag.run())
    await asyncio.sleep(0.06)
    start = clock.t_ns()
    stall(0.2)
    assert lag.stalled_ns(start, clock.t_ns()) >= 100 * MS
    assert lag.stalled_ns(start - 10_000 * MS, start - 5_000 * MS) == 0
    guard.cancel()


@pytest.mark.parametrize("slot_ms", [10, 50])
@virtual
async def test_where_blocks_are_faster_than_polls_every_poll_is_a_slot_poll(slot_ms: int) -> None:
    async with serving() as node, probing(node.url, poll_ms=50, slot_ms=slot_ms) as (_, events):
        polls = await events.until(4)
    assert all(SAFE in called(event) for event in polls)
    assert all(isinstance(event, Polled) for event in polls)


@virtual
async def test_a_request_body_is_a_constant_so_that_answers_can_be_compared() -> None:
    async with serving() as node, probing(node.url, slot_ms=10_000) as (_, events):
        await events.until(5)
        bodies = {request.body for request in node.requests[2:]}
    assert len(bodies) == 1
    assert [call["id"] for call in json.loads(bodies.pop())] == [1, 2]


SLOW = (CLIENT_VERSION, PEERS, TXPOOL)


def aside(events: list[Any]) -> list[Any]:
    """The slow parts of some polls, in order."""
    return [part for event in events for part in event.parts if part.call in SLOW]


@virtual
async def test_slow_questions_come_one_by_one_each_once_per_interval_and_travel_with_a_poll() -> None:
    async with serving() as node, probing(node.url, slow=SLOW, slow_ms=600) as (_, events):
        polls = await events.until(50)
    span_ms = (polls[-1].t_ns - polls[0].t_ns) / MS
    parts = aside(polls)
    for call in SLOW:
        assert abs(sum(part.call == call for part in parts) - span_ms / 600) <= 1
    asked = [json.loads(request.body) for request in node.requests]
    alone = [each["method"] for each in asked if isinstance(each, dict)]
    assert set(alone) == {"web3_clientVersion", "net_peerCount", "txpool_status"}
    assert all(not isinstance(each, list) or len(each) >= 2 for each in asked)


def refusing(status: str = "200 OK", body: bytes | None = None) -> Any:
    """Answers polls, and every single question in one way."""

    async def behaviour(request: Request) -> None:
        asked = json.loads(request.body)
        if isinstance(asked, list):
            request.writer.write(http(answer(request.body)))
        elif body is not None:
            request.writer.write(http(body, status))

    return behaviour


@virtual
@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method does not exist"}}'),
        ("403 Forbidden", b"<html>no</html>"),
        ("200 OK", b"\x00\xff not json"),
        ("200 OK", None),
    ],
    ids=["missing", "forbidden", "garbage", "hangs"],
)
async def test_what_is_not_answered_fails_no_poll_and_is_asked_ever_more_rarely(
    status: str, body: bytes | None
) -> None:
    async with serving(refusing(status, body)) as node, probing(node.url, slow=SLOW, slow_ms=100) as (_, events):
        polls = await events.until(100)
    assert all(event.fault is None for event in polls)
    alone = [request for request in node.requests if not request.body.startswith(b"[")]
    assert 3 <= len(alone) <= 3 * 7  # each doubles its interval: at 100, 200, 400 ms and so on
    steps = [second.started_ns - first.started_ns for first, second in pairwise(polls)]
    assert max(steps) <= 2 * 50 * MS


@virtual
async def test_a_missing_method_is_reported_once_and_then_left_alone_for_long() -> None:
    missing = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method does not exist"}}'
    async with serving(refusing(body=missing)) as node, probing(node.url, slow=(TXPOOL,), slow_ms=100) as (_, events):
        polls = await events.until(80)
    [part] = aside(polls)
    assert part.error.kind is RpcErrorKind.METHOD_MISSING


@virtual
async def test_the_network_is_asked_with_block_0_and_then_once_in_an_hour() -> None:
    slow = (CLIENT_VERSION, NETWORK)
    async with serving() as node, probing(node.url, slow=slow, first=(GENESIS, NETWORK)) as (_, events):
        polls = await events.until(1_500)
    assert called(polls[0])[-2:] == (GENESIS, NETWORK)
    versions = [at for at, event in enumerate(polls) if CLIENT_VERSION in called(event)]
    networks = [at for at, event in enumerate(polls) if NETWORK in called(event)]
    assert len(versions) > 100
    assert networks[0] == 0
    gaps = [sum(first < at <= second for at in versions) for first, second in pairwise(networks)]
    assert gaps, "it is asked again"
    assert all(58 <= gap <= 62 for gap in gaps), "and never before its time"


@virtual
async def test_what_the_first_poll_brought_no_answer_for_is_asked_again_soon() -> None:
    def first_refused(request: Request) -> bytes:
        body = answer(request.body)
        if b"net_version" not in request.body or not request.body.startswith(b"["):
            return body
        parts = json.loads(body)
        error = {"code": -32000, "message": "not now"}
        last = {"jsonrpc": "2.0", "id": parts[-1]["id"], "error": error}
        return json.dumps([*parts[:-1], last]).encode()

    async def behaviour(request: Request) -> None:
        request.writer.write(http(first_refused(request)))

    slow = (CLIENT_VERSION, NETWORK)
    async with serving(behaviour) as node, probing(node.url, slow=slow, first=(GENESIS, NETWORK)) as (_, events):
        polls = await events.until(100)
    brought = [part.result for event in polls for part in event.parts if part.call == NETWORK]
    assert brought[0] is None
    assert brought[1:]
    assert None not in brought[1:]


@virtual
async def test_a_node_that_does_not_answer_its_polls_is_asked_nothing_else() -> None:
    async with serving(saying(http(b"", "500 Oops"))) as node, probing(node.url, slow=SLOW, slow_ms=50) as (_, events):
        await events.until(20)
    assert not any(b"web3_" in request.body or b"net_peer" in request.body for request in node.requests)


@virtual
async def test_a_scarce_budget_stretches_the_polls_and_never_beyond_the_floor() -> None:
    # 3.5 calls a second refill it: every 50 ms would take 67, every second 5, the floor 2.5.
    async with serving() as node, probing(node.url, budget_per_day=300_000, sparse_ms=2_000) as (_, events):
        await events.until(2_500)
        polls = events.got[-60:]
        starts = [event.started_ns for event in polls]
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert all(event.fault is None for event in events.got)
        assert max(gaps) <= 2_050 * MS
        assert sum(gaps) / len(gaps) > 1_000 * MS


@virtual
async def test_polls_left_out_to_save_are_told_of_as_wanted_and_without_a_budget_nothing_is() -> None:
    slow = {"poll_ms": 2_000, "slot_ms": 12_000}
    async with serving() as node, probing(node.url, budget_per_day=30_000, **slow) as (_, events):
        polls = await events.until(600)
    # 2 calls every 2 s, and 3 more in every slot that is polled at all.
    use = polls[-1].budget
    assert use.per_day == 30_000
    assert 86_400 <= use.wanted <= 109_000
    assert all(event.fault is None for event in polls)
    assert polls[0].budget.wanted is None
    async with serving() as node, probing(node.url, **slow) as (_, events):
        assert {event.budget for event in await events.until(400)} == {None}


@virtual
async def test_a_closer_look_may_spend_what_routine_may_not() -> None:
    async with serving() as node, probing(node.url, budget_per_day=5_760, sparse_ms=60_000) as (prober, events):
        await events.until(55)
        calm = len(events.got)
        await asyncio.sleep(3)
        assert len(events.got) - calm <= 3
        prober.follow(Pace(chain="test", arrival_ns=None, urgent=("n",)))
        await asyncio.sleep(3)
        assert len(events.got) - calm >= 10


@virtual
async def test_a_wake_does_not_break_a_scarce_budget() -> None:
    async with serving() as node, probing(node.url, budget_per_day=5_760, sparse_ms=60_000) as (prober, events):
        await events.until(55)
        await asyncio.sleep(5)
        calm = len(events.got)
        for _ in range(100):
            prober.wake()
            await asyncio.sleep(0.03)
        assert len(events.got) - calm <= 3
