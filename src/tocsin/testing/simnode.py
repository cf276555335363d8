"""A simulated node: JSON-RPC over the simulated chain, in process (`answer`) or over HTTP and websocket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from tocsin.clock import MS
from tocsin.testing.jsonrpc import INVALID_PARAMS, METHOD_MISSING, Refusal, answer
from tocsin.testing.servers import Listener, serve
from tocsin.testing.simblock import SimBlock
from tocsin.testing.simchain import MAIN, SimChain
from tocsin.testing.simdata import SimData
from tocsin.testing.simview import SimView

_HASH_LENGTH = 66


class SimNode:
    """One node that looks at the chain: set `view.branch`, `view.delay_ns`, `view.freeze()`, `syncing` at any time."""

    def __init__(
        self,
        chain: SimChain,
        *,
        name: str = "sim",
        branch: str = MAIN,
        delay_ns: int = 0,
        sigma: float = 0.0,
        client: str = "tocsin-sim/v1.0.0",
        peers: int = 25,
    ) -> None:
        self.name = name
        self.view = SimView(chain, name=name, branch=branch, delay_ns=delay_ns, sigma=sigma)
        self.data = SimData(self.view)
        """How far back it answers what, and what its pool holds."""
        self.client = client
        self.peers = peers
        self.syncing: bool | dict[str, str] = False
        """What `eth_syncing` says, as it goes over the wire."""
        self._methods: dict[str, Callable[[list[Any]], object]] = {
            "eth_chainId": lambda _: hex(chain.spec.chain_id),
            "net_version": lambda _: str(chain.spec.chain_id),
            "eth_blockNumber": lambda _: hex(self.view.head().number),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_syncing": lambda _: self.syncing,
            "net_peerCount": lambda _: hex(self.peers),
            "net_listening": lambda _: True,
            "web3_clientVersion": lambda _: self.client,
            "eth_capabilities": lambda _: self.data.offers,
            **self.data.methods(),
        }

    def answer(self, body: bytes) -> bytes:
        """Answer one request body, single or batch, as the HTTP endpoint would."""
        self.view.turn()
        return answer(body, self.call)

    def call(self, method: str, params: list[Any]) -> object:
        """Answer one call. Raises `Refusal` for what a node answers with an error."""
        if method not in self._methods or self.data.lacks(method):
            raise Refusal(METHOD_MISSING, f"the method {method} does not exist/is not available")
        return self._methods[method](params)

    def _block_by_number(self, params: list[Any]) -> object:
        where, full = _two(params)
        match where:
            case "latest" | "pending":
                block: SimBlock | None = self.view.head()
            case "safe":
                block = self.view.safe()
            case "finalized":
                block = self.view.finalized()
            case "earliest":
                block = self.view.at(0)
            case _:
                block = self.view.at(_number(where))
                block = block if block is not None and self.data.keeps(block, self.data.headers) else None
        return self._render(block, full=full)

    def _block_by_hash(self, params: list[Any]) -> object:
        where, full = _two(params)
        if len(where) != _HASH_LENGTH:
            raise Refusal(INVALID_PARAMS, "invalid argument 0: a hash has 32 bytes")
        return self._render(self.view.by_hash(where.lower()), full=full)

    def _render(self, block: SimBlock | None, *, full: bool) -> object:
        spec = self.view.chain.spec
        if block is None:
            return None
        return block.body(transactions=spec.transactions, withdrawals=spec.withdrawals, full=full)


def _two(params: list[Any]) -> tuple[str, bool]:
    match params:
        case [str() as where, bool() as full]:
            return where, full
    raise Refusal(INVALID_PARAMS, "expected a block and whether transactions are wanted in full")


def _number(text: str) -> int:
    try:
        if text.startswith("0x"):
            return int(text, 16)
    except ValueError:
        pass
    raise Refusal(INVALID_PARAMS, "invalid argument 0: hex string without 0x prefix or unknown tag")


def path_between(old: SimBlock, new: SimBlock) -> Iterator[SimBlock]:
    """Yield the blocks that lead to `new` from where it parts with `old`, lowest first."""
    known, block, path = old, new, []
    while block is not known:
        if block.number >= known.number:
            path.append(block)
            if block.parent is None:
                break
            block = block.parent
        elif known.parent is not None:
            known = known.parent
    return reversed(path)


class _Endpoint:
    """HTTP and websocket for one node, on one port."""

    def __init__(self, node: SimNode, interval_s: float) -> None:
        self._node = node
        self._interval_s = interval_s
        self._subscriptions = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        if request.method != "POST":
            return web.Response(status=405, text="only POST\n")
        body = self._node.answer(await request.read())
        return web.Response(body=body, content_type="application/json") if body else web.Response(status=204)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        heads: dict[str, SimBlock] = {}
        async with asyncio.TaskGroup() as group:
            announcer = group.create_task(self._announce(socket, heads))
            try:
                await self._converse(socket, heads)
            finally:
                announcer.cancel()
        return socket

    async def _converse(self, socket: web.WebSocketResponse, heads: dict[str, SimBlock]) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                body = answer(message.data.encode(), lambda *call: self._ws_call(heads, *call))
                if body:
                    await socket.send_str(body.decode())

    def _ws_call(self, heads: dict[str, SimBlock], method: str, params: list[Any]) -> object:
        if method == "eth_subscribe":
            if params[:1] != ["newHeads"]:
                raise Refusal(INVALID_PARAMS, "no such subscription; newHeads is")
            self._subscriptions += 1
            subscription = hex(self._subscriptions)
            heads[subscription] = self._node.view.head()
            return subscription
        if method == "eth_unsubscribe":
            return bool(params) and heads.pop(str(params[0]), None) is not None
        return self._node.call(method, params)

    async def _announce(self, socket: web.WebSocketResponse, heads: dict[str, SimBlock]) -> None:
        """Send new heads until the peer is gone, which the conversation notices too."""
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(self._interval_s)
                for subscription, known in list(heads.items()):
                    head = self._node.view.head()
                    for block in path_between(known, head):
                        await socket.send_str(_notification(subscription, block.head()))
                    if subscription in heads:
                        heads[subscription] = head


def _notification(subscription: str, head: Mapping[str, object]) -> str:
    params = {"subscription": subscription, "result": head}
    return orjson.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}).decode()


@asynccontextmanager
async def serve_nodes(
    *nodes: SimNode, host: str = "127.0.0.1", interval_ns: int = 50 * MS
) -> AsyncIterator[dict[str, Listener]]:
    """Serve each node on a free port of its own; gives the listeners by node name.

    `interval_ns` is how often a websocket looks for a new head, on the event loop's clock.
    """
    async with contextlib.AsyncExitStack() as stack:
        listeners = {}
        for node in nodes:
            endpoint = _Endpoint(node, interval_ns / 1e9)
            listeners[node.name] = await stack.enter_async_context(serve(endpoint.handle, host=host))
        yield listeners
