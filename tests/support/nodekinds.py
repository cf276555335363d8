"""Honest nodes that are not all alike: what they lack, how far back they remember, and who stands behind them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from tocsin.testing.exchange import Exchange, Reply, Upstream
from tocsin.testing.faults import Fault
from tocsin.testing.faults.heads import BLOCK_AT
from tocsin.testing.jsonrpc import Json, error

_HASH: Final = len("0x") + 64


def block_of(call: Json) -> Any:
    """Return how a call that reads state names its block; None for every other call."""
    at = BLOCK_AT.get(call["method"])
    if at is None or not call["method"].startswith(("eth_get", "eth_call")):
        return None
    params = call.get("params", [])
    return params[at] if len(params) > at else "latest"


@dataclass
class ByNumber(Fault):
    """Takes no hashes where the block of a state is named."""

    name: ClassVar[str] = "by-number"

    async def rewrite_call(self, call: Json, exchange: Exchange) -> Json:  # noqa: ARG002 - as all faults
        block = block_of(call)
        is_hash = isinstance(block, dict) or (isinstance(block, str) and len(block) == _HASH)
        return error(call["id"], -32602, "invalid argument 1: hex string has length 64") if is_hash else call


@dataclass
class NoProofs(Fault):
    """Does not know `eth_getProof`."""

    name: ClassVar[str] = "no-proofs"

    async def rewrite_call(self, call: Json, exchange: Exchange) -> Json:  # noqa: ARG002 - as all faults
        missing = error(call["id"], -32601, "the method eth_getProof does not exist")
        return missing if call["method"] == "eth_getProof" else call


@dataclass
class Forgetful(Fault):
    """Has the state of the newest blocks alone, as a node that prunes; `keep` of them."""

    name: ClassVar[str] = "forgetful"

    keep: int = 8

    async def rewrite_call(self, call: Json, exchange: Exchange) -> Json:
        block = block_of(call)
        if block is None or call["method"] in ("eth_getBlockByNumber", "eth_getBlockReceipts"):
            return call
        memo = exchange.memo
        if "height" not in memo:
            [memo["height"]] = await exchange.ask(("eth_blockNumber", []))
        key = str(block)
        if key not in memo:
            memo[key] = await self._number(block, exchange)
        if memo[key] is None or memo[key] > int(memo["height"], 16) - self.keep:
            return call
        return error(call["id"], -32000, "missing trie node 5a1d (path ) state 0x5a1d is not available")

    async def _number(self, block: Any, exchange: Exchange) -> int | None:
        if isinstance(block, dict) or len(block) == _HASH:
            named = block.get("blockHash") if isinstance(block, dict) else block
            [found] = await exchange.ask(("eth_getBlockByHash", [named, False]))
            return int(found["number"], 16) if isinstance(found, dict) else None
        return int(block, 16) if block.startswith("0x") else None


class Balanced:
    """An upstream that is several: each request goes to one of them, by chance. Its seed makes it reproducible."""

    def __init__(self, behind: Sequence[Upstream], seed: int) -> None:
        self._behind = behind
        self._dice = random.Random(seed)  # noqa: S311 - a seeded simulation

    @property
    def ws_url(self) -> str | None:
        return None

    async def ask(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        return await self._dice.choice(self._behind).ask(body, headers)

    async def close(self) -> None:
        for one in self._behind:
            await one.close()
