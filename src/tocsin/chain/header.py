"""From the JSON of a block to a header whose hash was recomputed.

A mismatch accuses a node of corruption or of lying, so it is said only where nothing else can explain it: the JSON has
exactly the fields of a fork whose header is settled, each of them well-formed, nothing in it that no Ethereum client
adds, and no mark of a consensus that hashes otherwise. Everything else that does not match is `CANNOT_VERIFY`. A match
needs no such care: whatever else the JSON holds, these fields hash to this hash. Rules for other chains follow from
that. Optimism, Arbitrum and most sidechains hash as Ethereum does and match; the ones that do not are left alone.
"""

import re
from dataclasses import dataclass

import orjson

from tocsin.chain import rlp
from tocsin.chain.keccak import keccak256
from tocsin.model.block import Header, Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """The node has no such block: it answered JSON null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """The answer is not a block; `reason` names the field and what is wrong with it."""

    reason: str


_QUANTITY = 0
_BYTES = -1
_HASH = 32
_ADDRESS = 20
_BLOOM = 256
_NONCE = 8

# Order and encoding of the yellow paper, section 4.4.3: a field's length in bytes, or one of the two markers above.
_BASE: tuple[tuple[str, int], ...] = (
    ("parentHash", _HASH),
    ("sha3Uncles", _HASH),
    ("miner", _ADDRESS),
    ("stateRoot", _HASH),
    ("transactionsRoot", _HASH),
    ("receiptsRoot", _HASH),
    ("logsBloom", _BLOOM),
    ("difficulty", _QUANTITY),
    ("number", _QUANTITY),
    ("gasLimit", _QUANTITY),
    ("gasUsed", _QUANTITY),
    ("timestamp", _QUANTITY),
    ("extraData", _BYTES),
    ("mixHash", _HASH),
    ("nonce", _NONCE),
)
# Fields that forks appended, oldest first. A block of Ethereum has some of them from the left.
_APPENDED: tuple[tuple[str, int], ...] = (
    ("baseFeePerGas", _QUANTITY),  # London, EIP-1559
    ("withdrawalsRoot", _HASH),  # Shanghai, EIP-4895
    ("blobGasUsed", _QUANTITY),  # Cancun, EIP-4844
    ("excessBlobGas", _QUANTITY),  # Cancun, EIP-4844
    ("parentBeaconBlockRoot", _HASH),  # Cancun, EIP-4788
    ("requestsHash", _HASH),  # Prague, EIP-7685
    ("blockAccessListHash", _HASH),  # Amsterdam, EIP-7928
    ("slotNumber", _QUANTITY),  # Amsterdam, EIP-7843
)
_AVALANCHE: tuple[tuple[str, int], ...] = (
    ("extDataHash", _HASH),
    ("baseFeePerGas", _QUANTITY),  # Apricot 3
    ("extDataGasUsed", _QUANTITY),  # Apricot 4
    ("blockGasCost", _QUANTITY),  # Apricot 4
    ("blobGasUsed", _QUANTITY),  # Etna
    ("excessBlobGas", _QUANTITY),  # Etna
    ("parentBeaconBlockRoot", _HASH),  # Etna
    ("timestampMilliseconds", _QUANTITY),  # Granite
    ("minDelayExcess", _QUANTITY),  # Granite
)
"""What Avalanche's C-Chain has after the nonce (avalanchego, graft/coreth, customtypes, August 2026). It can match, and
never accuses: its keys are not Ethereum's."""

_HASHED = tuple(dict.fromkeys(name for name, _ in (*_BASE, *_APPENDED, *_AVALANCHE)))

_SETTLED = frozenset({0, 1, 2, 5, 6})
"""How many appended fields the final forks have: none, London and Paris, Shanghai, Cancun, Prague and Osaka.

Amsterdam's order is go-ethereum's (core/types/block.go, August 2026), but both EIPs are still in review: a header of it
can match, and cannot accuse.
"""

_BESIDE = frozenset(
    {
        "hash",
        "size",
        "totalDifficulty",  # geth before 1.15, besu, anvil
        "transactions",
        "uncles",
        "withdrawals",
        "author",  # besu, nethermind and OpenEthereum: the coinbase again
    }
)
"""What geth, nethermind, besu, erigon, reth and anvil show beside the header's own fields."""
_KNOWN = _BESIDE.union(name for name, _ in (*_BASE, *_APPENDED))

_IBFT_MIX_HASH = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"
"""Istanbul and QBFT headers (EIP-650; besu, Quorum) are hashed without the seals in their extra data."""

_UINT63 = 1 << 63
_WORD = 64
_HASH_TEXT = re.compile(r"0x[0-9a-fA-F]{64}")
_QUANTITY_TEXT = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]*)")


def decode_header(result: bytes, accuses: bool = True) -> Header | Malformed | Absent:  # noqa: FBT001, FBT002 - of the cache's key
    """Read the result of eth_getBlockByNumber or eth_getBlockByHash, and verify its hash. Never raises.

    Number, hash, parent, timestamp and state root must be there and well-formed, numbers below 2^63; other faults only
    make the header unverifiable. On a chain whose headers may hash otherwise, though they look like Ethereum's, nothing
    is a mismatch: `accuses` is False there. Pure: a cache changes nothing but the time it takes (about 40 us).
    """
    block = _object(result)
    if not isinstance(block, dict):
        return block
    try:
        number, timestamp = _number(block, "number"), _number(block, "timestamp")
        claimed, parent, root = _hash(block, "hash"), _hash(block, "parentHash"), _hash(block, "stateRoot")
    except ValueError as error:
        return Malformed(reason=str(error))
    return Header(
        number=number,
        hash=claimed,
        parent_hash=parent,
        timestamp=timestamp,
        state_root=root,
        verification=_verify(block, claimed, accuses=accuses),
        base_fee=_optional(block, "baseFeePerGas"),
        gas_used=_optional(block, "gasUsed"),
        gas_limit=_optional(block, "gasLimit"),
    )


