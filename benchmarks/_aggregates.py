"""What 200 reads at a block cost: one aggregate of a node in another process, over a real session.

Answers differ from block to block, so that nothing can be remembered; what comes out is compared with what eth-abi
decodes of the same bytes.
"""

import asyncio
import contextlib
import gc
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache

import aiohttp
import eth_abi

from benchmarks._settings import node_of
from tocsin.chain.groups import Groups, group_nodes
from tocsin.chain.readload import Limits, Wanted
from tocsin.chain.readvalues import Outcome
from tocsin.clock import EngineClock, SystemClock
from tocsin.model.block import BlockRef
from tocsin.model.reading import CallOf, Pin
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.secret import SecretUrl
from tocsin.state.ground import Lane, Means, Place
from tocsin.state.reader import Plan, Read, Reader, ReadTerms
from tocsin.state.source import Sessions
from tocsin.wire import aggregator

CALLS, VARIANTS = 200, 32


@lru_cache(maxsize=VARIANTS)
def results(variant: int) -> tuple[tuple[bool, bytes], ...]:
    """Return what 200 calls give at a block: words of 256 bits."""
    rng = random.Random(variant)  # noqa: S311 - reproducible, not secret
    return tuple([(True, rng.randbytes(32)) for _ in range(CALLS)])


@lru_cache(maxsize=VARIANTS)
def answer(variant: int) -> bytes:
    """Return the result of an aggregate, as the code that is put in place writes it."""
    found = results(variant)
    heads = b"".join((len(data) | int(ok) << 31).to_bytes(4) for ok, data in found)
    return heads + bytes(28) + b"".join(data for _, data in found)


@lru_cache(maxsize=VARIANTS)
def response(variant: int) -> bytes:
    """Return the whole HTTP answer to it."""
    body = b'{"jsonrpc":"2.0","id":1,"result":"0x%b"}' % answer(variant).hex().encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def block(number: int) -> BlockRef:
    """Return a made-up block; its hash ends in its number."""
    return BlockRef(number=number, hash=f"0x{number:064x}")


class _Node(asyncio.Protocol):
    """Answers each aggregate by what its block's number says."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        end = self._pending.find(b"\r\n\r\n")
        if end < 0 or not self._pending.endswith(b"}"):
            return
        length = int(bytes(self._pending[:end]).lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(self._pending) < end + 4 + length:
            return
        at = self._pending.rfind(b'"blockHash":"0x') + 15
        number = int(self._pending[at : at + 64], 16)
        self._pending.clear()
        self._transport.write(response(number % VARIANTS))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Node, "127.0.0.1", 0)
    for variant in range(VARIANTS):
        response(variant)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def running_node() -> Iterator[int]:
    """Run the node and give its port."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks._aggregates"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


class Ground:
    """A chain of which every block is agreed on as soon as it is asked for."""

    def __init__(self) -> None:
        self.number = 0

    def place(self, lane: Lane) -> Place | None:
        """Return the next block."""
        del lane
        self.number += 1
        return Place(block=block(self.number))

    def holds(self, block: BlockRef) -> bool:
        """Tell that it is still there."""
        return block.number == self.number

    def means(self, node: str, place: Place) -> Means | None:
        """Return how the node is asked."""
        del node, place
        return Means(pin=Pin.OBJECT)


def groups() -> Groups:
    """Return the one group of the one node."""
    return group_nodes([node_of("n", "p", own=True)])


def plan() -> Plan:
    """Return 200 calls of `balanceOf(address)` of as many contracts."""
    return Plan(
        [
            Wanted(item=CallOf(to=(at + 1).to_bytes(20), data=bytes.fromhex("70a08231") + at.to_bytes(32)))
            for at in range(CALLS)
        ]
    )


def is_exact(found: Read) -> bool:
    """Tell whether values are what eth-abi decodes of the answer."""
    rows = results(found.block.number % VARIANTS)
    return all(
        found.first.outcomes[at] == Outcome.RETURNED
        and found.first.result(at) == data
        and found.first.integer(at) == eth_abi.decode(["uint256"], data)[0]
        for at, (_, data) in enumerate(rows)
    )


async def measured(port: int, *, readings: int, rounds: int) -> dict[str, float | bool]:
    """Return the CPU time of one reading in ms, the best of rounds, and whether all were exact.

    The floor is what aiohttp takes for the same bytes in the same run, taken in turn.
    """
    clock, resolver, ground = EngineClock(SystemClock()), Resolver(SystemClock()), Ground()
    url = f"http://127.0.0.1:{port}/"
    session = Session(Endpoint(chain="c", node="n", url=SecretUrl(url)), clock=clock, resolver=resolver)
    terms = ReadTerms(audit_one_in=0, limits=Limits(gas=100_000_000, calls=1_000))
    reader = Reader(groups(), Sessions("c", {"n": session}), ground, SystemClock(), salt=b"salt", terms=terms)
    wanted, exact = plan(), True

    async def read() -> None:
        found = await reader.read(wanted)
        assert isinstance(found, Read)
        assert found.is_whole

    try:
        async with aiohttp.ClientSession() as bare:

            async def post() -> None:
                async with bare.post(url, data=body) as reply:
                    await reply.read()

            for _ in range(VARIANTS):
                found = await reader.read(wanted)
                exact = exact and isinstance(found, Read) and found.is_whole and is_exact(found)
            compiled = wanted.compiled("first", wanted.first, terms.limits)
            [chunk] = compiled.chunks(None, 250, aggregator.PLACE, aggregator.CODE)
            body = chunk.request.at(block(1), Pin.OBJECT)
            best = {"reads200_cpu_ms": math.inf, "reads200_floor_ms": math.inf}
            for _ in range(rounds):
                gc.collect()
                for name, work in zip(best, (read, post), strict=True):
                    best[name] = min(best[name], await _cpu_ms(work, readings))
    finally:
        await session.close()
        await resolver.close()
    return {**best, "reads200_bytes": len(body), "bit_exact": exact}


async def _cpu_ms(work: Callable[[], Awaitable[None]], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        await work()
    return (time.process_time() - begun) * 1e3 / times


if __name__ == "__main__":
    asyncio.run(_serve())
