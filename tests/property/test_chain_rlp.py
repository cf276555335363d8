"""The encoding of headers on hex text is that of bytes, as the simulator's own encoder has it, at every length."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.chain.rlp import integer, listed, prefix, string
from tocsin.testing import rlp

# Where the form changes: a byte that stands for itself, one byte of length, two and three.
LENGTHS = st.sampled_from([0, 1, 2, 54, 55, 56, 57, 127, 128, 255, 256, 257, 65_535, 65_536, 65_537])


@given(st.binary(max_size=70) | LENGTHS.map(lambda length: b"\xa5" * length))
def test_a_string_is_encoded_as_the_bytes_that_it_spells(data: bytes) -> None:
    assert string(data.hex()) == rlp(data).hex()


@pytest.mark.parametrize("byte", range(256))
def test_every_single_byte_is_encoded_as_itself_or_behind_a_length(byte: int) -> None:
    assert string(f"{byte:02x}") == rlp(bytes([byte])).hex() == (f"{byte:02x}" if byte < 128 else f"81{byte:02x}")


@given(st.integers(0, 2**256 - 1))
@example(0)
@example(15)
@example(16)
@example(127)
@example(128)
def test_an_integer_is_encoded_by_its_bytes_without_leading_zeros(value: int) -> None:
    assert integer(f"{value:x}") == rlp(value.to_bytes((value.bit_length() + 7) // 8, "big")).hex()


@given(st.lists(st.binary(max_size=40) | LENGTHS.map(lambda length: b"\x5a" * length), max_size=4))
def test_a_list_is_encoded_by_the_length_of_what_is_in_it(items: list[bytes]) -> None:
    assert listed("".join(string(item.hex()) for item in items)) == rlp(items).hex()


@given(st.integers(0, 2**40) | st.sampled_from([1 << bits for bits in range(41)]), st.sampled_from([0x80, 0xC0]))
def test_a_prefix_tells_the_kind_and_the_length_of_what_follows(length: int, kind: int) -> None:
    first, *rest = bytes.fromhex(prefix(length, kind))
    if first <= kind + 55:
        assert (first - kind, rest) == (length, [])
    else:
        assert length > 55
        assert rest[0] > 0
        assert (first - kind - 55, int.from_bytes(bytes(rest), "big")) == (len(rest), length)
