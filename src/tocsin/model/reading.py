"""Questions about the state of one block: what is asked, and how a node is told of which block.

A question is a call name, as `tocsin.model.observation` has them for the polls, so that the answer carries what was
asked. One that reads several things at one block stands for several requests, which go out in one batch.

How the block is named differs by client (EIP-1898, which not all know). By number alone another block may answer: then
the header of that number is asked for before and after, and what was read counts if it is the block both times.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from tocsin.model import logquery
from tocsin.model.block import BlockRef
from tocsin.model.logquery import LogQuery
from tocsin.model.observation import by_number, singles

READ: Final = "read:"
_WORD: Final = 64
_SHORT: Final = 1024
"""Characters of a call of one thing; of longer ones, which are asked once of each node, few are kept."""
_HEX: Final = re.compile(r"[0-9a-f]*")
_PLACE: Final = re.compile(r"(object|hash|number):(0|[1-9][0-9]{0,18}):(0x[0-9a-f]{64}):(.+)")


class Pin(StrEnum):
    """How a request names its block. Closed: stands in call names."""

    OBJECT = "object"
    """`{"blockHash": ..., "requireCanonical": true}`: the node refuses a block that is not of its chain."""
    HASH = "hash"
    """The bare hash where a number may stand."""
    NUMBER = "number"
    """The number, between two questions for the header of that number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOf:
    """An account and some of its slots, with proofs (`eth_getProof`)."""

    address: bytes
    keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotOf:
    """One slot, without proof (`eth_getStorageAt`)."""

    address: bytes
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeOf:
    """The code of a contract (`eth_getCode`)."""

    address: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOf:
    """What a contract returns (`eth_call`); with `code`, as if that were the code at its address."""

    to: bytes
    data: bytes
    code: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptsOf:
    """All receipts of the block (`eth_getBlockReceipts`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceOf:
    """What an account has of the native coin, without proof (`eth_getBalance`)."""

    address: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsOf:
    """Logs of contracts (`eth_getLogs`): of the blocks that the question names, whichever block the others are read at.

    Of one block by its hash, or by its height where the node is told of blocks by numbers: it is of the chain below the
    header that is asked for before and after. A stretch of heights is only the same for all once it is final.
    """

    query: LogQuery


Item = ProofOf | SlotOf | CodeOf | CallOf | ReceiptsOf | BalanceOf | LogsOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Some things to read at one block."""

    block: BlockRef
    pin: Pin
    items: tuple[Item, ...]


def reading(block: BlockRef, pin: Pin, items: Sequence[Item]) -> str:
    """Return the call that reads these things, at least one, at a block."""
    told = ";".join(_written(item) for item in items)
    return f"{READ}{pin.value}:{block.number}:{block.hash}:{told}"


def parse(call: str) -> Reading | None:
    """Return what a call of `reading` reads, None for every other call."""
    if not call.startswith(READ):
        return None
    return _cached(call) if len(call) <= _SHORT else _cached_long(call)


def _parsed(call: str) -> Reading | None:
    found = _PLACE.fullmatch(call.removeprefix(READ))
    if found is None:
        return None
    pin, number, block_hash, told = found.groups()
    items = tuple([_read(text) for text in told.split(";")])
    if None in items:
        return None
    block = BlockRef(number=int(number), hash=block_hash)
    return Reading(block=block, pin=Pin(pin), items=tuple([item for item in items if item is not None]))


_cached = lru_cache(maxsize=1024)(_parsed)
"""One request is looked at where it is written, where its answer is read and where that is judged, of every node."""

_cached_long = lru_cache(maxsize=4)(_parsed)


def merged(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return each thing once, and all slots of an account that are to be proven in one proof: proofs come first."""
    keys: dict[bytes, dict[bytes, None]] = {}
    others: dict[Item, None] = {}
    for item in items:
        if isinstance(item, ProofOf):
            keys.setdefault(item.address, {}).update(dict.fromkeys(item.keys))
        else:
            others[item] = None
    proofs = (ProofOf(address=address, keys=tuple(slots)) for address, slots in keys.items())
    return (*proofs, *others)


def requests(call: str) -> tuple[str, ...]:
    """Return the calls of one request each that any call stands for, in their order."""
    return _requests(call) if call.startswith(READ) else singles(call)


@lru_cache(maxsize=8)
def _requests(call: str) -> tuple[str, ...]:
    found = parse(call)
    if found is None:
        return (call,)
    each = tuple([reading(found.block, found.pin, (item,)) for item in found.items])
    if found.pin is not Pin.NUMBER:
        return each
    header = by_number(found.block.number)
    return (header, *each, header)


def _written(item: Item) -> str:
    match item:
        case ProofOf(address=address, keys=keys):
            return ",".join(("proof", address.hex(), *(key.hex() for key in keys)))
        case SlotOf(address=address, key=key):
            return f"slot,{address.hex()},{key.hex()}"
        case CodeOf(address=address):
            return f"code,{address.hex()}"
        case CallOf(to=to, data=data, code=code):
            return f"call,{to.hex()},{data.hex()},{code.hex()}"
        case ReceiptsOf():
            return "receipts"
        case BalanceOf(address=address):
            return f"balance,{address.hex()}"
        case LogsOf(query=query):
            return logquery.logs(query)


def _read(text: str) -> Item | None:
    """Return the thing that a text of `_written` names; None for any other text."""
    query = logquery.parse(text)
    if query is not None:
        return LogsOf(query=query)
    kind, *fields = text.split(",")
    if any(len(field) % 2 or not _HEX.fullmatch(field) for field in fields):
        return None
    data = [bytes.fromhex(field) for field in fields]
    lengths = [len(field) for field in fields]
    match kind, lengths:
        case "proof", [40, *keys] if all(length == _WORD for length in keys):
            return ProofOf(address=data[0], keys=tuple(data[1:]))
        case "slot", [40, 64]:
            return SlotOf(address=data[0], key=data[1])
        case "code", [40]:
            return CodeOf(address=data[0])
        case "call", [40, _, _]:
            return CallOf(to=data[0], data=data[1], code=data[2])
        case "receipts", []:
            return ReceiptsOf()
        case "balance", [40]:
            return BalanceOf(address=data[0])
    return None
