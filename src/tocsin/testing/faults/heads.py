"""Faults of what a node believes to be the chain, each consistent with itself in every call.

A node that is stale in one method and fresh in another is found out by accident. These agree with themselves:
tags, numbers, hashes, state reads and announcements all follow the same false view. The limits: logs and receipts
inside a forked block keep the upstream's block hash, and a reorg of the upstream below a frozen head shows through.
"""
# ruff: noqa: ARG002 - every fault's hooks take the same arguments

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from tocsin.testing.exchange import Exchange
from tocsin.testing.faults.base import Fault, number
from tocsin.testing.jsonrpc import SERVER_ERROR, Json, error, result

BLOCK_AT: Final = {
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getTransactionByBlockNumberAndIndex": 0,
    "eth_getUncleCountByBlockNumber": 0,
    "debug_traceBlockByNumber": 0,
    "debug_getRawHeader": 0,
    "eth_call": 1,
    "eth_createAccessList": 1,
    "eth_estimateGas": 1,
    "eth_feeHistory": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_simulateV1": 1,
    "debug_traceCall": 1,
    "eth_getProof": 2,
    "eth_getStorageAt": 2,
}
"""At which position a method names its block; left out, it means latest."""

_BLOCK_OBJECTS: Final = frozenset(
    {
        "eth_getBlockByNumber",
        "eth_getBlockReceipts",
        "eth_getBlockTransactionCountByNumber",
        "eth_getTransactionByBlockNumberAndIndex",
        "eth_getUncleCountByBlockNumber",
    }
)
"""Methods that answer null for a block that is not there; the others answer with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heights:
    """What the tags of a node stand for; None where the node has no such block."""

    latest: int
    safe: int | None
    finalized: int | None

    def lowered(self, blocks: int) -> "Heights":
        """Return the same heights this much lower, at least 0."""
        down = [None if height is None else max(0, height - blocks) for height in (self.safe, self.finalized)]
        return Heights(latest=max(0, self.latest - blocks), safe=down[0], finalized=down[1])

    def of(self, tag: object) -> int | None:
        """Return the height behind a tag or hex number; None for none."""
        if tag in ("latest", "pending"):
            return self.latest
        if tag in ("safe", "finalized"):
            return self.safe if tag == "safe" else self.finalized
        return hex_number(tag)


def hex_number(value: object) -> int | None:
    """Read a hex quantity; None for anything else."""
    try:
        return int(value, 16) if isinstance(value, str) and value.startswith("0x") else None
    except ValueError:
        return None


def height_of(block: object) -> int | None:
    """Return the number of a JSON-RPC block; None for anything else."""
    return hex_number(block.get("number")) if isinstance(block, dict) else None


async def upstream_heights(exchange: Exchange) -> Heights:
    """Ask the upstream what its tags stand for. Raises ConnectionError when it does not say."""
    if "heights" not in exchange.memo:
        tags = ("latest", "safe", "finalized")
        blocks = await exchange.ask(*(("eth_getBlockByNumber", [tag, False]) for tag in tags))
        latest, safe, finalized = (height_of(block) for block in blocks)
        if latest is None:
            raise ConnectionError("the upstream names no latest block")
        exchange.memo["heights"] = Heights(latest=latest, safe=safe, finalized=finalized)
    found: Heights = exchange.memo["heights"]
    return found


@dataclass
class Lowered(Fault, ABC):
    """Base: the node's chain ends at a lower height than the upstream's."""

    alters_heads: ClassVar[bool] = True

    @abstractmethod
    async def heights(self, exchange: Exchange) -> Heights:
        """Return what the tags stand for in this view. Raises ConnectionError when the upstream does not say."""

    async def rewrite_call(self, call: Json, exchange: Exchange) -> Json:
        view = await self.heights(exchange)
        params = call.get("params")
        if not isinstance(params, list):
            return call
        if call["method"] == "eth_getLogs":
            return {**call, "params": [_clamped_filter(params[0], view), *params[1:]]} if params else call
        at = BLOCK_AT.get(call["method"])
        if at is None or len(params) < at:
            return call
        block = params[at] if len(params) > at else "latest"
        return await self._at_block(call, [*params[:at], block, *params[at + 1 :]], at, exchange)

    async def _at_block(self, call: Json, params: list[Any], at: int, exchange: Exchange) -> Json:
        view = await self.heights(exchange)
        block = params[at]
        if isinstance(block, dict) and "blockHash" in block:
            [found] = await exchange.ask(("eth_getBlockByHash", [block["blockHash"], False]))
            known = height_of(found)
            return _absent(call) if known is not None and known > view.latest else call
        height = view.of(block.get("blockNumber") if isinstance(block, dict) else block)
        if height is None:
            return _absent(call) if block in ("safe", "finalized") else call
        if height > view.latest:
            return _absent(call)
        return {**call, "params": [*params[:at], hex(height), *params[at + 1 :]]}

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        view = await self.heights(exchange)
        value = answer.get("result")
        if call["method"] == "eth_blockNumber" and value is not None:
            return result(call.get("id"), hex(view.latest))
        if isinstance(value, dict):
            found = hex_number(value.get("number", value.get("blockNumber")))
            if found is not None and found > view.latest:
                return result(call.get("id"), None)
        return answer


def _absent(call: Json) -> Json:
    if call["method"] in _BLOCK_OBJECTS:
        return result(call.get("id"), None)
    return error(call.get("id"), SERVER_ERROR, "header not found")


def _clamped_filter(wanted: object, view: Heights) -> object:
    if not isinstance(wanted, dict) or "blockHash" in wanted:
        return wanted
    ends = {key: view.of(wanted.get(key, "latest")) for key in ("fromBlock", "toBlock")}
    # A range that begins beyond the head stays beyond it and finds nothing; one that reaches past the head is cut.
    if ends["toBlock"] is not None and (ends["fromBlock"] or 0) <= view.latest:
        ends["toBlock"] = min(ends["toBlock"], view.latest)
    return {**wanted, **{key: hex(height) for key, height in ends.items() if height is not None}}


@dataclass
class Stale(Lowered):
    """The chain stands still for this node, `behind` blocks below the head at the moment when the fault was set."""

    name: ClassVar[str] = "stale"
    usage: ClassVar[str] = "[BLOCKS_BEHIND]"

    behind: int = 0
    _frozen: Heights | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(behind=number(arg, 0))

    @property
    def arg(self) -> str:
        return str(self.behind) if self.behind else ""

    async def begin(self, exchange: Exchange) -> None:
        self._frozen = (await upstream_heights(exchange)).lowered(self.behind)

    async def heights(self, exchange: Exchange) -> Heights:
        # Set while the upstream was away: frozen at the first request that reaches it.
        if self._frozen is None:
            await self.begin(exchange)
        if self._frozen is None:
            raise ConnectionError("the upstream names no latest block")
        return self._frozen


@dataclass
class Regress(Lowered):
    """The head goes back by this many blocks, then grows again: at its start a regress, from then on a lag."""

    name: ClassVar[str] = "regress"
    usage: ClassVar[str] = "[BLOCKS]"

    blocks: int = 5

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(blocks=number(arg, 5, least=1))

    @property
    def arg(self) -> str:
        return str(self.blocks)

    async def heights(self, exchange: Exchange) -> Heights:
        return (await upstream_heights(exchange)).lowered(self.blocks)


@dataclass
class CorruptHeader(Fault):
    """One field of every header is changed, but the old hash is kept."""

    name: ClassVar[str] = "corrupt-header"
    usage: ClassVar[str] = "[FIELD], such as stateRoot or gasUsed"
    alters_heads: ClassVar[bool] = True

    header_field: str = "stateRoot"

    @classmethod
    def parse(cls, arg: str) -> Self:
        return cls(header_field=arg or "stateRoot")

    @property
    def arg(self) -> str:
        return self.header_field

    async def rewrite_answer(self, call: Json, answer: Json, exchange: Exchange) -> Json:
        block = answer.get("result")
        if not isinstance(block, dict) or "parentHash" not in block or self.header_field not in block:
            return answer
        text = str(block[self.header_field])
        # The lowest bit of the last digit: still a valid value of the same length, and never a leading zero.
        changed = text[:-1] + format(int(text[-1], 16) ^ 1, "x")
        return {**answer, "result": {**block, self.header_field: changed}}
