"""A fault proxy: N virtual nodes on N ports before one or more upstreams, each with faults of its own.

async with FaultProxy({"a": "http://127.0.0.1:8545", "b": "http://127.0.0.1:8545"}, seed=7) as proxy:
    await proxy.node("b").set(Stale(behind=5))
    ...  # poll proxy.url("a") and proxy.url("b")
    await proxy.node("b").clear()
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import aiohttp
import orjson
from aiohttp import WSMsgType, web

from tocsin.clock import NS
from tocsin.errors import UsageError
from tocsin.testing.exchange import Manner, Reply, Upstream
from tocsin.testing.faults.announcements import WsRefused
from tocsin.testing.faults.transport import Refused
from tocsin.testing.jsonrpc import Json
from tocsin.testing.servers import Listener
from tocsin.testing.simnode import SimNode
from tocsin.testing.upstream import HttpUpstream, NodeUpstream, forwarded
from tocsin.testing.virtualnode import VirtualNode

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: closing sends RST instead of FIN (socket(7))."""
_BLANKS: Final = b" " * 65_536
_SUBSCRIBING: Final = frozenset({"eth_subscribe", "eth_unsubscribe"})
_GONE: Final = (ConnectionError, aiohttp.ClientError)


class FaultProxy:
    """Listens for every virtual node. `nodes` maps names to URLs, upstreams or simulated nodes."""

    def __init__(
        self, nodes: Mapping[str, str | Upstream | SimNode], *, seed: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self._ports = {name: _Port(VirtualNode(name, _upstream(at), seed=seed), host) for name, at in nodes.items()}

    async def __aenter__(self) -> Self:
        try:
            for port in self._ports.values():
                await port.listener.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End every connection and listen no more."""
        for port in self._ports.values():
            await port.stop()

    @property
    def names(self) -> tuple[str, ...]:
        """The virtual nodes."""
        return tuple(self._ports)

    def node(self, name: str) -> VirtualNode:
        """Return a virtual node. Raises UsageError with the names that exist."""
        return self._port(name).node

    def url(self, name: str) -> str:
        """Return where a virtual node takes HTTP requests."""
        return self._port(name).listener.url

    def ws_url(self, name: str) -> str:
        """Return where a virtual node takes websockets: the same port."""
        return self._port(name).listener.ws_url

    def _port(self, name: str) -> "_Port":
        if name not in self._ports:
            raise UsageError(f"there is no node {name!r}; there are {', '.join(self._ports)}")
        return self._ports[name]


def _upstream(at: str | Upstream | SimNode) -> Upstream:
    if isinstance(at, str):
        return HttpUpstream(at)
    return NodeUpstream(at) if isinstance(at, SimNode) else at


class _Port:
    """A virtual node on its port."""

    def __init__(self, node: VirtualNode, host: str) -> None:
        self.node = node
        self.listener = Listener(self._handle, host=host, port=0)
        self._sockets: set[web.WebSocketResponse] = set()
        node.on_change(self._changed)

    async def stop(self) -> None:
        await self.listener.stop()
        await self.node.upstream.close()
        for fault in self.node.faults:
            await fault.end()

    async def _changed(self) -> None:
        if any(fault.ends_sockets for fault in self.node.faults):
            for open_socket in list(self._sockets):
                await open_socket.close()
        if any(isinstance(fault, Refused) for fault in self.node.faults):
            await self.listener.stop()
            return
        try:
            await self.listener.start()
        except OSError as error:
            raise UsageError(
                f"{self.node.name} cannot come back: port {self.listener.port}: {error.strerror}; free it first"
            ) from None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        reply = await self.node.exchange(await request.read(), path=request.path_qs, headers=request.headers)
        return await send(reply, request)

    # -- websocket

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        upstream = self.node.upstream.ws_url
        if upstream is None or any(isinstance(fault, WsRefused) for fault in self.node.faults):
            return web.Response(status=404, text="no websocket here\n")
        refusal = await self.node.refusal(path=request.path_qs, headers=request.headers)
        if refusal is not None:
            return await send(refusal, request)
        try:
            async with _connected(upstream, request.headers) as there:
                here = web.WebSocketResponse(heartbeat=30)
                await here.prepare(request)
                await self._relay(request, here, there)
                return here
        except _GONE:
            return web.Response(status=502, text="the upstream's websocket does not answer\n")

    async def _relay(
        self, request: web.Request, here: web.WebSocketResponse, there: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._sockets.add(here)
        try:
            async with asyncio.TaskGroup() as group:
                ways = [
                    group.create_task(_until_gone(self._outward(request, here, there))),
                    group.create_task(_until_gone(self._inward(here, there))),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
        finally:
            self._sockets.discard(here)
            with contextlib.suppress(*_GONE):
                await here.close()

    async def _outward(
        self, request: web.Request, here: web.WebSocketResponse, there: aiohttp.ClientWebSocketResponse
    ) -> None:
        """Subscriptions go on to the upstream's socket; calls take the same way as over HTTP."""
        async for message in here:
            if message.type is not WSMsgType.TEXT:
                continue
            if _subscribes(message.data):
                await there.send_str(message.data)
                continue
            reply = await self.node.exchange(
                message.data.encode(), path=request.path_qs, headers=request.headers, socket=True
            )
            if reply.manner in (Manner.RESET, Manner.CLOSE):
                return
            if reply.manner is not Manner.HANG and reply.body:
                await here.send_str(reply.body.decode(errors="replace"))

    async def _inward(self, here: web.WebSocketResponse, there: aiohttp.ClientWebSocketResponse) -> None:
        last: Any = (await self.node.latest() or {}).get("hash")
        async for message in there:
            if message.type is not WSMsgType.TEXT:
                continue
            parsed = orjson.loads(message.data)
            head = _announced_head(parsed)
            if head is None:
                await here.send_str(message.data)
                continue
            shown = await self.node.announced(head)
            # A false view that has not moved announces nothing, however often the upstream does.
            unmoved = shown is not head and shown is not None and shown.get("hash") == last
            if shown is not None and not unmoved:
                last = shown.get("hash")
                parsed["params"]["result"] = shown
                await here.send_str(orjson.dumps(parsed).decode())


@asynccontextmanager
async def _connected(url: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.ws_connect(url, headers=forwarded(headers), heartbeat=30) as there,
    ):
        yield there


async def _until_gone(way: Awaitable[None]) -> None:
    """Run one direction of a relay; its end at either side's leaving is no error."""
    with contextlib.suppress(*_GONE):
        await way


def _subscribes(text: str) -> bool:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    entries = parsed if isinstance(parsed, list) else [parsed]
    return any(isinstance(entry, dict) and entry.get("method") in _SUBSCRIBING for entry in entries)


def _announced_head(message: Any) -> Json | None:
    match message:
        case {"method": "eth_subscription", "params": {"result": {"parentHash": _} as head}}:
            return dict(head)
    return None


# -- replies over the wire


async def send(reply: Reply, request: web.Request) -> web.StreamResponse:
    """Send a reply in its manner."""
    match reply.manner:
        case Manner.PLAIN:
            return web.Response(
                status=reply.status, body=reply.body, headers=dict(reply.headers), content_type=reply.content_type
            )
        case Manner.HANG:
            await asyncio.Event().wait()
        case Manner.RESET:
            return _cut(request, reset=True)
        case Manner.CLOSE:
            return _cut(request, reset=False)
    with contextlib.suppress(*_GONE):
        return await _stream(reply, request)
    return web.Response(status=499)


def _cut(request: web.Request, *, reset: bool) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        else:
            transport.close()
    return web.Response(status=499)


async def _stream(reply: Reply, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
    response.content_type = reply.content_type
    if reply.manner is Manner.ENDLESS:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(reply.body)
    await response.prepare(request)
    if reply.manner is Manner.DRIP:
        for at in range(0, len(reply.body), reply.chunk):
            await response.write(reply.body[at : at + reply.chunk])
            await asyncio.sleep(reply.pause_ns / NS)
        await response.write_eof()
        return response
    await response.write(reply.body if reply.manner is Manner.ENDLESS else reply.body[: len(reply.body) // 2])
    while reply.manner is Manner.ENDLESS:
        await response.write(_BLANKS)
    _cut(request, reset=False)
    return response
