"""Tries of another implementation (py-trie), and nodes that no client writes."""

from collections.abc import Mapping, Sequence

import rlp
from trie import HexaryTrie

from tocsin.chain.keccak import keccak256


def trie_of(entries: Mapping[bytes, bytes]) -> HexaryTrie:
    """Return a trie with these entries."""
    trie = HexaryTrie({})
    for key, value in entries.items():
        trie[key] = value
    return trie


def proof_of(trie: HexaryTrie, key: bytes) -> list[bytes]:
    """Return the nodes on the way to a key, as they are listed in a proof: none that stands inside of another one."""
    if trie.root_hash == keccak256(b"\x80"):
        return []
    found = [rlp.encode(node) for node in trie.get_proof(key)]
    return [node for at, node in enumerate(found) if not at or len(node) >= 32]


def hashed(node: object) -> tuple[bytes, bytes]:
    """Return a node as it is encoded, and its hash."""
    encoded = node if isinstance(node, bytes) else rlp.encode(node)
    return encoded, keccak256(encoded)


def compact(nibbles: str, *, leaf: bool) -> bytes:
    """Return a path of nibbles in hex as a short node holds it."""
    flag = (2 if leaf else 0) + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}{'' if len(nibbles) % 2 else '0'}{nibbles}")


def reference_value(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Return what py-trie makes of a proof: a value, b"" for none; None where it refuses."""
    try:
        return bytes(HexaryTrie.get_from_proof(root, key, [rlp.decode(node) for node in proof]))
    except Exception:  # noqa: BLE001 - whatever it raises, it refuses
        return None
