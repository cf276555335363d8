"""Merkle-Patricia proofs: the value of a key, or that it has none, in the trie that a root hash names.

A proof lists the nodes from the root down to where the question ends, as `eth_getProof` gives them (EIP-1186); a node
shorter than 32 bytes stands inside the one above it. It is taken strictly: each node is the one that the hash above it
names, each is one that a client writes, and none is left over. So no two lists of nodes prove the same, and none proves
anything of a trie that no client builds. All keys of a trie have one length: those of accounts and of storage do.

Source: Ethereum yellow paper, appendices C and D.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tocsin.chain import rlp
from tocsin.chain.keccak import keccak256

EMPTY_ROOT: Final = keccak256(b"\x80")
"""The root of a trie without entries."""

_HASH = 32
_WIDTH = 16
_FULL = 532
"""Bytes of a branch with sixteen hashes: a prefix of three, sixteen times 33, and an empty value."""

_FULL_PREFIX, _FULL_MARKS = b"\xf9\x02\x11", b"\xa0" * _WIDTH
_SHORT_ITEMS, _BRANCH_ITEMS = 2, 17


class ProofError(ValueError):
    """A proof that proves nothing; the message says which node, and why."""


class _Short(NamedTuple):
    """A leaf with its value, or an extension with what names the branch below it."""

    path: str
    target: bytes
    is_leaf: bool


_Node = _Short | Sequence[bytes]
"""A short node, or what names the sixteen children of a branch: a hash, a node that stands there, or nothing."""


def prove(root: bytes, key: bytes, proof: Sequence[bytes], digests: dict[bytes, bytes] | None = None) -> bytes | None:
    """Return the value of a key, None where the proof shows that it has none.

    `root` is a hash of 32 bytes, `digests` keeps the hashes of nodes that proofs of one trie share. Raises ProofError.
    """
    if root == EMPTY_ROOT:
        _check_empty(proof)
        return None
    nodes = _Nodes(proof, {} if digests is None else digests)
    try:
        value = _walk(nodes, root, key.hex())
    except (rlp.RlpError, ProofError) as error:
        raise ProofError(f"node {nodes.taken - 1}: {error}" if nodes.taken else str(error)) from None
    if nodes.taken != len(proof):
        raise ProofError(f"{len(proof)} nodes where the path has {nodes.taken}")
    return value


def _check_empty(proof: Sequence[bytes]) -> None:
    """Check the proof for a trie without entries: no node, or for some clients the empty one."""
    if any(node != b"\x80" for node in proof) or len(proof) > 1:
        raise ProofError(f"{len(proof)} nodes where the root is that of an empty trie")


class _Nodes:
    """The nodes of a proof, taken one after the other."""

    __slots__ = ("_digests", "_proof", "taken")

    def __init__(self, proof: Sequence[bytes], digests: dict[bytes, bytes]) -> None:
        self._proof = proof
        self._digests = digests
        self.taken = 0

    def take(self, name: bytes) -> bytes:
        """Return the node with this hash, which has to be the next one. Raises ProofError."""
        if self.taken == len(self._proof):
            raise ProofError("the next one is missing")
        node = self._proof[self.taken]
        self.taken += 1
        digest = self._digests.get(node)
        if digest is None:
            digest = self._digests[node] = keccak256(node)
        if digest != name:
            raise ProofError(f"not the one that is named above it, {name.hex()}")
        return node


def _walk(nodes: _Nodes, root: bytes, path: str) -> bytes | None:
    """Return the value at the end of a path of nibbles in hex, or None where it ends before."""
    name, at, is_extended = root, 0, False
    while name:
        node = parse(name if isinstance(name, rlp.Nested) else nodes.take(name))
        if not isinstance(node, _Short):
            if at >= len(path):
                raise ProofError("a branch below the end of the key")
            name, at, is_extended = node[int(path[at], _WIDTH)], at + 1, False
            continue
        if is_extended:
            raise ProofError("no branch below an extension")
        end = at + len(node.path)
        if end > len(path) or (end == len(path)) is not node.is_leaf:
            raise ProofError("a path that does not end where the key does")
        if not path.startswith(node.path, at):
            return None
        if node.is_leaf:
            return node.target
        name, at, is_extended = node.target, end, True
    return None


# -- nodes


def parse(node: bytes) -> _Node:
    """Return a node, if a client writes such a one. Raises RlpError and ProofError."""
    if len(node) == _FULL and node[:3] == _FULL_PREFIX and node[3::33] == _FULL_MARKS + b"\x80":
        return [node[at : at + _HASH] for at in range(4, _FULL - 1, 1 + _HASH)]
    found = rlp.items(node)
    if len(found) == _SHORT_ITEMS:
        return _short(*found)
    if len(found) == _BRANCH_ITEMS:
        return _branch(found)
    raise ProofError(f"{len(found)} items")


def _short(compact: bytes, target: bytes) -> _Short:
    """Return a leaf or an extension. The first nibble of the path says which, and whether the second is one of it."""
    digits = compact.hex()
    if isinstance(compact, rlp.Nested) or digits[:1] not in ("0", "1", "2", "3"):
        raise ProofError("a path without a flag")
    is_odd, is_leaf = digits[0] in "13", digits[0] in "23"
    if not is_odd and digits[1] != "0":
        raise ProofError("a path whose padding is not zero")
    path = digits[1:] if is_odd else digits[2:]
    if is_leaf:
        if isinstance(target, rlp.Nested) or not target:
            raise ProofError("a leaf without a value")
        return _Short(path, target, is_leaf=True)
    if not path:
        raise ProofError("an extension without a path")
    if not _name(target):
        raise ProofError("an extension that leads nowhere")
    return _Short(path, target, is_leaf=False)


def _branch(found: list[bytes]) -> list[bytes]:
    """Return what names the children of a branch: two or more, else a client would have written a short node."""
    value = found.pop()
    if value:
        raise ProofError("a branch with a value, where all keys have one length")
    if sum([bool(_name(child)) for child in found]) < 2:  # noqa: PLR2004 - a fork has two ways
        raise ProofError("a branch with fewer than two children")
    return found


def _name(child: bytes) -> bytes:
    """Return what names a child: a hash, or the node itself if that is shorter. Raises ProofError and RlpError."""
    if isinstance(child, rlp.Nested):
        if len(child) >= _HASH:
            raise ProofError(f"a node of {len(child)} bytes inside of another one")
        parse(child)
    elif child and len(child) != _HASH:
        raise ProofError(f"a hash of {len(child)} bytes")
    return child
