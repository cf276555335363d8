"""Merkle-Patricia tries of a simulated chain: roots, and the proofs that `eth_getProof` gives.

The simulator's own, on purpose: what is tested must not be shared with what tests it. Source: Ethereum yellow paper,
appendices C and D.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from tocsin.testing.headers import RlpItem, keccak256, quantity_bytes, rlp

_HASH: Final = 32
_Entry = tuple[str, bytes]
"""A key in nibbles of hex, and its value."""


class Trie:
    """A trie of entries whose keys are no beginnings of each other; none may have an empty value."""

    def __init__(self, entries: Mapping[bytes, bytes]) -> None:
        self._entries = sorted((key.hex(), value) for key, value in entries.items())

    @cached_property
    def root(self) -> bytes:
        """The hash of the root node."""
        return keccak256(rlp(_node(self._entries, 0) if self._entries else b""))

    def proof(self, key: bytes) -> list[bytes]:
        """Return the nodes from the root to where the way to a key ends, without those that stand inside of others."""
        path, depth, entries, found = key.hex(), 0, self._entries, list[bytes]()
        while entries:
            encoded = rlp(_node(entries, depth))
            if not found or len(encoded) >= _HASH:
                found.append(encoded)
            if len(entries) == 1:
                break
            end = _parting(entries, depth)
            if path[depth:end] != entries[0][0][depth:end]:
                break
            if end > depth:
                depth = end
                continue
            entries = [entry for entry in entries if entry[0][depth] == path[depth]]
            depth += 1
        return found


def ordered_trie(items: Sequence[bytes]) -> Trie:
    """Return the trie of a list: the RLP of each position, and the item."""
    return Trie({rlp(quantity_bytes(at)): item for at, item in enumerate(items)})


def _node(entries: Sequence[_Entry], depth: int) -> RlpItem:
    if len(entries) == 1:
        key, value = entries[0]
        return [_compact(key[depth:], is_leaf=True), value]
    end = _parting(entries, depth)
    key = entries[0][0]
    if end > depth:
        return [_compact(key[depth:end], is_leaf=False), _name(_node(entries, end))]
    children: list[RlpItem] = []
    for nibble in "0123456789abcdef":
        below = [entry for entry in entries if entry[0][depth] == nibble]
        children.append(_name(_node(below, depth + 1)) if below else b"")
    return [*children, b""]


def _name(node: RlpItem) -> RlpItem:
    encoded = rlp(node)
    return node if len(encoded) < _HASH else keccak256(encoded)


def _compact(nibbles: str, *, is_leaf: bool) -> bytes:
    flag = 2 * is_leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}{nibbles}" if len(nibbles) % 2 else f"{flag:x}0{nibbles}")


def _parting(entries: Sequence[_Entry], depth: int) -> int:
    """Return at which nibble entries part, which are sorted and more than one."""
    first, last = entries[0][0], entries[-1][0]
    while first[depth] == last[depth]:
        depth += 1
    return depth
