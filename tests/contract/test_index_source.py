"""What an index asks is what the polls leave: one question at a time to each node, and a quarter of a budget."""

import asyncio
import time
from typing import Any

import orjson
from tests.support.rpcserver import endpoint, engine_clock

from tocsin.clock import SystemClock
from tocsin.model.effect import Fetch
from tocsin.model.observation import Fault, FaultKind, by_number
from tocsin.rpc.channel import Progress, Reply
from tocsin.rpc.pacing import Need
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.state.source import Sessions
from tocsin.wire import jsonrpc


class Line:
    """A way to a node that counts how many requests are under way, and answers each when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.now = self.most = self.asked = 0

    async def post(self, body: bytes, _progress: Progress) -> Reply:
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await self.open.wait()
        self.now -= 1
        request: Any = orjson.loads(body)
        return Reply(status=200, body=orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "result": None}))

    def hint(self) -> str | None:
        return None

    async def close(self) -> None:
        self.open.set()


def session(line: Line, **changes: Any) -> Session:
    clock = SystemClock()
    return Session(endpoint("http://x", **changes), clock=engine_clock(), resolver=Resolver(clock), channel=line)


async def test_an_index_has_one_question_under_way_to_each_node_whoever_asks_how_many() -> None:
    lines = {name: Line() for name in "ab"}
    source = Sessions("test", {name: session(line) for name, line in lines.items()})
    asked = [asyncio.create_task(source.ask(name, by_number(number))) for name in "ab" for number in range(5)]
    await asyncio.sleep(0.05)
    assert {name: line.now for name, line in lines.items()} == {"a": 1, "b": 1}
    for line in lines.values():
        line.open.set()
    await asyncio.gather(*asked)
    assert {name: (line.most, line.asked) for name, line in lines.items()} == {"a": (1, 5), "b": (1, 5)}


async def test_an_index_leaves_three_quarters_of_a_budget_to_the_others() -> None:
    line = Line()
    line.open.set()
    bounded = session(line, budget_per_day=24 * 100)  # it holds an hour's worth: a hundred
    source = Sessions("test", {"a": bounded})
    answers = [await source.ask("a", by_number(number)) for number in range(60)]
    refused = [one for one in answers if isinstance(one, Fault)]
    assert {one.kind for one in refused} == {FaultKind.BUDGET}
    assert line.asked == 25
    assert len(refused) == 35
    assert bounded.affords((by_number(1),) * 25, Need.ROUTINE), "polls go on"
    closer = await bounded.fetch(Fetch(request=1, chain="test", node="a", call=by_number(1)))
    assert closer.fault is None, "and so do closer looks"


async def test_a_node_that_is_configured_no_longer_answers_nothing() -> None:
    sessions = {"a": session(Line())}
    source = Sessions("test", sessions)
    del sessions["a"]
    found = await source.ask("a", by_number(1))
    assert isinstance(found, Fault)
    assert found.detail == "the node is configured no longer"


class Long(Line):
    """Answers each request with the same long list."""

    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": [{"data": f"0x{at:064x}"} for at in range(20_000)]})

    async def post(self, _body: bytes, _progress: Progress) -> Reply:
        return Reply(status=200, body=self.body)


async def test_a_long_answer_is_parsed_beside_the_loop() -> None:
    """By the CPU time of the thread that the loop runs in: a third of what parsing takes, in one of five."""
    call, shares = by_number(1), []
    assert isinstance(jsonrpc.read(Long.body, (call,)), tuple)
    for _ in range(5):
        one = session(Long())
        begun = time.thread_time_ns()
        jsonrpc.read(Long.body, (call,))
        parsed = time.thread_time_ns()
        found = await one.fetch(Fetch(request=1, chain="test", node="a", call=call), Need.SPARE)
        shares.append((time.thread_time_ns() - parsed) / (parsed - begun))
        assert found.fault is None
    assert min(shares) < 1 / 3
