"""All logs of a block from its receipts, held against the root in the header: none is missing, added or changed.

What `eth_getLogs` leaves out looks like a quiet block. The receipts of a block can be shown whole: re-encoded, they
hash to the header's root. A header's bloom says more cheaply that a contract has written nothing there, never that it
has. Sources: yellow paper 4.4.1 and 4.4.3; EIP-658 (status), EIP-2718 (types); for deposits, the OP Stack's deposit
specification.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tocsin.chain import fields, rlp
from tocsin.chain.fields import FieldError
from tocsin.chain.header import Malformed
from tocsin.chain.keccak import keccak256
from tocsin.chain.ordered import ordered_root
from tocsin.model.log import Log

_TYPES: Final = frozenset({0, 1, 2, 3, 4})
"""Of Ethereum: legacy, EIP-2930, EIP-1559, EIP-4844 and EIP-7702. Their receipts are all written alike."""
_DEPOSIT: Final = 0x7E
"""Of the OP Stack: with the nonce (Regolith) and a version (Canyon) behind the logs."""

_MOST_TOPICS: Final = 4
_BLOOM: Final = 256
_BLOOM_BITS: Final = 0x7FF
_MOST_TYPES: Final = 0x80
"""A first byte from here on is that of a list, which a legacy receipt is (EIP-2718)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """All logs of a block in their order, proven by its receipts."""

    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """Receipts that do not hash to the root. `accuses` says whether nothing but a wrong answer can explain that."""

    reason: str
    accuses: bool


def logs_of(receipts_root: bytes, result: bytes) -> Logs | Unproven | Malformed:
    """Read the result of `eth_getBlockReceipts`, and hold it against the root of 32 bytes. Never raises."""
    try:
        receipts = orjson.loads(result)
    except orjson.JSONDecodeError as error:
        return Malformed(reason=f"no JSON: {error}")
    if not isinstance(receipts, list):
        return Malformed(reason="no list of receipts")
    try:
        encoded, logs, kinds = _read(receipts)
    except FieldError as error:
        return Malformed(reason=str(error))
    if ordered_root(encoded) == receipts_root:
        return Logs(logs=logs)
    foreign = sorted(kinds - _TYPES)
    why = f", of the types {', '.join(map(hex, foreign))} among others" if foreign else ""
    return Unproven(reason=f"{len(receipts)} receipts{why} do not hash to 0x{receipts_root.hex()}", accuses=not foreign)


def may_hold(bloom: bytes, items: Iterable[bytes]) -> bool:
    """Tell whether a bloom of 256 bytes may be of logs with all these addresses and topics; where not, none is."""
    bits = int.from_bytes(bloom)
    return all(bits & mask == mask for mask in map(_mask, items))


def bloom_of(logs: Iterable[Log]) -> bytes:
    """Return the bloom of logs, 256 bytes."""
    bits = 0
    for item in {item for log in logs for item in (log.address, *log.topics)}:
        bits |= _mask(item)
    return bits.to_bytes(_BLOOM)


def _mask(item: bytes) -> int:
    """Return the three bits of an address or a topic: eleven bits each of the first three pairs of its hash."""
    digest = keccak256(item)
    return sum({1 << (int.from_bytes(digest[at : at + 2]) & _BLOOM_BITS) for at in (0, 2, 4)})


# -- receipts


def _read(receipts: list[Any]) -> tuple[list[bytes], tuple[Log, ...], set[int]]:
    """Return each receipt as it is hashed, all logs, and the types of the transactions."""
    encoded: list[bytes] = []
    logs: list[Log] = []
    kinds: set[int] = set()
    for at, receipt in enumerate(receipts):
        if not isinstance(receipt, dict):
            raise FieldError(f"{at}: no object")
        found = _logs(receipt, str(at), len(logs))
        kind = fields.number(receipt, "type", str(at), bits=64) if "type" in receipt else 0
        if kind >= _MOST_TYPES:
            raise FieldError(f"{at}.type: no transaction has {kind:#x}")
        payload = "".join(_fields(receipt, kind, found, str(at)))
        encoded.append((bytes([kind]) if kind else b"") + bytes.fromhex(rlp.listed(payload)))
        logs += found
        kinds.add(kind)
    return encoded, tuple(logs), kinds


def _fields(receipt: dict[str, Any], kind: int, logs: Sequence[Log], where: str) -> list[str]:
    """Return the fields of a receipt as they are encoded, in hex."""
    # Before Byzantium the state's root stood where the status does.
    has_root = receipt.get("root") is not None and receipt.get("status") is None
    first = (
        rlp.string(fields.data(receipt, "root", where, length=32).hex())
        if has_root
        else rlp.integer(f"{fields.number(receipt, 'status', where, bits=64):x}")
    )
    found = [
        first,
        rlp.integer(f"{fields.number(receipt, 'cumulativeGasUsed', where, bits=64):x}"),
        rlp.string(fields.data(receipt, "logsBloom", where, length=_BLOOM).hex()),
        rlp.listed("".join(map(_encoded, logs))),
    ]
    if kind == _DEPOSIT:
        appended = [name for name in ("depositNonce", "depositReceiptVersion") if receipt.get(name) is not None]
        found += [rlp.integer(f"{fields.number(receipt, name, where, bits=64):x}") for name in appended]
    return found


def _encoded(log: Log) -> str:
    topics = rlp.listed("".join([rlp.string(topic.hex()) for topic in log.topics]))
    return rlp.listed(rlp.string(log.address.hex()) + topics + rlp.string(log.data.hex()))


def _logs(receipt: dict[str, Any], where: str, first: int) -> list[Log]:
    logs = receipt.get("logs")
    if not isinstance(logs, list):
        raise FieldError(f"{where}.logs: no list")
    return [_log(log, f"{where}.logs.{at}", first + at) for at, log in enumerate(logs)]


def _log(log: object, where: str, index: int) -> Log:
    if not isinstance(log, dict):
        raise FieldError(f"{where}: no object")
    topics = log.get("topics")
    if not isinstance(topics, list) or len(topics) > _MOST_TOPICS:
        raise FieldError(f"{where}.topics: no list of {_MOST_TOPICS} at most")
    return Log(
        index=index,
        address=fields.data(log, "address", where, length=20),
        topics=tuple([fields.data_of(topic, f"{where}.topics.{at}", length=32) for at, topic in enumerate(topics)]),
        data=fields.data(log, "data", where),
    )
