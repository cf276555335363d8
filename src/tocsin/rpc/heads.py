"""newHeads over a websocket: a hint that it is worth polling now, never a fact.

Subscriptions go silent with the socket alive, skip headers, and leave out what a reorg replaced. So nothing is decided
on them: a new hash wakes the poller, gaps are counted, three block times without a head mean a new connection, and
whatever else comes down the socket is counted and dropped.
"""

import asyncio
import random
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tocsin.clock import NS, EngineClock
from tocsin.model.event import Event, Woken
from tocsin.model.observation import Fault, FaultKind, RpcErrorKind
from tocsin.rpc.channel import bare_url, proxy_of
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.faults import fault_of
from tocsin.rpc.provisional import FinalResponse
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.tls import context_of
from tocsin.wire.quirks import classify, clean

_SUBSCRIBE = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'
_MESSAGE_CAP = 1024 * 1024
"""A head is 2 kB; a full block of a client that sends it all is below 500 kB."""

_SHORTEST_SILENCE_NS = 5 * NS
_CONNECT_S = 10.0
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_HOPELESS_WAIT_S = 600.0
"""For a node that has no subscriptions at all; a restart with other flags is noticed all the same."""

_MOST_MESSAGES_A_SECOND = 500
_MOST_BYTES_A_SECOND = 2 * 1024 * 1024
_MOST_WAKES_A_SECOND = 20
"""Chains make up to four blocks a second; more is a flood, and would only fill the journal."""

_REMEMBERED = 256
_QUANTITY = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,14})", re.IGNORECASE)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.IGNORECASE)


@dataclass(slots=True)
class HeadStats:
    """What happened on the socket so far, for metrics."""

    heads: int = 0
    duplicates: int = 0
    gaps: int = 0
    """Heights that were skipped."""
    breaks: int = 0
    """Heads whose parent is not the head before: a reorg, or a gap at equal heights."""
    garbage: int = 0
    suppressed: int = 0
    connects: int = 0
    fault: Fault | None = None
    """Why there is no subscription now."""


@dataclass(frozen=True, slots=True)
class Head:
    """An announced head."""

    number: int
    hash: str
    parent: str


class _Lost(Exception):  # noqa: N818 - reads as the condition
    """The subscription is of no more use."""

    def __init__(self, fault: Fault, *, hopeless: bool = False) -> None:
        super().__init__(fault.detail)
        self.fault = fault
        self.hopeless = hopeless


