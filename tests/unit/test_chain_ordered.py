"""The root of a list is the one that another implementation's trie has, at every length where its shape changes."""

import pytest
import rlp as reference
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tries import trie_of

from tocsin.chain.ordered import ordered_root
from tocsin.chain.trie import EMPTY_ROOT


def reference_root(items: list[bytes]) -> bytes:
    return bytes(trie_of({reference.encode(at): item for at, item in enumerate(items)}).root_hash)


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 17, 127, 128, 129, 130, 255, 256, 257, 300])
@pytest.mark.parametrize("length", [1, 20, 40, 300])
def test_a_list_of_any_length_has_the_root_of_its_trie(count: int, length: int) -> None:
    items = [bytes([at % 251 + 1]) * length for at in range(count)]
    assert ordered_root(items) == reference_root(items)


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=40))
def test_whatever_is_in_a_list_its_root_is_that_of_its_trie(items: list[bytes]) -> None:
    assert ordered_root(items) == reference_root(items)


def test_nothing_has_the_root_of_the_empty_trie() -> None:
    assert ordered_root([]) == EMPTY_ROOT == reference_root([])
