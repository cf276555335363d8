"""The floor: what polling costs with nothing but a socket, hand-written HTTP/1.1 and orjson."""

import asyncio
from functools import partial

import orjson

from benchmarks._nodes import POLLS_PER_BLOCK


class FloorNode(asyncio.Protocol):
    """Polls one node over and over, as fast as it answers."""

    def __init__(self, requests: list[bytes], polls: int, done: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._left = polls
        self._count = 0
        self._done = done
        self._chunks: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self.send(self._requests[self._count % len(self._requests)])
        self._count += 1

    def send(self, request: bytes) -> None:
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._chunks:
            end = data.index(b"\r\n\r\n") + 4
            at = data.index(b"Content-Length: ") + 16
            self._missing = int(data[at : data.index(b"\r", at)])
            data = data[end:]
        self._chunks.append(data)
        self._missing -= len(data)
        if self._missing:
            return
        body, self._chunks = b"".join(self._chunks), []
        answers = orjson.loads(body)
        assert int(answers[1]["result"]["number"], 16)
        self._left -= 1
        if self._left:
            self._ask()
        else:
            self._transport.close()

    def close(self) -> None:
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error) if error else self._done.set_result(None)


def http_request(port: int, path: str, body: bytes) -> bytes:
    """Return the bytes of one request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def poll_floor(port: int, path: str, bodies: list[bytes], *, nodes: int, polls: int) -> None:
    """Poll `nodes` connections `polls` times each; `bodies` are taken in turn."""
    assert POLLS_PER_BLOCK % len(bodies) == 0
    loop = asyncio.get_running_loop()
    requests = [http_request(port, path, body) for body in bodies]
    waiting = [loop.create_future() for _ in range(nodes)]
    for done in waiting:
        await loop.create_connection(partial(FloorNode, requests, polls, done), "127.0.0.1", port)
    await asyncio.gather(*waiting)


class PacedFloorNode(FloorNode):
    """Polls one node when told to."""

    def _ask(self) -> None:
        pass


async def floor_at_1_hz(port: int, requests: list[tuple[bytes, bytes]], *, per_burst: int, seconds: int) -> None:
    """Poll one connection per pair of requests once a second, `per_burst` at an instant; the second of a pair first."""
    loop = asyncio.get_running_loop()
    forever = [loop.create_future() for _ in requests]
    nodes = [
        (await loop.create_connection(partial(PacedFloorNode, [], 1 << 40, done), "127.0.0.1", port))[1]
        for done in forever
    ]

    async def burst(first: int, delay: float) -> None:
        begin = loop.time() + delay
        for second in range(seconds):
            await asyncio.sleep(begin + second - loop.time())
            for at in range(first, first + per_burst):
                nodes[at].send(requests[at][0 if second else 1])

    starts = range(0, len(nodes), per_burst)
    async with asyncio.TaskGroup() as group:
        for first in starts:
            group.create_task(burst(first, first / len(nodes)))
    await asyncio.sleep(0.2)
    for node in nodes:
        node.close()
    await asyncio.gather(*forever)
