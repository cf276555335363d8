"""A node made of a raw socket: it can break every rule of HTTP and JSON-RPC, on request."""

import asyncio
import functools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tocsin.clock import Clock, EngineClock, SystemClock
from tocsin.rpc.endpoint import Endpoint
from tocsin.secret import SecretUrl
from tocsin.testing.loop import VirtualLoop, run_virtual

HASH = "0x" + "ab" * 32
BLOCK = {"number": "0x10", "hash": HASH, "parentHash": "0x" + "cd" * 32, "timestamp": "0x1"}


@dataclass
class Request:
    head: str
    body: bytes
    writer: asyncio.StreamWriter


Behaviour = Callable[[Request], Awaitable[None]]


def result(call: dict[str, Any]) -> object:
    return {"eth_chainId": "0x1", "eth_syncing": False}.get(call["method"], BLOCK)


def answer(body: bytes) -> bytes:
    """The answer of a well-behaved node."""
    asked = json.loads(body)
    calls = asked if isinstance(asked, list) else [asked]
    answers = [{"jsonrpc": "2.0", "id": call["id"], "result": result(call)} for call in calls]
    return json.dumps(answers if isinstance(asked, list) else answers[0]).encode()


def http(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


async def healthy(request: Request) -> None:
    request.writer.write(http(answer(request.body)))


def saying(raw: bytes) -> Behaviour:
    """Answer every request with these bytes."""

    async def behaviour(request: Request) -> None:
        request.writer.write(raw)

    return behaviour


@dataclass
class Node:
    behaviour: Behaviour
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [
                    line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length")
                ]
                body = await reader.readexactly(int(lengths[0])) if lengths else b""
                request = Request(head, body, writer)
                self.requests.append(request)
                await self.behaviour(request)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(
    behaviour: Behaviour = healthy, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Node]:
    node = Node(behaviour)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await node.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the server ends
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    node.port = server.sockets[0].getsockname()[1]
    try:
        yield node
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


def endpoint(url: str | Path, **changes: Any) -> Endpoint:
    """An endpoint that is not in a hurry; whoever expects a timeout says how long it takes."""
    values = {"chain": "test", "node": "n", "url": SecretUrl(str(url)), "timeout_ns": 30_000_000_000} | changes
    return Endpoint(**values)


def engine_clock() -> EngineClock:
    """The engine's clock over the running loop's own clock, which is virtual in a virtual loop."""
    return EngineClock(base_clock())


def base_clock() -> Clock:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return SystemClock()
    return loop.clock if isinstance(loop, VirtualLoop) else SystemClock()


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in virtual time: sockets are real, waiting costs nothing and no instant is missed."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtual(test(*args, **kwargs))

    return run
