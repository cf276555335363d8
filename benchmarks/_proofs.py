"""What it costs to verify a proof of an account and four of its slots, in tries as deep as mainnet's.

Of 300 million accounts a path has some eight nodes, of a token with a million holders some six. Such tries are made up
from below: around the path every branch is full, with hashes of nothing.
"""

import gc
import random
import time

import orjson

from tocsin.chain.proof import Claim, Proven, claim_of, verify
from tocsin.testing.headers import RlpItem, keccak256, quantity_bytes, rlp

ACCOUNT_DEPTH, SLOT_DEPTH = 8, 6
ADDRESS = b"\x11" * 20
SLOTS = tuple(number.to_bytes(32) for number in range(4))


def path_of(key: bytes, value: bytes, depth: int, rng: random.Random) -> tuple[bytes, list[bytes]]:
    """Return the root of a trie that holds a value below `depth` - 1 full branches, and the nodes that lead to it."""
    nibbles = keccak256(key).hex()
    rest = nibbles[depth - 1 :]
    compact = bytes.fromhex(f"3{rest}" if len(rest) % 2 else f"20{rest}")
    nodes = [rlp([compact, value])]
    for nibble in reversed(nibbles[: depth - 1]):
        children: list[RlpItem] = [rng.randbytes(32) for _ in range(16)]
        children[int(nibble, 16)] = keccak256(nodes[0])
        nodes.insert(0, rlp([*children, b""]))
    return keccak256(nodes[0]), nodes


def shared(depth: int, rng: random.Random) -> tuple[bytes, dict[bytes, list[bytes]]]:
    """Return the root of a storage trie and the proofs of all slots in it, which part below the root."""
    paths = {slot: path_of(slot, rlp(quantity_bytes(int.from_bytes(slot) + 7)), depth, rng) for slot in SLOTS}
    firsts = {keccak256(slot).hex()[0]: slot for slot in SLOTS}
    assert len(firsts) == len(SLOTS), "the slots part at the root"
    children: list[RlpItem] = [rng.randbytes(32) for _ in range(16)]
    for nibble, slot in firsts.items():
        children[int(nibble, 16)] = keccak256(paths[slot][1][1])
    top = rlp([*children, b""])
    return keccak256(top), {slot: [top, *nodes[1:]] for slot, (_, nodes) in paths.items()}


def answer(seed: int) -> tuple[bytes, bytes]:
    """Return a state root and what a node answers to `eth_getProof` under it."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    storage_root, slots = shared(SLOT_DEPTH, rng)
    code_hash, balance = rng.randbytes(32), rng.randrange(2**80)
    leaf = rlp([quantity_bytes(1), quantity_bytes(balance), storage_root, code_hash])
    root, nodes = path_of(ADDRESS, leaf, ACCOUNT_DEPTH, rng)
    told = {
        "address": f"0x{ADDRESS.hex()}",
        "nonce": "0x1",
        "balance": hex(balance),
        "storageHash": f"0x{storage_root.hex()}",
        "codeHash": f"0x{code_hash.hex()}",
        "accountProof": [f"0x{node.hex()}" for node in nodes],
        "storageProof": [
            {
                "key": f"0x{slot.hex()}",
                "value": hex(int.from_bytes(slot) + 7),
                "proof": [f"0x{node.hex()}" for node in path],
            }
            for slot, path in slots.items()
        ],
    }
    return root, orjson.dumps(told)


def measured(*, rounds: int, each: int = 50) -> dict[str, float]:
    """Return the CPU time of one verification in ms, from the answer's bytes on; the best of rounds."""
    answers = [answer(seed) for seed in range(each)]
    best = float("inf")
    nodes = 0
    for _ in range(rounds):
        gc.collect()
        begun = time.process_time()
        for root, told in answers:
            claim = claim_of(told, ADDRESS, SLOTS)
            assert isinstance(claim, Claim), claim
            found = verify(root, claim)
            assert isinstance(found, Proven), found
            nodes = len(claim.proof) + sum(len(slot.proof) for slot in claim.slots)
        best = min(best, (time.process_time() - begun) * 1e3 / each)
    return {"proof4_ms": best, "proof4_nodes": nodes}
