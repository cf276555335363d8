"""Faults that show blocks which the upstream does not have, with hashes that are right for their contents."""
# ruff: noqa: ARG003 - every fault's hooks take the same arguments

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from tocsin.testing.exchange import Exchange, Upstream
from tocsin.testing.faults.base import Fault, number
from tocsin.testing.faults.heads import BLOCK_AT, height_of, hex_number, upstream_heights
from tocsin.testing.headers import is_reproducible, keccak256, rehashed
from tocsin.testing.jsonrpc import Json, result

_REMEMBERED: Final = 256
_FORK_MARK: Final = "0x" + b"tocsin-chaos fork".hex()


def _reproducible(header: Mapping[str, object]) -> Mapping[str, object]:
    if not is_reproducible(header):
        raise ConnectionError(
            "the upstream's headers have fields of an unknown fork: no right hash can be made for them"
        )
    return header


@dataclass
class PhantomHead(Fault):
    """The head is a sound-looking block far `ahead`, whose parent nobody has."""

    name: ClassVar[str] = "phantom-head"
    usage: ClassVar[str] = "[BLOCKS_AHEAD]"
    alters_heads: ClassVar[bool] = True

    ahead: int = 1000
    _shown: dict[str, Json] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(ahead=number(arg, 1000, least=1))

    @property
    def arg(self) -> str:
        return str(self.ahead)

    async def _phantom(self, exchange: Exchange) -> Json:
        if "phantom" not in exchange.memo:
            [head] = await exchange.ask(("eth_getBlockByNumber", ["latest", False]))
            height = height_of(head)
            if height is None:
                raise ConnectionError("the upstream names no latest block")
            parent = "0x" + keccak256(f"phantom/{head['hash']}".encode()).hex()
            block = rehashed(_reproducible(head), number=hex(height + self.ahead), parentHash=parent)
            self._shown = dict([*self._shown.items(), (str(block["hash"]), block)][-_REMEMBERED:])
            exchange.memo["phantom"] = block
        shown: Json = exchange.memo["phantom"]
        return shown

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        phantom = await self._phantom(exchange)
        match call:
            case {"method": "eth_blockNumber"}:
                return result(call.get("id"), phantom["number"])
            case {"method": "eth_getBlockByNumber", "params": ["latest" | "pending", *_]}:
                return result(call.get("id"), phantom)
            case {"method": "eth_getBlockByNumber", "params": [str() as height, *_]} if height == phantom["number"]:
                return result(call.get("id"), phantom)
            case {"method": "eth_getBlockByHash", "params": [str() as wanted, *_]} if wanted in self._shown:
                return result(call.get("id"), self._shown[wanted])
        return answer


@dataclass
class Forked(Fault):
    """The node is on a branch of its own that parts `depth` blocks below the head and grows with the upstream.

    The branch's headers are the upstream's with other extra data, linked and hashed anew; bodies and state are
    the upstream's.
    """

    name: ClassVar[str] = "forked"
    usage: ClassVar[str] = "[DEPTH], or the URL of a node on another branch"
    alters_heads: ClassVar[bool] = True

    depth: int = 2
    _base: int | None = field(default=None, init=False, repr=False, compare=False)
    _headers: list[Json] = field(default_factory=list, init=False, repr=False, compare=False)
    """Of the branch, from the block after `_base` up."""
    _upstream_hash: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Which block of the upstream each of our hashes stands for."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(depth=number(arg, 2))

    @property
    def arg(self) -> str:
        return str(self.depth)

    async def begin(self, exchange: Exchange) -> None:
        self._base = max(0, (await upstream_heights(exchange)).latest - self.depth)

    async def _grow(self, exchange: Exchange) -> int:
        """Rebuild the upstream's new blocks on our branch; return the number of the last common block."""
        async with self._lock:
            if self._base is None:
                await self.begin(exchange)
            base = self._base or 0
            latest = (await upstream_heights(exchange)).latest
            for height in range(base + 1 + len(self._headers), latest + 1):
                [block] = await exchange.ask(("eth_getBlockByNumber", [hex(height), False]))
                if not isinstance(block, dict):
                    break
                parent = self._headers[-1]["hash"] if self._headers else block["parentHash"]
                ours = rehashed(_reproducible(block), parentHash=parent, extraData=_FORK_MARK)
                self._headers.append(ours)
                self._upstream_hash[str(ours["hash"])] = str(block["hash"])
            return base

    async def rewrite_call(self, call: Json, exchange: Exchange) -> Json:
        await self._grow(exchange)
        params = call.get("params")
        if not isinstance(params, list):
            return call
        if call["method"] == "eth_getBlockByNumber" and params[:1] == ["pending"]:
            # The upstream's pending block builds on its head, not on ours.
            return {**call, "params": ["latest", *params[1:]]}
        if call["method"].endswith("ByHash") and params:
            return {**call, "params": [self._theirs(params[0]), *params[1:]]}
        at = BLOCK_AT.get(call["method"], 0)
        if len(params) > at and isinstance(params[at], dict) and "blockHash" in params[at]:
            pinned = {**params[at], "blockHash": self._theirs(params[at]["blockHash"])}
            return {**call, "params": [*params[:at], pinned, *params[at + 1 :]]}
        return call

    def _theirs(self, block_hash: Any) -> Any:
        return self._upstream_hash.get(str(block_hash), block_hash)

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        base = await self._grow(exchange)
        block = answer.get("result")
        height = height_of(block)
        if not isinstance(block, dict) or "parentHash" not in block or height is None or height <= base:
            return answer
        if height - base > len(self._headers):
            return result(call.get("id"), None)
        ours = self._headers[height - base - 1]
        asked = call["params"][0] if call["method"] == "eth_getBlockByHash" and call.get("params") else ours["hash"]
        # Asked for the upstream's own block by its hash: on this branch it does not exist.
        return (
            result(call.get("id"), _on_branch(block, ours)) if asked == ours["hash"] else result(call.get("id"), None)
        )


def _on_branch(block: Json, ours: Json) -> Json:
    """Return the block as asked (bodies may be full or not) under our header."""
    linked = {key: ours[key] for key in ("hash", "parentHash", "extraData")}
    entries = [
        {**entry, "blockHash": ours["hash"]} if isinstance(entry, dict) else entry
        for entry in block.get("transactions", [])
    ]
    same = hex_number(block.get("timestamp")) == hex_number(ours.get("timestamp"))
    return {**(block if same else ours), **linked, "transactions": entries}


@dataclass
class AnswersFrom(Fault):
    """Everything comes from another upstream, such as a lockstep node that went its own way."""

    name: ClassVar[str] = "forked"
    usage: ClassVar[str] = "URL"
    alters_heads: ClassVar[bool] = True

    upstream: Upstream

    @classmethod
    def parse(cls, arg: str) -> Self:
        raise ValueError("made by the proxy, which owns the connection")

    @property
    def arg(self) -> str:
        return str(self.upstream)

    def elsewhere(self) -> Upstream | None:
        return self.upstream

    async def end(self) -> None:
        await self.upstream.close()