def real_hash(result: bytes) -> str | None:
    """Return what the fields of a block's JSON hash to, or None where no known rule can tell. Never raises."""
    block = _object(result)
    if not isinstance(block, dict) or not _is_settled(block):
        return None
    fields = _fields(block)
    return None if fields is None else _hash_of(fields)


def fields_of(result: bytes) -> dict[str, object] | None:
    """Return what of a block's JSON its hash is made of, and the hash: all that is needed to recompute it.

    None where that cannot be done, or gives another hash. Never raises.
    """
    return _shown(result, Verification.MATCH)


def wrong_fields_of(result: bytes) -> dict[str, object] | None:
    """Return the same of a block whose fields do not hash to its hash, where that accuses whoever showed it."""
    return _shown(result, Verification.MISMATCH)


def _shown(result: bytes, verification: Verification) -> dict[str, object] | None:
    block = _object(result)
    if not isinstance(block, dict):
        return None
    found = decode_header(result)
    if not isinstance(found, Header) or found.verification is not verification:
        return None
    return {name: block[name] for name in ("hash", *_HASHED) if block.get(name) is not None}


def _object(result: bytes) -> dict[str, object] | Malformed | Absent:
    try:
        block = orjson.loads(result)
    except orjson.JSONDecodeError:
        return Malformed(reason="not JSON")
    if block is None:
        return Absent()
    return block if isinstance(block, dict) else Malformed(reason=f"a block is an object, not {type(block).__name__}")


def _number(block: dict[str, object], name: str) -> int:
    text = block.get(name)
    if not isinstance(text, str) or _QUANTITY_TEXT.fullmatch(text) is None:
        raise ValueError(f"{name}: not a hex quantity")
    # Sixteen digits at most, so that a megabyte of digits costs nothing to refuse.
    if len(text) > len("0x") + 16 or (value := int(text, 16)) >= _UINT63:
        raise ValueError(f"{name}: not below 2^63")
    return value


def _optional(block: dict[str, object], name: str) -> int | None:
    """Return a number that a header may lack; one that is not well-formed is as good as none."""
    try:
        return _number(block, name)
    except ValueError:
        return None


def _hash(block: dict[str, object], name: str) -> str:
    text = block.get(name)
    if not isinstance(text, str) or _HASH_TEXT.fullmatch(text) is None:
        raise ValueError(f"{name}: not 32 bytes of hex")
    return text.lower()


def _verify(block: dict[str, object], claimed: str, *, accuses: bool) -> Verification:
    fields = _fields(block)
    computed = None if fields is None else _hash_of(fields)
    if fields is None or computed is None:
        return Verification.CANNOT_VERIFY
    if computed == claimed or _shorter_matches(fields, claimed):
        return Verification.MATCH
    return Verification.MISMATCH if accuses and _is_settled(block) else Verification.CANNOT_VERIFY


def _shorter_matches(fields: list[str], claimed: str) -> bool:
    """Whether fewer of the appended fields give the hash.

    Some chains show a base fee that their headers do not have (Frontier on Substrate). What we keep of a header is in
    the part that every fork has, so the match holds for it.
    """
    return any(_hash_of(fields[:count]) == claimed for count in range(len(fields) - 1, len(_BASE) - 1, -1))


def _is_settled(block: dict[str, object]) -> bool:
    """Whether a wrong hash can only be the node's fault."""
    shown = {name for name, value in block.items() if value is not None}
    appended = [name in shown for name, _ in _APPENDED]
    return (
        shown <= _KNOWN
        and all(name in shown for name, _ in _BASE)
        and sum(appended) in _SETTLED
        and all(appended[: sum(appended)])
        and str(block["mixHash"]).lower() != _IBFT_MIX_HASH
    )


def _fields(block: dict[str, object]) -> list[str] | None:
    """Return each field's encoding, in hex: the base, then the appended ones that are there; None if one cannot be.

    Where one of the appended is left out, those after it follow all the same: alloy, and so anvil, encodes its genesis
    that way. Such a header can match, and cannot accuse.
    """
    fields = [_encoded(block.get(name), size) for name, size in _BASE]
    for name, size in _AVALANCHE if "extDataHash" in block else _APPENDED:
        value = block.get(name)
        if value is not None:
            fields.append(_encoded(value, size))
    encoded = [field for field in fields if field is not None]
    return encoded if len(encoded) == len(fields) else None


_PREFIX = {size: rlp.prefix(size) for size in (_HASH, _ADDRESS, _BLOOM, _NONCE)}


def _encoded(value: object, size: int) -> str | None:
    """Encode one field, None where it cannot be one. That all is hex digits is checked once for the whole header."""
    if not isinstance(value, str) or value[:2] != "0x":
        return None
    digits = value[2:]
    if size > 0:
        return _PREFIX[size] + digits if len(digits) == 2 * size else None
    if size == _BYTES:
        return None if len(digits) % 2 else rlp.string(digits)
    if not digits or len(digits) > _WORD or (digits[0] == "0" and digits != "0"):
        return None
    return rlp.integer(digits)


def _hash_of(fields: list[str]) -> str | None:
    """Hash the list of fields; None where something in it is no hex digit."""
    text = rlp.listed("".join(fields))
    try:
        encoded = bytes.fromhex(text)
    except ValueError:
        return None
    # fromhex skips white space: then fewer bytes come out than went in.
    return f"0x{keccak256(encoded).hex()}" if 2 * len(encoded) == len(text) else None
