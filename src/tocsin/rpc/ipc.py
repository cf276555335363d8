"""JSON-RPC over a unix socket: bare JSON, one exchange per connection at a time.

Ids are the same in every ask, so answers of two asks on one connection could not be told apart: each exchange has its
connection to itself, and one that was given up is closed, because its answer would come later.
"""

import asyncio
import errno
from urllib.parse import unquote, urlsplit

from tocsin.rpc.channel import Progress, Reply
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import BodyCutOff, BodyTooLarge
from tocsin.rpc.framing import Framer

_CHUNK = 256 * 1024

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class IpcChannel:
    """Connections to one socket file, opened when needed, kept while they are sound."""

    def __init__(self, endpoint: Endpoint) -> None:
        parts = urlsplit(endpoint.url.reveal())
        self._path = unquote(parts.netloc + parts.path)
        self._cap = endpoint.max_body
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._idle: list[_Connection] = []
        self._busy: set[asyncio.StreamWriter] = set()

    async def post(self, body: bytes, progress: Progress) -> Reply:
        async with self._slots:
            reader, writer = self._reuse() or await self._open()
            self._busy.add(writer)
            sound = False
            try:
                writer.write(body + b"\n")
                await writer.drain()
                answer, sound = await self._read(reader, progress)
            finally:
                self._busy.discard(writer)
                if sound:
                    self._idle.append((reader, writer))
                else:
                    writer.transport.abort()
        return Reply(200, answer)

    async def _open(self) -> _Connection:
        if "\0" in self._path:
            raise FileNotFoundError(errno.ENOENT, "no file has such a name")
        return await asyncio.open_unix_connection(self._path)

    def _reuse(self) -> _Connection | None:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return None

    async def _read(self, reader: asyncio.StreamReader, progress: Progress) -> tuple[bytes, bool]:
        """Return one value, and whether the connection is fit for another exchange: nothing but spaces came after."""
        framer = Framer()
        chunks: list[bytes] = []
        while progress.received <= self._cap:
            chunk = await reader.read(_CHUNK)
            if not chunk:
                if not progress.received:
                    raise ConnectionResetError("the socket was closed without an answer")
                raise BodyCutOff("the socket was closed in the middle of an answer")
            progress.received += len(chunk)
            end = framer.end(chunk)
            if end is not None and progress.received <= self._cap:
                return b"".join([*chunks, chunk[:end]]), not chunk[end:].strip()
            chunks.append(chunk)
        raise BodyTooLarge(f"the answer is longer than {self._cap} bytes")

    def hint(self) -> str | None:
        return None

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.transport.abort()
        for writer in self._busy:
            writer.transport.abort()
        self._idle.clear()
