"""The nodes that are watched, over real sockets: what one of them may cost the watchdog."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.configs import loaded
from tests.support.rpcserver import Node, Request, answer, http, serving
from tests.support.watchdog import eventually

from tocsin.clock import EngineClock, SystemClock
from tocsin.model.effect import Fetch, Pace
from tocsin.model.event import Event, Fetched
from tocsin.model.observation import FaultKind, by_hash
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.supervisor import Supervisor
from tocsin.runtime.watch import Watch
from tocsin.runtime.watched import Means


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
    watch = Watch(
        Means(supervisor=supervisor, clock=clock, resolver=resolver, lag=LoopLag(clock), emit=emitted.put_nowait)
    )
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


def pool(nodes: dict[str, Node], *, provider: str = "", poll: str = "1s", more: str = "") -> str:
    tables = "".join(
        f'[[chain.node]]\nname = "{name}"\nurl = "{node.url}"\nprovider = "quick"\n{more if name == "b" else ""}\n'
        for name, node in nodes.items()
    )
    chain = f'[[chain]]\nname = "sim"\nid = 1\nblock_time = "12s"\npoll = "{poll}"\n'
    return f'schema = 1\n[watchdog]\nsite = "ams"\nname = "host-a"\n{provider}\n{chain}{tables}'


BUDGET = '[[provider]]\nname = "quick"\nbudget = "{calls}/day"\n'


async def test_a_reload_replaces_what_differs_and_leaves_the_rest_with_its_connections(tmp_path: Path) -> None:
    async with serving() as one, serving() as two:
        nodes = {"a": one, "b": two}
        async with watching(tmp_path, one) as (watch, _):
            await watch.apply(loaded(tmp_path, pool(nodes)).tree)
            sessions = {key: each.session for key, each in watch._watched.items()}
            assert sorted(sessions) == [("sim", "a"), ("sim", "b")]
            await watch.apply(loaded(tmp_path, pool(nodes)).tree)
            assert {key: each.session for key, each in watch._watched.items()} == sessions
            await watch.apply(loaded(tmp_path, pool(nodes, more='timeout = "7s"')).tree)
            assert watch._watched["sim", "a"].session is sessions["sim", "a"]
            assert watch._watched["sim", "b"].session is not sessions["sim", "b"]
            before = watch._watched["sim", "b"].session
            await watch.apply(loaded(tmp_path, pool(nodes, more='timeout = "7s"\nown = true')).tree)
            assert watch._watched["sim", "b"].session is not before, "own nodes are asked for more"
            assert watch._watched["sim", "a"].session is sessions["sim", "a"]
            await watch.apply(loaded(tmp_path, pool({"b": two})).tree)
            assert [bill[:2] for bill in watch.bills()] == [("sim", "b")]
            assert [name for name in watch._means.supervisor.names if name.startswith("poll sim/a")] == []


async def test_a_reload_grants_no_budget_twice_and_a_changed_one_begins_anew(tmp_path: Path) -> None:
    async with serving() as one, serving() as two:
        nodes = {"a": one, "b": two}
        async with watching(tmp_path, one) as (watch, _):
            await watch.apply(loaded(tmp_path, pool(nodes, provider=BUDGET.format(calls="500k"))).tree)
            shared = {each.shared for each in watch._watched.values()}
            assert len(shared) == 1, "the nodes of a provider spend from one purse"
            assert None not in shared
            assert all(each.session.is_bounded for each in watch._watched.values())
            await watch.apply(loaded(tmp_path, pool(nodes, provider=BUDGET.format(calls="500k"), poll="3s")).tree)
            assert {each.shared for each in watch._watched.values()} == shared
            await watch.apply(loaded(tmp_path, pool(nodes, provider=BUDGET.format(calls="900k"))).tree)
            assert not {each.shared for each in watch._watched.values()} & shared
            await watch.apply(loaded(tmp_path, pool(nodes)).tree)
            assert {each.shared for each in watch._watched.values()} == {None}


async def test_the_pace_of_a_chain_holds_for_nodes_that_come_later(tmp_path: Path) -> None:
    async with serving() as one, serving() as two, watching(tmp_path, one) as (watch, _):
        await watch.apply(loaded(tmp_path, pool({"a": one})).tree)
        watch.take(Pace(chain="sim", arrival_ns=None, urgent=("a", "b")))
        watch.take(Pace(chain="other", arrival_ns=None, urgent=()))
        assert watch._watched["sim", "a"].prober._is_urgent
        await watch.apply(loaded(tmp_path, pool({"a": one, "b": two})).tree)
        assert watch._watched["sim", "b"].prober._is_urgent


async def test_a_question_to_a_node_that_is_gone_is_answered_as_not_asked(tmp_path: Path) -> None:
    async with serving() as one, watching(tmp_path, one) as (watch, emitted):
        watch.take(Fetch(request=9, chain="sim", node="gone", call=by_hash("0x" + "12" * 32)))
        event = await emitted.get()
        while not isinstance(event, Fetched):
            event = await emitted.get()
    assert (event.request, event.node, event.part) == (9, "gone", None)
    assert event.fault is not None
    assert (event.fault.kind, event.fault.detail) == (FaultKind.BUDGET, "the node is configured no longer")
