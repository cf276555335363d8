"""The nodes that are watched, over real sockets: what one of them may cost the watchdog."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.configs import loaded
from tests.support.rpcserver import Node, Request, answer, http, serving
from tests.support.watchdog import eventually

from tocsin.clock import EngineClock, SystemClock
from tocsin.model.effect import Fetch
from tocsin.model.event import Event, Fetched
from tocsin.model.observation import FaultKind, by_hash
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.supervisor import Supervisor
from tocsin.runtime.watch import Watch


def configuration(node: Node) -> str:
    return f"""\
schema = 1
[watchdog]
site = "ams"
name = "host-a"
[[chain]]
name = "sim"
id = 1
block_time = "12s"
[[chain.node]]
name = "n"
url = "{node.url}"
timeout = "1m"
"""


async def only_polls(request: Request) -> None:
    """Answer what every poll asks, and let whoever asks for a block by its hash wait."""
    if b"eth_getBlockByHash" in request.body:
        await asyncio.sleep(60)
    request.writer.write(http(answer(request.body)))


@asynccontextmanager
async def watching(tmp_path: Path, node: Node) -> AsyncIterator[tuple[Watch, asyncio.Queue[Event]]]:
    clock, emitted = EngineClock(SystemClock()), asyncio.Queue[Event]()
    supervisor, resolver = Supervisor(clock=SystemClock()), Resolver(SystemClock())
    watch = Watch(supervisor, clock=clock, resolver=resolver, lag=LoopLag(clock), emit=emitted.put_nowait)
    async with asyncio.TaskGroup() as group:
        await watch.apply(loaded(tmp_path, configuration(node)).tree)
        supervisor.spawn("fetch", watch.run_fetches)
        running = group.create_task(supervisor.run())
        yield watch, emitted
        supervisor.stop()
        await running
    await watch.close()
    await resolver.close()


async def test_a_fetch_that_fails_for_a_defect_of_ours_leaves_the_others_alone(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def in_its_time(request: Request) -> None:
        if b"eth_getBlockByHash" in request.body:
            await release.wait()
        request.writer.write(http(answer(request.body)))

    async with serving(in_its_time) as node, watching(tmp_path, node) as (watch, emitted):
        watch.take(Fetch(request=1, chain="sim", node="n", call=by_hash("0x" + "12" * 32)))
        await eventually(lambda: any(b"eth_getBlockByHash" in one.body for one in node.requests), "it is under way")
        watch.take(Fetch(request=2, chain="sim", node="n", call="no such call"))
        found: dict[int, Fetched] = {}
        while len(found) < 2:
            event = await emitted.get()
            if isinstance(event, Fetched):
                found[event.request] = event
                release.set()
    assert list(found) == [2, 1]
    assert found[2].fault is not None
    assert found[2].fault.kind is FaultKind.INTERNAL
    assert found[1].part is not None


async def test_a_node_that_answers_nothing_but_polls_gathers_no_endless_queue(tmp_path: Path) -> None:
    async with serving(only_polls) as node, watching(tmp_path, node) as (watch, emitted):
        before = len(asyncio.all_tasks())
        for request in range(500):
            watch.take(Fetch(request=request, chain="sim", node="n", call=by_hash(f"0x{request:064x}")))
        refused = 0
        while refused < 400:
            event = await emitted.get()
            refused += isinstance(event, Fetched) and event.fault is not None and event.fault.kind is FaultKind.BUDGET
        assert len(asyncio.all_tasks()) - before < 100
