"""Proofs of another implementation's tries are taken, with just the value that it has; what it refuses is refused."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tries import proof_of, reference_value, trie_of

from tocsin.chain.keccak import keccak256
from tocsin.chain.trie import ProofError, prove

# Keys that share long beginnings, so that short leaves stand inside of other nodes and extensions are long.
KEYS = st.builds(
    lambda start, middle, end: (start * 32)[: 32 - len(middle) - len(end)] + middle + end,
    st.sampled_from([b"\x00", b"\x11", b"\x12", b"\xff"]),
    st.binary(max_size=3),
    st.binary(max_size=2),
)
VALUES = st.binary(min_size=1, max_size=4) | st.binary(min_size=30, max_size=40)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=24), KEYS)
def test_every_key_is_proven_to_have_its_value_and_every_other_none(entries: dict[bytes, bytes], other: bytes) -> None:
    trie = trie_of(entries)
    for key in [*entries, other]:
        assert prove(trie.root_hash, key, proof_of(trie, key)) == entries.get(key)


@given(st.dictionaries(KEYS, VALUES, min_size=2, max_size=24), st.data())
def test_a_proof_of_one_key_proves_no_other_value_for_another(entries: dict[bytes, bytes], data: st.DataObject) -> None:
    trie = trie_of(entries)
    shown = data.draw(st.sampled_from(sorted(entries)))
    asked = data.draw(st.sampled_from(sorted(entries)) | KEYS)
    try:
        found = prove(trie.root_hash, asked, proof_of(trie, shown))
    except ProofError:
        return
    assert found == entries.get(asked)


def mutants(proof: list[bytes], others: list[bytes], draw: random.Random) -> Iterator[list[bytes]]:
    """Yield proofs that differ from this one: in bytes, in nodes, in their order."""
    at = draw.randrange(len(proof))
    node = proof[at]
    place = draw.randrange(len(node))
    cut = draw.randrange(len(node))
    yield [
        *proof[:at],
        node[:place] + bytes([node[place] ^ 1 << draw.randrange(8)]) + node[place + 1 :],
        *proof[at + 1 :],
    ]
    yield [*proof[:at], node[:cut], *proof[at + 1 :]]
    yield [*proof[:at], node + draw.randbytes(1 + draw.randrange(3)), *proof[at + 1 :]]
    yield [*proof[:at], *proof[at + 1 :]]
    yield [*proof[:at], draw.choice(others), *proof[at + 1 :]]
    yield [*proof, draw.choice(others)]
    yield [*proof[:at], node, node, *proof[at + 1 :]]
    if len(proof) > 1:
        yield proof[::-1]


def held_against_the_reference(seeds: range) -> tuple[int, int]:
    """Compare verdicts on mutants of proofs of inclusion and exclusion; return how many, and how many it refuses."""
    tried = refused = 0
    for seed in seeds:
        draw = random.Random(seed)  # noqa: S311 - examples
        count = draw.choice([2, 5, 20, 200])
        entries = {keccak256(draw.randbytes(4)): draw.randbytes(draw.choice([1, 3, 33, 70])) for _ in range(count)}
        trie = trie_of(entries)
        present = draw.choice(sorted(entries))
        absent = keccak256(draw.randbytes(5))
        others = [proof_of(trie, key)[-1] for key in sorted(entries)[:4]]
        for key in (present, absent):
            for proof in mutants(proof_of(trie, key), others, draw):
                tried += 1
                expected = reference_value(trie.root_hash, key, proof)
                refused += expected is None
                try:
                    found = prove(trie.root_hash, key, proof)
                except ProofError:
                    continue
                # What is taken is never what the other refuses, and never another value.
                assert expected is not None, (seed, key.hex())
                assert (found or b"") == expected == entries.get(key, b""), (seed, key.hex())
                assert proof == proof_of(trie, key), "one list of nodes proves, and no other"
    return tried, refused


def test_mutated_proofs_that_another_implementation_refuses_are_refused() -> None:
    tried, refused = held_against_the_reference(range(60))
    assert refused > tried // 3 > 200


@pytest.mark.slow
def test_each_of_100_000_mutated_proofs_that_another_implementation_refuses_is_refused() -> None:
    refused, seed = 0, 1_000
    while refused < 100_000:
        refused += held_against_the_reference(range(seed, seed + 100))[1]
        seed += 100


@given(st.binary(min_size=1, max_size=600), st.binary(min_size=32, max_size=32))
@settings(max_examples=300)
def test_whatever_bytes_a_root_names_are_a_proof_or_refused(node: bytes, key: bytes) -> None:
    try:
        found = prove(keccak256(node), key, [node])
    except ProofError:
        return
    assert (found or b"") == reference_value(keccak256(node), key, [node])
