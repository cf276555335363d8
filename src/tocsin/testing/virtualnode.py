"""One virtual node: an upstream, and the faults that stand before it. No socket here: see `FaultProxy` for those."""

import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from tocsin.testing.exchange import Exchange, Reply, Upstream
from tocsin.testing.faults.base import Fault
from tocsin.testing.jsonrpc import Json

_OK = 200
_Answers = list[Json] | Reply
"""What came of asking: answers in the order of the calls, or a reply that is no JSON-RPC and passes as it is."""


class VirtualNode:
    """A node whose faults change at run time. The same seed and requests give the same strokes of luck."""

    def __init__(self, name: str, upstream: Upstream, *, seed: int = 0) -> None:
        self.name = name
        self.upstream = upstream
        self._dice = random.Random(f"{seed}/{name}")  # noqa: S311 - a seeded simulation
        self._faults: dict[str, Fault] = {}
        self._listeners: list[Callable[[], Awaitable[None]]] = []

    # -- faults

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the node, in the order in which it was set."""
        return tuple(self._faults.values())

    async def set(self, *faults: Fault) -> None:
        """Have these faults and no others; none makes the node healthy."""
        await self._replace({fault.name: fault for fault in faults})

    async def add(self, fault: Fault) -> None:
        """Have this fault too; one of the same name is replaced."""
        await self._replace(
            {**{name: old for name, old in self._faults.items() if name != fault.name}, fault.name: fault}
        )

    async def clear(self, *names: str) -> None:
        """Heal: of the named faults, or of all."""
        await self._replace({name: fault for name, fault in self._faults.items() if names and name not in names})

    def on_change(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Call this after every change of faults."""
        self._listeners.append(listener)

    async def _replace(self, faults: dict[str, Fault]) -> None:
        old = tuple(self._faults.values())
        for fault in faults.values():
            if not any(fault is other for other in old):
                # An upstream that is away now is looked at by the first request that reaches it.
                with contextlib.suppress(ConnectionError):
                    await fault.begin(self._exchange(b"", "/", {}, tuple(faults.values())))
        self._faults = faults
        for fault in old:
            if not any(fault is other for other in faults.values()):
                await fault.end()
        for listener in self._listeners:
            await listener()

    # -- requests

    def _exchange(
        self, body: bytes, path: str, headers: Mapping[str, str], faults: tuple[Fault, ...], *, socket: bool = False
    ) -> Exchange:
        elsewhere = [other for fault in faults if (other := fault.elsewhere()) is not None]
        upstream = elsewhere[-1] if elsewhere else self.upstream
        return Exchange(body=body, path=path, headers=headers, upstream=upstream, dice=self._dice, socket=socket)

    def _struck(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self._faults.values() if fault.strikes(self._dice))

    async def exchange(
        self, body: bytes, *, path: str = "/", headers: Mapping[str, str] | None = None, socket: bool = False
    ) -> Reply:
        """Answer one request body, with whatever is wrong with the node. Never raises for a bad upstream: HTTP 502."""
        struck = self._struck()
        exchange = self._exchange(body, path, headers or {}, struck, socket=socket)
        try:
            at_once = await _at_once(exchange, struck)
            if at_once is not None:
                return at_once
            reply = await _answered(exchange, struck)
        except ConnectionError as error:
            return Reply(status=502, body=f"{error}\n".encode(), content_type="text/plain")
        for fault in struck:
            reply = fault.rewrite_reply(reply, exchange)
        return reply

    async def refusal(self, *, path: str, headers: Mapping[str, str]) -> Reply | None:
        """Say what stands against an upgrade to a websocket; None for nothing."""
        struck = self._struck()
        return await _at_once(self._exchange(b"", path, headers, struck), struck)

    async def announced(self, head: Json) -> Json | None:
        """Return the head that is announced when the upstream announces this one; None for silence."""
        if not all(fault.keeps_notification(self._dice) for fault in self._faults.values()):
            return None
        if not any(fault.alters_heads for fault in self._faults.values()):
            return head
        block = await self.latest()
        return {name: block[name] for name in head if name in block} if block is not None else None

    async def latest(self) -> Json | None:
        """Return the head that the node shows to a client right now; None when it shows none."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]}
        answers = _answers_in(await self.exchange(orjson.dumps(call)), batch=False)
        block = answers[0].get("result") if answers else None
        return block if isinstance(block, dict) else None


async def _at_once(exchange: Exchange, faults: tuple[Fault, ...]) -> Reply | None:
    for fault in faults:
        reply = await fault.before(exchange)
        if reply is not None:
            return reply
    return None


async def _answered(exchange: Exchange, faults: tuple[Fault, ...]) -> Reply:
    if not faults or not exchange.is_rpc:
        return await exchange.upstream.ask(exchange.body, exchange.headers)
    answers = await _asked(exchange, faults)
    if isinstance(answers, Reply):
        return answers
    wanted = [pair for pair in zip(exchange.calls, answers, strict=True) if pair[1]]
    rewritten = [await _rewritten(call, answer, exchange, faults) for call, answer in wanted]
    for fault in faults:
        rewritten = fault.rewrite_answers(rewritten, exchange)
    as_list = exchange.is_batch or len(rewritten) != 1
    return Reply(body=orjson.dumps(rewritten if as_list else rewritten[0]))


async def _asked(exchange: Exchange, faults: tuple[Fault, ...]) -> _Answers:
    """Return one answer for each call, empty where there is none."""
    calls = [await _rewritten_call(call, exchange, faults) for call in exchange.calls]
    asked = [call for call in calls if "method" in call]
    found: dict[bytes, Json] = {}
    if asked:
        reply = await exchange.upstream.ask(orjson.dumps(asked if exchange.is_batch else asked[0]), exchange.headers)
        answers = _answers_in(reply, batch=exchange.is_batch)
        if answers is None:
            return reply
        found = {_key(answer): answer for answer in answers}
    return [found.get(_key(call), {}) if "method" in call else call for call in calls]


def _key(message: Json) -> bytes:
    return orjson.dumps(message.get("id"))


async def _rewritten_call(call: Json, exchange: Exchange, faults: tuple[Fault, ...]) -> Json:
    for fault in faults:
        if "method" not in call:
            break
        call = await fault.rewrite_call(call, exchange)
    return call


async def _rewritten(call: Json, answer: Json, exchange: Exchange, faults: tuple[Fault, ...]) -> Json:
    for fault in faults:
        answer = await fault.rewrite_answer(call, answer, exchange)
    return answer


def _answers_in(reply: Reply, *, batch: bool) -> list[Json] | None:
    """Return the answers in an upstream's reply; None when it is no JSON-RPC answer to this kind of request."""
    if reply.status != _OK:
        return None
    try:
        parsed: Any = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None
    entries = parsed if isinstance(parsed, list) else [parsed]
    sound = isinstance(parsed, list) == batch and all(isinstance(entry, dict) for entry in entries)
    return entries if sound else None
