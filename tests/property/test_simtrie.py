"""The simulator's tries have the roots and the proofs of another implementation's."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.tries import proof_of, trie_of

from tocsin.testing.simtrie import Trie

KEYS = st.builds(
    lambda start, middle, end: (start * 32)[: 32 - len(middle) - len(end)] + middle + end,
    st.sampled_from([b"\x00", b"\x11", b"\x12", b"\xff"]),
    st.binary(max_size=3),
    st.binary(max_size=2),
)
VALUES = st.binary(min_size=1, max_size=4) | st.binary(min_size=30, max_size=40)


@given(st.dictionaries(KEYS, VALUES, max_size=24), KEYS)
def test_roots_and_proofs_are_those_of_another_implementation(entries: dict[bytes, bytes], other: bytes) -> None:
    ours, theirs = Trie(entries), trie_of(entries)
    assert ours.root == theirs.root_hash
    for key in [*entries, other]:
        assert ours.proof(key) == proof_of(theirs, key)
