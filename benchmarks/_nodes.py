"""The nodes of the poller benchmark: a server in a process of its own, as cheap as Python allows.

Every port is one manner: `well`, `hung`, `dripping`, `resetting`. The path of a request says which heads a well node
shows: `/mix` a new one every sixth request of a connection (2 s polls, 12 s blocks), `/same` one for ever, `/new` a
new one each time, `/clock/<n>` chain n with a new block every 12 s.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import orjson

from tocsin.testing.simblock import SimBlock, make_block

MANNERS = ("well", "hung", "dripping", "resetting")
BLOCK_TIME_S = 12
POLLS_PER_BLOCK = 6
TRANSACTIONS, WITHDRAWALS = 180, 16
"""A mainnet block of 2025 has about 180 transactions: 16.5 kB of JSON without their bodies."""


@lru_cache(maxsize=256)
def block(chain: int, index: int) -> bytes:
    """Return a block as `eth_getBlockByNumber` gives it; its hash is the hash of its fields."""
    genesis = make_block(parent=None, number=0, slot=0, timestamp=0, salt=f"chain{chain}", filled=True)
    if index < 0:
        return orjson.dumps(genesis.body(transactions=0, withdrawals=0))
    number = 21_000_000 + index
    made: SimBlock = make_block(
        parent=genesis, number=number, slot=index + 1, timestamp=12 * number, salt=f"chain{chain}", filled=True
    )
    return orjson.dumps(made.body(transactions=TRANSACTIONS, withdrawals=WITHDRAWALS))


@lru_cache(maxsize=1_024)
def response(chain: int, index: int, shape: str) -> bytes:
    """Return the whole HTTP answer for a head: `small` has two calls, `slot` five, `first` six."""
    results = [b'"0x1"', block(chain, index)]
    if shape != "small":
        results += [block(chain, max(0, index - 1) // 32 * 32), block(chain, max(0, index - 33) // 32 * 32), b"false"]
    if shape == "first":
        results.append(block(chain, -1))
    entries = [b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (place, text) for place, text in enumerate(results, start=1)]
    body = b"[" + b",".join(entries) + b"]"
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class _Well(asyncio.Protocol):
    def __init__(self) -> None:
        self._pending = b""
        self._count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        request = self._pending + data
        end = request.find(b"\r\n\r\n")
        if end < 0 or not request.endswith(b"]"):
            self._pending = request
            return
        self._pending = b""
        path = request[5 : request.index(b" ", 5)]
        shape = "first" if b'"0x0"' in request else "slot" if b'"safe"' in request else "small"
        self.answer(path, shape)
        self._count += 1

    def answer(self, path: bytes, shape: str) -> None:
        if path.startswith(b"/clock/"):
            chain, index = int(path[7:]), int(time.monotonic() / BLOCK_TIME_S)
        else:
            chain, index = 0, {b"/mix": self._count // POLLS_PER_BLOCK, b"/new": self._count}.get(path, 0)
        self.transport.write(response(chain, index % 256, shape))


class _Hung(_Well):
    def answer(self, path: bytes, shape: str) -> None:
        pass


class _Resetting(_Well):
    def answer(self, path: bytes, shape: str) -> None:
        del path, shape
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class _Dripping(_Well):
    def answer(self, path: bytes, shape: str) -> None:
        del path
        self._drip(response(0, 0, shape), 0)

    def _drip(self, text: bytes, at: int) -> None:
        if not self.transport.is_closing():
            self.transport.write(text[at : at + 8])
            asyncio.get_running_loop().call_later(0.05, self._drip, text, at + 8)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    kinds = {"well": _Well, "hung": _Hung, "dripping": _Dripping, "resetting": _Resetting}
    servers = {name: await loop.create_server(kind, "127.0.0.1", 0, backlog=1_024) for name, kind in kinds.items()}
    print(json.dumps({name: server.sockets[0].getsockname()[1] for name, server in servers.items()}), flush=True)
    await asyncio.Event().wait()


@contextmanager
def running_nodes() -> Iterator[dict[str, int]]:
    """Run the server and give the port of each manner."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks._nodes"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve())
