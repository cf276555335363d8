"""Questions about the state of one block: what is asked, and how a node is told of which block.

A question is a call name, as `tocsin.model.observation` has them for the polls, so that the answer carries what was
asked. One that reads several things at one block stands for several requests, which go out in one batch.

How the block is named differs by client (EIP-1898, which not all know). By number alone another block may answer: then
the header of that number is asked for before and after, and what was read counts if it is the block both times.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tocsin.model.block import BlockRef
from tocsin.model.observation import by_number, singles

READ: Final = "read:"
_WORD: Final = 64
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


Item = ProofOf | SlotOf | CodeOf | CallOf | ReceiptsOf


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
    found = _PLACE.fullmatch(call.removeprefix(READ)) if call.startswith(READ) else None
    if found is None:
        return None
    pin, number, block_hash, told = found.groups()
    items = tuple([_read(text) for text in told.split(";")])
    if None in items:
        return None
    block = BlockRef(number=int(number), hash=block_hash)
    return Reading(block=block, pin=Pin(pin), items=tuple([item for item in items if item is not None]))


def requests(call: str) -> tuple[str, ...]:
    """Return the calls of one request each that any call stands for, in their order."""
    found = parse(call)
    if found is None:
        return singles(call)
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


def _read(text: str) -> Item | None:
    """Return the thing that a text of `_written` names; None for any other text."""
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
    return None
