"""What a node says of an account and its slots is taken as far as its proof goes, and not a wei further."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import rlp as reference
from tests.support.tries import proof_of, trie_of

from tocsin.chain.header import Malformed
from tocsin.chain.keccak import keccak256
from tocsin.chain.proof import EMPTY_CODE, NO_ACCOUNT, Account, Claim, Proven, Refuted, SlotClaim, claim_of, verify
from tocsin.chain.trie import EMPTY_ROOT

GETH = json.loads(Path(__file__).with_name("test_chain_proofs.json").read_text())
ROOT = bytes.fromhex(GETH["block"]["stateRoot"][2:])
WITH_STORAGE = GETH["proofs"][0]
ADDRESS = bytes.fromhex(WITH_STORAGE["address"][2:])
ZERO = bytes(32)


def word(value: int) -> bytes:
    return value.to_bytes(32)


def geth_claim() -> Claim:
    claim = claim_of(orjson.dumps(WITH_STORAGE["result"]), ADDRESS, [ZERO])
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.parametrize("vector", GETH["proofs"], ids=["with a slot", "without"])
def test_an_answer_of_geth_is_proven_under_the_state_root_of_its_block(vector: dict[str, Any]) -> None:
    claim = claim_of(orjson.dumps(vector["result"]), ADDRESS, [ZERO] * len(vector["keys"]))
    assert isinstance(claim, Claim)
    proven = verify(ROOT, claim)
    assert isinstance(proven, Proven)
    assert proven.account == claim.account
    assert proven.account is not None
    assert (proven.account.nonce, proven.account.balance) == (0, 0x76)
    assert proven.slots == ({ZERO: 0x38} if vector["keys"] else {})


# -- a state of our own: a contract with slots, an account without, an address without an account

CONTRACT, WALLET, NOBODY = b"\xc0" * 20, b"\xaa" * 20, b"\x01" * 20
SLOTS = {word(0): 7, word(1): 2**256 - 1, word(9): 0x80}
STORAGE = trie_of({keccak256(key): reference.encode(value) for key, value in SLOTS.items()})
CODE = keccak256(b"\x60\x00")


def leaf(nonce: int, balance: int, root: bytes, code: bytes) -> bytes:
    return bytes(reference.encode([nonce, balance, root, code]))


LEAVES = {
    CONTRACT: leaf(1, 5, STORAGE.root_hash, CODE),
    WALLET: leaf(2**64 - 1, 2**256 - 1, EMPTY_ROOT, EMPTY_CODE),
    b"\xbb" * 20: leaf(0, 0, EMPTY_ROOT, EMPTY_CODE),
}
STATE = trie_of({keccak256(address): found for address, found in LEAVES.items()})


def claim(address: bytes, account: Account, **slots: int) -> Claim:
    """What an honest node says; slots as s0=7."""
    found = []
    for name, value in slots.items():
        key = word(int(name[1:]))
        proof = proof_of(STORAGE, keccak256(key)) if address == CONTRACT else []
        found.append(SlotClaim(key=key, value=value, proof=tuple(proof)))
    proof = tuple(proof_of(STATE, keccak256(address)))
    return Claim(address=address, account=account, proof=proof, slots=tuple(found))


HELD = Account(nonce=1, balance=5, storage_root=STORAGE.root_hash, code_hash=CODE)
RICH = Account(nonce=2**64 - 1, balance=2**256 - 1)


def test_an_account_and_its_slots_are_proven_the_ones_that_were_never_written_as_well() -> None:
    found = verify(STATE.root_hash, claim(CONTRACT, HELD, s0=7, s1=2**256 - 1, s9=0x80, s2=0))
    assert found == Proven(account=HELD, slots={word(0): 7, word(1): 2**256 - 1, word(9): 0x80, word(2): 0})
    assert verify(STATE.root_hash, claim(WALLET, RICH, s0=0)) == Proven(account=RICH, slots={word(0): 0})


@pytest.mark.parametrize("code", [EMPTY_CODE, ZERO])
@pytest.mark.parametrize("root", [EMPTY_ROOT, ZERO])
def test_that_there_is_no_account_is_proven_however_a_client_writes_its_hashes(root: bytes, code: bytes) -> None:
    said = Account(storage_root=root, code_hash=code)
    assert verify(STATE.root_hash, claim(NOBODY, said, s0=0)) == Proven(account=None, slots={word(0): 0})


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (replace(HELD, nonce=2), "account: the proof is of nonce 1, the answer says 2"),
        (replace(HELD, balance=4), "account: the proof is of balance 5, the answer says 4"),
        (replace(HELD, code_hash=EMPTY_CODE), f"account: the proof is of code_hash 0x{CODE.hex()}, the answer says 0x"),
        (replace(HELD, storage_root=ZERO), "account: the proof is of storage_root 0x"),
        (replace(HELD, code_hash=ZERO), "account: the proof is of code_hash 0x"),
    ],
)
def test_what_is_said_beside_a_right_proof_is_refuted(said: Account, reason: str) -> None:
    found = verify(STATE.root_hash, claim(CONTRACT, said, s0=7))
    assert isinstance(found, Refuted)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize("said", [replace(NO_ACCOUNT, balance=1), replace(NO_ACCOUNT, code_hash=CODE)])
def test_what_is_said_of_an_account_that_is_none_is_refuted(said: Account) -> None:
    found = verify(STATE.root_hash, claim(NOBODY, said))
    assert isinstance(found, Refuted)
    assert "the proof is of" in found.reason


def test_a_slot_that_the_proof_does_not_bear_is_refuted_and_named() -> None:
    found = verify(STATE.root_hash, claim(CONTRACT, HELD, s0=7, s1=8))
    assert found == Refuted(reason=f"slot 0x{word(1).hex()}: the proof is of {2**256 - 1:#x}, the answer says 0x8")
    found = verify(STATE.root_hash, claim(CONTRACT, HELD, s2=1))
    assert found == Refuted(reason=f"slot 0x{word(2).hex()}: the proof is of 0x0, the answer says 0x1")
    found = verify(STATE.root_hash, claim(WALLET, RICH, s0=1))
    assert found == Refuted(reason=f"slot 0x{word(0).hex()}: the proof is of 0x0, the answer says 0x1")


def test_a_proof_of_another_account_slot_or_root_is_refuted() -> None:
    honest = claim(CONTRACT, HELD, s0=7)
    other = claim(WALLET, RICH)
    for wrong in (replace(honest, proof=other.proof), replace(honest, address=WALLET), replace(honest, proof=())):
        found = verify(STATE.root_hash, wrong)
        assert isinstance(found, Refuted)
        assert found.reason.startswith("account: ")
    moved = replace(honest, slots=(replace(honest.slots[0], key=word(1)),))
    found = verify(STATE.root_hash, moved)
    assert isinstance(found, Refuted)
    assert found.reason.startswith(f"slot 0x{word(1).hex()}: ")
    assert isinstance(verify(keccak256(b"another"), honest), Refuted)
    spare = replace(claim(WALLET, RICH, s0=0).slots[0], proof=honest.slots[0].proof)
    assert isinstance(verify(STATE.root_hash, replace(claim(WALLET, RICH), slots=(spare,))), Refuted)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b"\x05", "a string where a list belongs"),
        (reference.encode([1, 5, EMPTY_ROOT]), "the leaf is no account"),
        (reference.encode([1, 5, EMPTY_ROOT, EMPTY_CODE, b""]), "the leaf is no account"),
        (reference.encode([[], 5, EMPTY_ROOT, EMPTY_CODE]), "the leaf is no account"),
        (reference.encode([1, 5, EMPTY_ROOT, b"c" * 31]), "the leaf is an account whose hashes are none"),
        (reference.encode([1, 5, b"r" * 33, EMPTY_CODE]), "the leaf is an account whose hashes are none"),
        (reference.encode([b"\x00", 5, EMPTY_ROOT, EMPTY_CODE]), "an integer with a leading zero"),
        (reference.encode([1, b"\x00\x05", EMPTY_ROOT, EMPTY_CODE]), "an integer with a leading zero"),
        (reference.encode([2**64, 5, EMPTY_ROOT, EMPTY_CODE]), "an integer of 9 bytes"),
        (reference.encode([1, b"\x01" * 33, EMPTY_ROOT, EMPTY_CODE]), "an integer of 33 bytes"),
    ],
)
def test_a_leaf_that_is_no_account_is_refuted(held: bytes, said: str) -> None:
    state = trie_of({keccak256(CONTRACT): held})
    proof = tuple(proof_of(state, keccak256(CONTRACT)))
    found = verify(state.root_hash, Claim(address=CONTRACT, account=HELD, proof=proof, slots=()))
    assert found == Refuted(reason=f"account: {said}")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b"\x00", "an integer with a leading zero"),
        (reference.encode(b"\x00\x01"), "an integer with a leading zero"),
        (reference.encode(b"\x01" * 33), "an integer of 33 bytes"),
        (b"\x81\x05", "a byte below 0x80 with a prefix"),
        (b"\xc1\x05", "a list where a string belongs"),
    ],
)
def test_a_leaf_that_is_no_word_is_refuted(held: bytes, said: str) -> None:
    storage = trie_of({keccak256(word(0)): held})
    state = trie_of({keccak256(CONTRACT): leaf(1, 5, storage.root_hash, CODE)})
    slot = SlotClaim(key=word(0), value=0, proof=tuple(proof_of(storage, keccak256(word(0)))))
    account = replace(HELD, storage_root=storage.root_hash)
    proof = tuple(proof_of(state, keccak256(CONTRACT)))
    found = verify(state.root_hash, Claim(address=CONTRACT, account=account, proof=proof, slots=(slot,)))
    assert found == Refuted(reason=f"slot 0x{word(0).hex()}: {said}")


def test_a_leaf_that_holds_zero_proves_a_zero() -> None:
    storage = trie_of({keccak256(word(0)): b"\x80"})
    state = trie_of({keccak256(CONTRACT): leaf(1, 5, storage.root_hash, CODE)})
    slot = SlotClaim(key=word(0), value=0, proof=tuple(proof_of(storage, keccak256(word(0)))))
    account = replace(HELD, storage_root=storage.root_hash)
    honest = Claim(address=CONTRACT, account=account, proof=tuple(proof_of(state, keccak256(CONTRACT))), slots=(slot,))
    assert verify(state.root_hash, honest) == Proven(account=account, slots={word(0): 0})


# -- answers that are no claim


def changed(path: str, value: object) -> bytes:
    """Return the answer of geth with one value replaced, at a path such as "storageProof.0.key"."""
    answer = json.loads(json.dumps(WITH_STORAGE["result"]))
    *way, last = path.split(".")
    at = answer
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    at[int(last) if isinstance(at, list) else last] = value
    return orjson.dumps(answer)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("address", "0x" + "11" * 20, "address: 0x" + "11" * 20 + " was not asked for"),
        ("address", "0x11", "address: not 20 bytes: '0x11'"),
        ("address", None, "address: no bytes in hex: None"),
        ("nonce", 5, "nonce: no number below 2^256: 5"),
        ("balance", "76", "balance: no number below 2^256: '76'"),
        ("balance", "0x", "balance: no number below 2^256: '0x'"),
        ("balance", "0x" + "1" * 65, "balance: no number below 2^256: '0x" + "1" * 65 + "'"),
        ("balance", "x" * 79, "balance: no number below 2^256: '" + "x" * 79 + "..."),
        ("balance", ["0x1"], "balance: no number below 2^256: list"),
        ("codeHash", "0x" + "zz" * 32, "codeHash: no bytes in hex: '0x"),
        ("storageHash", "0x" + "11" * 31, "storageHash: not 32 bytes: "),
        ("accountProof", {}, "accountProof: no list of 65 nodes at most"),
        ("accountProof", ["0x80"] * 66, "accountProof: no list of 65 nodes at most"),
        ("accountProof.1", "0x8", "accountProof.1: no bytes in hex: '0x8'"),
        ("accountProof.2", "0x", "accountProof.2: 0 bytes, which no node has"),
        ("accountProof.0", "0x" + "80" * 533, "accountProof.0: 533 bytes, which no node has"),
        ("accountProof.0", 7, "accountProof.0: no bytes in hex: 7"),
        ("storageProof", None, "storageProof: not the list of the 1 slots that were asked for"),
        ("storageProof", [], "storageProof: not the list of the 1 slots that were asked for"),
        ("storageProof.0", "0x38", "storageProof.0: no object"),
        ("storageProof.0.key", "0x1", "storageProof.0.key: not the one that was asked for, 0x" + "00" * 32),
        ("storageProof.0.key", 0, "storageProof.0.key: no number below 2^256: 0"),
        ("storageProof.0.key", "0xzz", "storageProof.0.key: no number below 2^256: '0xzz'"),
        ("storageProof.0.value", None, "storageProof.0.value: no number below 2^256: None"),
        ("storageProof.0.proof", "0x80", "storageProof.0.proof: no list of 65 nodes at most"),
        ("storageProof.0.proof.1", "80", "storageProof.0.proof.1: no bytes in hex: '80'"),
    ],
)
def test_an_answer_that_is_no_claim_says_where(path: str, value: object, said: str) -> None:
    found = claim_of(changed(path, value), ADDRESS, [ZERO])
    assert isinstance(found, Malformed)
    assert found.reason.startswith(said)


@pytest.mark.parametrize(("result", "said"), [(b"[]", "no object"), (b"null", "no object"), (b"{", "no JSON: ")])
def test_what_is_no_object_is_no_claim(result: bytes, said: str) -> None:
    found = claim_of(result, ADDRESS, [])
    assert isinstance(found, Malformed)
    assert found.reason.startswith(said)


def test_more_slots_than_were_asked_for_are_no_answer() -> None:
    found = claim_of(orjson.dumps(WITH_STORAGE["result"]), ADDRESS, [])
    assert found == Malformed(reason="storageProof: not the list of the 0 slots that were asked for")


@pytest.mark.parametrize("key", ["0x0", "0x00", "0x" + "0" * 64])
@pytest.mark.parametrize("value", ["0x38", "0x" + "38".zfill(64)])
def test_keys_and_values_may_be_written_as_numbers_or_as_words(key: str, value: str) -> None:
    answer = json.loads(changed("storageProof.0.key", key))
    answer["storageProof"][0]["value"] = value
    found = claim_of(orjson.dumps(answer), ADDRESS, [ZERO])
    assert found == geth_claim()


def test_the_proof_may_be_as_long_as_its_path_and_nodes_as_long_as_a_full_branch() -> None:
    answer = json.loads(changed("accountProof", ["0x" + "80" * 532] * 65))
    found = claim_of(orjson.dumps(answer), ADDRESS, [ZERO])
    assert isinstance(found, Claim)
    assert [len(node) for node in found.proof] == [532] * 65
