"""Virtual time: hours of simulation over real sockets without a real sleep."""

import asyncio
import time

import aiohttp
import pytest

from tocsin.clock import NS
from tocsin.testing import ChainSpec, FaultProxy, ManualClock, SimChain, SimNode, VirtualLoop, run_virtual, serve_nodes


def test_time_jumps_to_the_next_timer_and_keeps_their_order() -> None:
    clock = ManualClock()

    async def main() -> list[tuple[str, int]]:
        seen = []

        async def sleeper(name: str, span: float) -> None:
            await asyncio.sleep(span)
            seen.append((name, clock.monotonic_ns() // NS))

        await asyncio.gather(sleeper("day", 86_400), sleeper("hour", 3600), sleeper("second", 1))
        return seen

    assert run_virtual(main(), clock=clock) == [("second", 1), ("hour", 3600), ("day", 86_400)]


def test_a_timeout_strikes_in_virtual_time() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()

    clock = ManualClock()
    run_virtual(main(), clock=clock)
    assert clock.monotonic_ns() >= 3600 * NS


def test_time_stands_still_while_a_thread_works() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        timer = asyncio.ensure_future(asyncio.sleep(10))
        await asyncio.to_thread(time.sleep, 0.05)
        passed = loop.time() - before
        await timer
        return passed

    assert run_virtual(main()) == 0


def test_time_stands_still_inside_outside() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        timer = asyncio.ensure_future(asyncio.sleep(10))
        with loop.outside():
            loop.run_in_executor(None, lambda: None)
            before = loop.time()
            await asyncio.to_thread(time.sleep, 0.01)
            passed = loop.time() - before
        await timer
        return passed

    assert run_virtual(main()) == 0


def test_hours_of_polling_a_faulty_node_over_sockets_pass_at_once() -> None:
    clock = ManualClock()

    async def main() -> list[int]:
        chain = SimChain(clock, ChainSpec(history=10))
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        heights = []
        async with (
            serve_nodes(SimNode(chain)) as listeners,
            FaultProxy({"n": listeners["sim"].url}) as proxy,
            aiohttp.ClientSession() as session,
        ):
            for _ in range(60):
                async with session.post(proxy.url("n"), json=request) as response:
                    heights.append(int((await response.json())["result"], 16))
                await asyncio.sleep(120)
        return heights

    heights = run_virtual(main(), clock=clock)
    assert heights == [10 + 10 * step for step in range(60)]
