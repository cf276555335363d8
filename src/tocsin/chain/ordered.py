"""The root under which a header commits to a list: of its receipts, its transactions, its withdrawals.

The trie maps the RLP of each position to the item (yellow paper, 4.4.3). Written in hex as headers are, see
`tocsin.chain.rlp`: the nodes are hashed and thrown away, so nothing is kept but the names of children.
"""

from collections.abc import Sequence

from tocsin.chain import rlp
from tocsin.chain.keccak import keccak256
from tocsin.chain.trie import EMPTY_ROOT

_HASH = 32
_WIDTH = 16
_Entry = tuple[str, str]
"""A key in nibbles, and the item, both in hex."""


def ordered_root(items: Sequence[bytes]) -> bytes:
    """Return the root of the trie of a list of encoded items, 32 bytes."""
    if not items:
        return EMPTY_ROOT
    entries = sorted((rlp.integer(f"{at:x}"), item.hex()) for at, item in enumerate(items))
    return keccak256(bytes.fromhex(_node(entries, 0)))


def _node(entries: Sequence[_Entry], depth: int) -> str:
    """Return the encoded node that holds these entries, which agree on `depth` nibbles; sorted by key."""
    first, last = entries[0][0], entries[-1][0]
    if len(entries) == 1:
        return rlp.listed(rlp.string(_compact(first[depth:], is_leaf=True)) + rlp.string(entries[0][1]))
    common = depth
    while first[common] == last[common]:
        common += 1
    if common > depth:
        path = rlp.string(_compact(first[depth:common], is_leaf=False))
        return rlp.listed(path + _named(_branch(entries, common)))
    return _branch(entries, depth)


def _branch(entries: Sequence[_Entry], depth: int) -> str:
    """Return the branch at which these entries part. No key ends here: none is the beginning of another one."""
    children: list[list[_Entry]] = [[] for _ in range(_WIDTH)]
    for entry in entries:
        children[int(entry[0][depth], _WIDTH)].append(entry)
    named = [_named(_node(below, depth + 1)) if below else "80" for below in children]
    return rlp.listed("".join(named) + "80")


def _named(node: str) -> str:
    """Return what names a node in the one above it: itself if it is short, else its hash."""
    return node if len(node) < 2 * _HASH else rlp.string(keccak256(bytes.fromhex(node)).hex())


def _compact(nibbles: str, *, is_leaf: bool) -> str:
    """Return a path as a short node holds it: a flag, and a zero where that leaves half a byte."""
    flag = 2 * is_leaf + len(nibbles) % 2
    return f"{flag:x}{nibbles}" if len(nibbles) % 2 else f"{flag:x}0{nibbles}"
