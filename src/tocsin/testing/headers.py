"""Header hashes, computed as Ethereum defines them: keccak-256 over the RLP of the header's fields.

The simulator's own, on purpose: what is tested must not be shared with what tests it.
Field order: Ethereum yellow paper section 4.3, then EIP-1559, EIP-4895, EIP-4844, EIP-4788 and EIP-7685.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from Crypto.Hash import keccak

_ALWAYS: Final = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
)
_LATER: Final = (
    "baseFeePerGas",
    "withdrawalsRoot",
    "blobGasUsed",
    "excessBlobGas",
    "parentBeaconBlockRoot",
    "requestsHash",
)
HEADER_FIELDS: Final = (*_ALWAYS, *_LATER)
"""The fields of a Prague header in the order in which they are hashed."""

_QUANTITIES: Final = frozenset(
    {"difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas"}
)
_SHORT = 55
"""Up to this many bytes RLP puts the length into the prefix itself."""
_SINGLE = 0x80
"""One byte below this stands for itself."""


def keccak256(data: bytes) -> bytes:
    """Return the 32 bytes of keccak-256 (not NIST SHA-3)."""
    return keccak.new(digest_bits=256, data=data).digest()


def _prefixed(body: bytes, offset: int) -> bytes:
    if len(body) <= _SHORT:
        return bytes([offset + len(body)]) + body
    size = quantity_bytes(len(body))
    return bytes([offset + _SHORT + len(size)]) + size + body


def quantity_bytes(value: int) -> bytes:
    """Return an integer as RLP wants it: big-endian without leading zeros, 0 as nothing."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


RlpItem = bytes | Sequence["RlpItem"]
"""What RLP encodes: a byte string, or a list of such things."""


def rlp(item: RlpItem) -> bytes:
    """Encode a byte string, or a list of them, however nested. Source: yellow paper appendix B."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < _SINGLE else _prefixed(item, 0x80)
    return _prefixed(b"".join(rlp(part) for part in item), 0xC0)


def _field(header: Mapping[str, object], name: str) -> bytes:
    text = str(header[name])
    return quantity_bytes(int(text, 16)) if name in _QUANTITIES else bytes.fromhex(text.removeprefix("0x"))


def header_hash(header: Mapping[str, object]) -> str:
    """Return the hash (0x-hex) of a header as JSON-RPC gives it. Later fields count as far as they are present.

    Raises KeyError for a missing field and ValueError for one that is not hex.
    """
    later = [name for name in _LATER if header.get(name) is not None]
    return "0x" + keccak256(rlp([_field(header, name) for name in (*_ALWAYS, *later)])).hex()


def rehashed(header: Mapping[str, object], **changes: object) -> dict[str, object]:
    """Return the header with these fields changed and the hash that then belongs to it."""
    changed = {**header, **changes}
    return {**changed, "hash": header_hash(changed)}


def is_reproducible(header: Mapping[str, object]) -> bool:
    """Say whether this module knows the header's field set: its own hash comes out."""
    try:
        return header_hash(header) == header["hash"]
    except (KeyError, ValueError):
        return False
