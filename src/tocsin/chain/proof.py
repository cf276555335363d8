"""Proofs of accounts and of their storage: what one node says of state, held against the root of a header.

What `eth_getProof` answers (EIP-1186) is a claim with its proof. A claim that is not an answer to the question is
`Malformed`; one whose proof does not lead from the root to just what it says is `Refuted`, which accuses the node. The
root is trusted as far as its header is: this says what is in the state of a block, not which block is of the chain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tocsin.chain import fields, rlp
from tocsin.chain.fields import FieldError
from tocsin.chain.header import Malformed
from tocsin.chain.keccak import keccak256
from tocsin.chain.trie import EMPTY_ROOT, ProofError, prove

EMPTY_CODE: Final = keccak256(b"")
"""The code hash of an account without code."""

_ZERO: Final = bytes(32)
_MOST_NODES: Final = 65
"""Of a path of 64 nibbles, with one node for each."""
_LONGEST_NODE: Final = 532
"""Bytes of a branch whose children are sixteen hashes; no node of these tries is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as the state holds it: balance in wei, hashes of 32 bytes."""

    nonce: int = 0
    balance: int = 0
    storage_root: bytes = EMPTY_ROOT
    code_hash: bytes = EMPTY_CODE


NO_ACCOUNT: Final = Account()
"""What an address without an account reads as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotClaim:
    """What a node says of one slot of 32 bytes; zero where it was never written."""

    key: bytes
    value: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a node says of an account, and by which nodes of the trie it follows."""

    address: bytes
    account: Account
    proof: tuple[bytes, ...]
    slots: tuple[SlotClaim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What is proven under a state root. `account` is None where it is proven that there is none."""

    account: Account | None
    slots: Mapping[bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuted:
    """A claim that its own proof does not bear; `reason` says what of it, and why."""

    reason: str


# -- what is claimed


def claim_of(result: bytes, address: bytes, keys: Sequence[bytes]) -> Claim | Malformed:
    """Return the claim in an answer to `eth_getProof` for this address of 20 bytes and these slots of 32 bytes each."""
    try:
        answer = orjson.loads(result)
    except orjson.JSONDecodeError as error:
        return Malformed(reason=f"no JSON: {error}")
    if not isinstance(answer, dict):
        return Malformed(reason="no object")
    try:
        return _claim(answer, address, keys)
    except FieldError as error:
        return Malformed(reason=str(error))


def _claim(answer: dict[str, Any], address: bytes, keys: Sequence[bytes]) -> Claim:
    if (said := fields.data(answer, "address", length=20)) != address:
        raise FieldError(f"address: 0x{said.hex()} was not asked for")
    account = Account(
        nonce=fields.number(answer, "nonce"),
        balance=fields.number(answer, "balance"),
        storage_root=fields.data(answer, "storageHash", length=32),
        code_hash=fields.data(answer, "codeHash", length=32),
    )
    proof = _proof(answer, "accountProof")
    slots = answer.get("storageProof")
    if not isinstance(slots, list) or len(slots) != len(keys):
        raise FieldError(f"storageProof: not the list of the {len(keys)} slots that were asked for")
    found = tuple(
        [_slot(f"storageProof.{at}", slot, key) for at, (slot, key) in enumerate(zip(slots, keys, strict=True))]
    )
    return Claim(address=address, account=account, proof=proof, slots=found)


def _slot(where: str, slot: object, key: bytes) -> SlotClaim:
    if not isinstance(slot, dict):
        raise FieldError(f"{where}: no object")
    if fields.number(slot, "key", where) != int.from_bytes(key):
        raise FieldError(f"{where}.key: not the one that was asked for, 0x{key.hex()}")
    return SlotClaim(key=key, value=fields.number(slot, "value", where), proof=_proof(slot, "proof", where))


def _proof(answer: dict[str, Any], name: str, where: str = "") -> tuple[bytes, ...]:
    nodes, at = answer.get(name), fields.at(where, name)
    if not isinstance(nodes, list) or len(nodes) > _MOST_NODES:
        raise FieldError(f"{at}: no list of {_MOST_NODES} nodes at most")
    found = tuple([fields.data_of(node, f"{at}.{position}") for position, node in enumerate(nodes)])
    for position, node in enumerate(found):
        if not 0 < len(node) <= _LONGEST_NODE:
            raise FieldError(f"{at}.{position}: {len(node)} bytes, which no node has")
    return found


# -- what is proven


def verify(state_root: bytes, claim: Claim) -> Proven | Refuted:
    """Return what a claim proves under a state root of 32 bytes, or why it proves nothing."""
    where = "account"
    try:
        account = _account(prove(state_root, keccak256(claim.address), claim.proof))
        if wrong := _differs(claim.account, account):
            return Refuted(reason=f"account: {wrong}")
        root = account.storage_root if account is not None else EMPTY_ROOT
        digests: dict[bytes, bytes] = {}
        slots: dict[bytes, int] = {}
        for slot in claim.slots:
            where = f"slot 0x{slot.key.hex()}"
            slots[slot.key] = value = _word(prove(root, keccak256(slot.key), slot.proof, digests))
            if value != slot.value:
                return Refuted(reason=f"{where}: the proof is of {value:#x}, the answer says {slot.value:#x}")
    except (ProofError, rlp.RlpError) as error:
        return Refuted(reason=f"{where}: {error}")
    return Proven(account=account, slots=slots)


def _account(value: bytes | None) -> Account | None:
    """Return the account that a leaf of the state holds: nonce, balance, storage root, code hash."""
    if value is None:
        return None
    held = rlp.items(value)
    if len(held) != 4 or any(isinstance(field, rlp.Nested) for field in held):  # noqa: PLR2004 - just those four
        raise ProofError("the leaf is no account")
    nonce, balance, root, code = held
    if len(root) != len(_ZERO) or len(code) != len(_ZERO):
        raise ProofError("the leaf is an account whose hashes are none")
    return Account(nonce=rlp.number(nonce, most=8), balance=rlp.number(balance), storage_root=root, code_hash=code)


def _word(value: bytes | None) -> int:
    """Return what a leaf of a storage trie holds.

    A client removes a leaf that becomes zero; anvil (1.7) keeps it. It proves a zero all the same.
    """
    return 0 if value is None else rlp.number(rlp.text(value))


def _differs(said: Account, proven: Account | None) -> str:
    """Return in what an answer differs from the account that is proven; empty where it does not."""
    held = NO_ACCOUNT if proven is None else proven
    for name in ("nonce", "balance"):
        if getattr(said, name) != getattr(held, name):
            return f"the proof is of {name} {getattr(held, name)}, the answer says {getattr(said, name)}"
    for name in ("storage_root", "code_hash"):
        # Of an address without an account some clients say that its hashes are zero.
        expected = (getattr(held, name),) if proven is not None else (getattr(held, name), _ZERO)
        if getattr(said, name) not in expected:
            return f"the proof is of {name} 0x{expected[0].hex()}, the answer says 0x{getattr(said, name).hex()}"
    return ""
