"""Merkle-Patricia proofs, node by node: which ones a client writes, and which prove nothing whatever they hash to."""

import json
from pathlib import Path

import pytest
from tests.support.tries import compact, hashed, proof_of, trie_of

from tocsin.chain import rlp
from tocsin.chain.keccak import keccak256
from tocsin.chain.trie import EMPTY_ROOT, ProofError, prove

GETH = json.loads(Path(__file__).with_name("test_chain_proofs.json").read_text())
ROOT = bytes.fromhex(GETH["block"]["stateRoot"][2:])
ACCOUNT = GETH["proofs"][0]
KEY = keccak256(bytes.fromhex(ACCOUNT["address"][2:]))
NODES = [bytes.fromhex(node[2:]) for node in ACCOUNT["result"]["accountProof"]]

A, B, C = b"\x11" * 32, b"\x11" * 31 + b"\x12", b"\x21" + b"\x11" * 31
LONG = b"v" * 40


def test_a_proof_of_geth_gives_the_account_that_it_is_of() -> None:
    assert [len(node) for node in NODES] == [532, 147, 107], "a full branch, a sparse one, a leaf"
    value = prove(ROOT, KEY, NODES)
    assert value is not None
    assert rlp.items(value)[1] == b"\x76"


def test_a_key_beside_it_is_proven_to_have_no_value_by_as_many_nodes_as_its_path_has() -> None:
    digits = KEY.hex()
    # Past the leaf: the same first nibbles, then another path.
    assert prove(ROOT, bytes.fromhex(digits[:-1] + ("0" if digits[-1] != "0" else "1")), NODES) is None
    # At the sparse branch: a nibble without a child.
    empty = next(f"{nibble:x}" for nibble in range(16) if not rlp.items(NODES[1])[nibble])
    assert prove(ROOT, bytes.fromhex(digits[0] + empty + digits[2:]), NODES[:2]) is None


def test_every_changed_byte_of_every_node_is_refused() -> None:
    for at, node in enumerate(NODES):
        for place in range(len(node)):
            changed = node[:place] + bytes([node[place] ^ 1]) + node[place + 1 :]
            with pytest.raises(ProofError, match=f"^node {at}: not the one that is named above it"):
                prove(ROOT, KEY, [*NODES[:at], changed, *NODES[at + 1 :]])


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (NODES[:-1], "node 1: the next one is missing"),
        ([], "the next one is missing"),
        ([*NODES, NODES[-1]], "4 nodes where the path has 3"),
        ([*NODES, b""], "4 nodes where the path has 3"),
        ([NODES[0], NODES[2], NODES[1]], "node 1: not the one that is named above it, "),
        ([NODES[0], *NODES], "node 1: not the one"),
        ([b"\x80"], "node 0: not the one"),
    ],
)
def test_a_list_of_other_nodes_is_refused(nodes: list[bytes], said: str) -> None:
    with pytest.raises(ProofError) as refused:
        prove(ROOT, KEY, nodes)
    assert str(refused.value).startswith(said)


def test_hashes_that_proofs_share_are_computed_once() -> None:
    digests: dict[bytes, bytes] = {}
    first = prove(ROOT, KEY, NODES, digests)
    assert set(digests) == set(NODES)
    assert prove(ROOT, KEY, NODES, digests) == first
    with pytest.raises(ProofError, match="node 0: not the one"):
        prove(bytes(32), KEY, NODES, digests)


@pytest.mark.parametrize("proof", [[], [b"\x80"]])
def test_the_empty_trie_has_no_values_and_no_nodes(proof: list[bytes]) -> None:
    assert prove(EMPTY_ROOT, KEY, proof) is None


@pytest.mark.parametrize("proof", [[b""], [b"\x80", b"\x80"], NODES])
def test_the_empty_trie_is_not_proven_by_nodes(proof: list[bytes]) -> None:
    with pytest.raises(ProofError, match="where the root is that of an empty trie"):
        prove(EMPTY_ROOT, KEY, proof)


# -- tries of another implementation


@pytest.mark.parametrize("value", [b"v", LONG], ids=["inside of another node", "of its own"])
@pytest.mark.parametrize("absent", [b"\x11" * 31 + b"\x13", b"\x31" * 32, b"\x11" * 30 + b"\x99\x11", b"\x12" * 32])
def test_leaves_and_extensions_are_followed_wherever_they_stand(value: bytes, absent: bytes) -> None:
    trie = trie_of({A: value, B: value + b"b", C: value + b"c"})
    for key, expected in ((A, value), (B, value + b"b"), (C, value + b"c"), (absent, None)):
        assert prove(trie.root_hash, key, proof_of(trie, key)) == expected


def test_a_trie_of_one_entry_is_a_leaf() -> None:
    trie = trie_of({A: b"v"})
    assert prove(trie.root_hash, A, proof_of(trie, A)) == b"v"
    assert prove(trie.root_hash, B, proof_of(trie, B)) is None


# -- nodes that no client writes, under roots that name them

LEAF, LEAF_HASH = hashed([compact("1" * 63, leaf=True), LONG])
EMPTY_BRANCH = [b""] * 17


def branch(**children: object) -> list[object]:
    """Return a branch with children by the nibble, such as x1=...; `value` is its own."""
    node: list[object] = list(EMPTY_BRANCH)
    for name, child in children.items():
        node[16 if name == "value" else int(name[1:], 16)] = child
    return node