class Heads:
    """The newHeads subscription of one node. `run` belongs to a task of the caller; it ends when cancelled."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: EngineClock,
        resolver: Resolver,
        block_time_ns: int,
        wake: Callable[[], None],
        seed: int | str = 0,
        first_wait_s: float = _FIRST_WAIT_S,
        silence_ns: int | None = None,
    ) -> None:
        """`silence_ns` defaults to three block times, at least 5 s. Raises ValueError when there is no `ws` URL."""
        if endpoint.ws is None:
            raise ValueError(f"node {endpoint.node} of {endpoint.chain} has no ws URL")
        self.stats = HeadStats()
        self._endpoint = endpoint
        self._url, self._credentials = bare_url(endpoint.ws)
        self._clock = clock
        self._resolver = resolver
        self._wake = wake
        self._random = random.Random(f"{seed}/{endpoint.chain}/{endpoint.node}/heads")  # noqa: S311 - jitter
        self._first_wait_s = first_wait_s
        self._silence_s = (silence_ns or max(3 * block_time_ns, _SHORTEST_SILENCE_NS)) / NS
        self._wait_s = first_wait_s
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._last: Head | None = None
        self._ours: Exception | None = None
        self._window = (0, 0, 0)  # second, messages, wakes
        self._bytes = 0  # in that second

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Subscribe, emit a `Woken` per new head and wake the poller, until cancelled; reconnect for ever."""
        while True:
            try:
                await self._subscription(emit)
            except _Lost as lost:
                self.stats.fault = lost.fault
                hopeless = lost.hopeless
            except Exception as error:  # whatever sockets, TLS, HTTP and websockets can raise
                if error is self._ours:
                    raise
                self.stats.fault = _fault(error)
                hopeless = False
            await asyncio.sleep(_HOPELESS_WAIT_S if hopeless else self._next_wait_s())

    def _next_wait_s(self) -> float:
        wait, self._wait_s = self._wait_s, min(2 * self._wait_s, _LONGEST_WAIT_S)
        return wait * self._random.uniform(0.5, 1.0)

    async def _subscription(self, emit: Callable[[Event], None]) -> None:
        secure = self._url.scheme == "wss"
        connector = aiohttp.TCPConnector(
            limit=1,
            resolver=self._resolver,
            use_dns_cache=False,
            force_close=True,
            ssl=context_of(self._endpoint) if secure else True,
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=None)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            response_class=FinalResponse,
            trust_env=False,
        ) as client:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    socket = await self._connect(client)
            except aiohttp.ClientConnectorError:
                self._resolver.expire(self._url.host or "")
                raise
            self.stats.connects += 1
            try:
                await socket.send_str(_SUBSCRIBE)
                await self._listen(socket, emit)
            finally:
                # The connection goes first: a polite end would read on until the node takes its leave, and one that
                # sends without end never does.
                await client.close()
                await socket.close()

    async def _connect(self, client: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse[bool]:
        headers = {name: value.reveal() for name, value in self._endpoint.headers}
        if self._credentials:
            headers["Authorization"] = self._credentials
        proxy, proxy_headers = proxy_of(self._endpoint)
        return await client.ws_connect(
            self._url,
            headers=headers,
            max_msg_size=_MESSAGE_CAP,
            autoping=False,
            proxy=proxy,
            proxy_headers=proxy_headers or None,
            timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0),
        )

    async def _listen(self, socket: "aiohttp.ClientWebSocketResponse[bool]", emit: Callable[[Event], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(self._silence_s) as silence:
                    while True:
                        message = await socket.receive()
                        self._count_message(message)
                        if message.type is aiohttp.WSMsgType.PING:
                            await socket.pong(message.data)
                        elif self._on_message(message, emit):
                            self._wait_s = self._first_wait_s
                            silence.reschedule(loop.time() + self._silence_s)
            except TimeoutError:
                detail = f"no head over the websocket for {self._silence_s:g} s"
                raise _Lost(Fault(kind=FaultKind.TIMEOUT, detail=detail)) from None

    def _count_message(self, message: Any) -> None:
        size = len(message.data) if isinstance(message.data, (str, bytes)) else 0
        second = self._clock.t_ns() // NS
        then, messages, wakes = self._window
        self._window = (second, messages + 1, wakes) if second == then else (second, 1, 0)
        self._bytes = self._bytes + size if second == then else size
        if self._window[1] > _MOST_MESSAGES_A_SECOND:
            raise _flood(f"{_MOST_MESSAGES_A_SECOND} messages")
        if self._bytes > _MOST_BYTES_A_SECOND:
            raise _flood(f"{_MOST_BYTES_A_SECOND} bytes")

    def _on_message(self, message: Any, emit: Callable[[Event], None]) -> bool:
        """Take one message; True when it was a head."""
        if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}:
            raise _Lost(Fault(kind=FaultKind.RESET, detail="the node closed the websocket"))
        if message.type is aiohttp.WSMsgType.ERROR:
            raise _Lost(
                Fault(kind=FaultKind.MALFORMED, detail="the websocket broke its rules, or a message was too long")
            )
        head = self._head_in(message.data)
        if head is None:
            return False
        self.stats.fault = None
        self._on_head(head, emit)
        return True

    def _head_in(self, data: object) -> Head | None:
        try:
            document = orjson.loads(data) if isinstance(data, (str, bytes)) else None
        except orjson.JSONDecodeError:
            document = None
        if isinstance(document, dict) and document.get("id") == 1 and document.get("method") is None:
            self._on_subscribed(document)
            return None
        head = read_head(document)
        if head is None:
            self.stats.garbage += 1
        return head

    def _on_subscribed(self, document: dict[str, Any]) -> None:
        error = document.get("error")
        if not isinstance(error, dict):
            return
        code = error.get("code")
        message = clean(str(error["message"])) if isinstance(error.get("message"), str) else ""
        kind = classify(code if type(code) is int else 0, message)
        fault_kind = FaultKind.RATE_LIMITED if kind is RpcErrorKind.RATE_LIMITED else FaultKind.RPC_ERROR
        fault = Fault(kind=fault_kind, detail=clean(f"newHeads refused: {message}"))
        raise _Lost(fault, hopeless=kind is RpcErrorKind.METHOD_MISSING)

    def _on_head(self, head: Head, emit: Callable[[Event], None]) -> None:
        self.stats.heads += 1
        if head.hash in self._seen:
            self.stats.duplicates += 1
            return
        self._seen[head.hash] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self._measure_gap(head)
        second, messages, wakes = self._window
        if wakes >= _MOST_WAKES_A_SECOND:
            self.stats.suppressed += 1
            return
        self._window = (second, messages, wakes + 1)
        event = Woken(
            t_ns=self._clock.t_ns(),
            chain=self._endpoint.chain,
            node=self._endpoint.node,
            number=head.number,
            hash=head.hash,
        )
        try:
            emit(event)
            self._wake()
        except Exception as error:
            self._ours = error  # a mistake of the program, not of the node
            raise

    def _measure_gap(self, head: Head) -> None:
        last, self._last = self._last, head
        if last is None:
            return
        if head.number > last.number + 1:
            self.stats.gaps += head.number - last.number - 1
        elif head.parent != last.hash:
            self.stats.breaks += 1


def _flood(what: str) -> _Lost:
    return _Lost(Fault(kind=FaultKind.TOO_LARGE, detail=f"more than {what} a second over the websocket"))


def read_head(document: object) -> Head | None:
    """Return the head in a newHeads notification, None for anything else."""
    params = document.get("params") if isinstance(document, dict) else None
    result = params.get("result") if isinstance(params, dict) else None
    if not isinstance(result, dict):
        return None
    number, block_hash, parent = (result.get(key) for key in ("number", "hash", "parentHash"))
    if not (isinstance(number, str) and isinstance(block_hash, str) and isinstance(parent, str)):
        return None
    if not (_QUANTITY.fullmatch(number) and _HASH.fullmatch(block_hash) and _HASH.fullmatch(parent)):
        return None
    return Head(number=int(number, 16), hash=block_hash.lower(), parent=parent.lower())


def _fault(error: Exception) -> Fault:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return Fault(kind=FaultKind.HTTP_STATUS, detail=f"no websocket: HTTP {error.status}", status=error.status)
    return fault_of(error)
