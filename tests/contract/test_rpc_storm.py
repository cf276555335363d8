"""Cancellation wedges nothing and leaks nothing: 50 nodes, 100 rounds, 2 % of all asks cancelled at random moments.

The regression that this pins: a lock taken in an executor by every request, lost for ever when one is cancelled.
"""

import asyncio
import gc
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.support.rpcserver import Request, answer, endpoint, engine_clock, http, serving

from tocsin.clock import SystemClock
from tocsin.model.observation import CHAIN_ID, LATEST
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session

NODES, ROUNDS, CANCELLED = 50, 100, 0.02
CALLS = (CHAIN_ID, LATEST)


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def cancel_at_some_moment(task: asyncio.Future[Any], chance: random.Random) -> None:
    for _ in range(chance.randrange(12)):
        await asyncio.sleep(0)
    if chance.random() < 0.5:
        await asyncio.sleep(chance.random() * 0.004)
    task.cancel()


async def storm(sessions: list[Session], chance: random.Random) -> int:
    cancelled = 0
    for _ in range(ROUNDS):
        asks = [asyncio.ensure_future(session.ask(CALLS)) for session in sessions]
        victims = [ask for ask in asks if chance.random() < CANCELLED]
        await asyncio.gather(*(cancel_at_some_moment(ask, chance) for ask in victims))
        made = await asyncio.gather(*asks, return_exceptions=True)
        cancelled += sum(isinstance(one, asyncio.CancelledError) for one in made)
        for ask, one in zip(asks, made, strict=True):
            assert isinstance(one, asyncio.CancelledError) == ask.cancelled()
            assert ask.cancelled() or one.fault is None
    return cancelled


async def test_a_cancellation_storm_leaves_no_wedge_no_socket_and_no_task() -> None:
    chance = random.Random(20)  # noqa: S311 - reproducible

    async def unhurried(request: Request) -> None:
        await asyncio.sleep(0.002)
        request.writer.write(http(answer(request.body)))

    resolver = Resolver(SystemClock())
    async with serving(unhurried, host="localhost") as node:
        before, tasks = descriptors(), len(asyncio.all_tasks())
        async with AsyncExitStack() as stack:
            settings = endpoint(f"http://localhost:{node.port}")
            sessions = [Session(settings, clock=engine_clock(), resolver=resolver) for _ in range(NODES)]
            for session in sessions:
                stack.push_async_callback(session.close)
            cancelled = await storm(sessions, chance)
            assert cancelled > NODES * ROUNDS * CANCELLED / 4
            # every node is still reachable
            assert all(one.fault is None for one in await asyncio.gather(*(one.ask(CALLS) for one in sessions)))
        await resolver.close()
        while len(asyncio.all_tasks()) > tasks or descriptors() > before:  # noqa: ASYNC110 - sockets have none
            await asyncio.sleep(0.02)  # the suite's timeout is the verdict


async def test_an_ipc_storm_leaves_nothing_either(tmp_path: Path) -> None:
    chance = random.Random(21)  # noqa: S311 - reproducible
    served = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        try:
            while body := await reader.readline():
                await asyncio.sleep(0.001)
                writer.write(answer(body))
        except ConnectionError:
            pass
        finally:
            served.discard(asyncio.current_task())
            writer.transport.abort()

    server = await asyncio.start_unix_server(connected, tmp_path / "node.ipc")
    before = descriptors()
    settings = endpoint(f"ipc://{tmp_path}/node.ipc")
    sessions = [Session(settings, clock=engine_clock(), resolver=Resolver(SystemClock())) for _ in range(10)]
    try:
        assert await storm(sessions, chance) > 0
        for session in sessions:
            await session.close()
        while served or descriptors() > before:  # noqa: ASYNC110 - sockets have none
            await asyncio.sleep(0.02)
    finally:
        server.close()