DEEP, DEEP_HASH = hashed(branch(x1=LEAF_HASH, x2=LEAF_HASH))
WRONG_NODES: dict[str, tuple[object, str]] = {
    "no list": (b"\x83abc", "a string where a list belongs"),
    "nothing": (b"", "nothing where an item belongs"),
    "three items": ([b"\x20", b"v", b"w"], "3 items"),
    "no items": ([], "0 items"),
    "sixteen items": ([b""] * 16, "16 items"),
    "a flag of four": ([b"\x40" + A, LONG], "a path without a flag"),
    "no path at all": ([b"", LONG], "a path without a flag"),
    "a path that is a list": ([[b"\x20"], LONG], "a path without a flag"),
    "padding": ([b"\x21" + A, LONG], "a path whose padding is not zero"),
    "padding of an extension": ([b"\x01\x11", LEAF_HASH], "a path whose padding is not zero"),
    "a leaf without a value": ([compact("1" * 64, leaf=True), b""], "a leaf without a value"),
    "a leaf with a list": ([compact("1" * 64, leaf=True), [b"a"]], "a leaf without a value"),
    "a leaf too short": ([compact("1" * 62, leaf=True), LONG], "a path that does not end where the key does"),
    "a leaf too long": ([compact("1" * 66, leaf=True), LONG], "a path that does not end where the key does"),
    "a leaf elsewhere too long": ([compact("2" * 65, leaf=True), LONG], "a path that does not end where the key does"),
    "an extension of the whole key": ([compact("1" * 64, leaf=False), DEEP_HASH], "a path that does not end"),
    "an extension without a path": ([b"\x00", DEEP_HASH], "an extension without a path"),
    "an extension to nothing": ([compact("1", leaf=False), b""], "an extension that leads nowhere"),
    "an extension to half a hash": ([compact("1", leaf=False), b"h" * 16], "a hash of 16 bytes"),
    "an extension to a leaf": ([compact("1", leaf=False), [compact("1" * 31, leaf=True), b"v"]], "no branch below an"),
    "a branch with a value": (branch(x1=LEAF_HASH, x2=LEAF_HASH, value=b"v"), "a branch with a value"),
    "a branch with a list for a value": (branch(x1=LEAF_HASH, x2=LEAF_HASH, value=[b"v"]), "a branch with a value"),
    "a branch with one child": (branch(x1=LEAF_HASH), "a branch with fewer than two children"),
    "a branch without children": (EMPTY_BRANCH, "a branch with fewer than two children"),
    "a child of 31 bytes": (branch(x1=LEAF_HASH, x2=b"h" * 31), "a hash of 31 bytes"),
    "a child of 33 bytes": (branch(x1=LEAF_HASH, x2=b"h" * 33), "a hash of 33 bytes"),
    "a node that is too long to stand inside": (
        branch(x1=LEAF_HASH, x2=[compact("1" * 20, leaf=True), b"v" * 18]),
        "a node of 32 bytes inside of another one",
    ),
    "a wrong node inside": (branch(x1=LEAF_HASH, x2=[b"\x20", b"v", b"w"]), "3 items"),
    "a longer form inside": (b"\xf4\x80\xa0" + LEAF_HASH + b"\xc3\x20\x81\x05" + b"\x80" * 14, "a byte below 0x80"),
    "bytes behind it": (LEAF + b"\x00", "1 bytes follow the list"),
}


@pytest.mark.parametrize("which", WRONG_NODES)
def test_a_node_that_no_client_writes_proves_nothing_under_a_root_that_names_it(which: str) -> None:
    node, said = WRONG_NODES[which]
    encoded, root = hashed(node)
    with pytest.raises(ProofError) as refused:
        prove(root, A, [encoded, LEAF, DEEP][:2])
    assert str(refused.value).startswith(f"node 0: {said}")


def test_a_leaf_just_short_enough_stands_inside_of_a_branch_and_has_to() -> None:
    inside = [compact("1" * 20, leaf=True), b"v" * 17]
    encoded, root = hashed(branch(x1=LEAF_HASH, x2=inside))
    assert prove(root, A, [encoded, LEAF]) == LONG
    with pytest.raises(ProofError, match="node 0: a path that does not end where the key does"):
        prove(root, C, [encoded])


def test_an_extension_leads_to_a_branch_and_nowhere_else() -> None:
    leaf, leaf_hash = hashed([compact("1" * 63, leaf=True), LONG])
    encoded, root = hashed([compact("1", leaf=False), leaf_hash])
    with pytest.raises(ProofError, match="node 1: no branch below an extension"):
        prove(root, A, [encoded, leaf])
    below, below_hash = hashed([compact("1", leaf=False), DEEP_HASH])
    encoded, root = hashed([compact("1", leaf=False), below_hash])
    with pytest.raises(ProofError, match="node 1: no branch below an extension"):
        prove(root, A, [encoded, below, DEEP, LEAF])


def test_a_branch_where_the_key_has_ended_is_refused() -> None:
    inner, inner_hash = hashed(branch(x1=DEEP_HASH, x2=LEAF_HASH))
    outer, root = hashed(branch(x1=inner_hash, x2=LEAF_HASH))
    with pytest.raises(ProofError, match="node 2: a branch below the end of the key"):
        prove(root, b"\x11", [outer, inner, DEEP])
