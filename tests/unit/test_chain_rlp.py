"""Strict decoding: what an encoder writes is read back, by what another implementation reads; nothing else is."""

import pytest
import rlp as reference
from hypothesis import given
from hypothesis import strategies as st

from tocsin.chain import rlp
from tocsin.chain.rlp import Nested, RlpError

LENGTHS = st.sampled_from([0, 1, 2, 54, 55, 56, 57, 255, 256, 257, 65_535, 65_536])
STRINGS = st.binary(max_size=60) | LENGTHS.map(lambda length: b"\xa5" * length)
VALUES = st.recursive(STRINGS, lambda inner: st.lists(inner, max_size=18), max_leaves=40)


@given(st.lists(VALUES, max_size=18))
def test_the_items_of_a_list_are_read_back_and_lists_in_it_as_they_are_encoded(values: list[object]) -> None:
    found = rlp.items(reference.encode(values))
    assert found == [value if isinstance(value, bytes) else reference.encode(value) for value in values]
    assert [isinstance(item, Nested) for item in found] == [isinstance(value, list) for value in values]


@given(STRINGS)
def test_a_string_is_read_back(value: bytes) -> None:
    assert rlp.text(reference.encode(value)) == value


def read_elsewhere(data: bytes) -> object:
    """What the other implementation reads; None where it refuses."""
    try:
        return reference.decode(data)
    except reference.DecodingError:
        return None


@given(st.binary(max_size=80))
def test_a_string_is_read_if_another_strict_decoder_reads_one(data: bytes) -> None:
    expected = read_elsewhere(data)
    try:
        assert rlp.text(data) == expected
    except RlpError:
        assert not isinstance(expected, bytes)


@given(st.binary(max_size=80) | st.binary(max_size=54).map(lambda body: bytes([0xC0 + len(body)]) + body))
def test_a_flat_list_is_read_if_another_strict_decoder_reads_one(data: bytes) -> None:
    expected = read_elsewhere(data)
    try:
        found = rlp.items(data)
    except RlpError:
        assert not isinstance(expected, list)
        return
    if not any(isinstance(item, Nested) for item in found):  # the other looks into those as well
        assert found == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "nothing where an item belongs"),
        ("80", "a string where a list belongs"),
        ("05", "a string where a list belongs"),
        ("c000", "1 bytes follow the list"),
        ("c0c0c0", "2 bytes follow the list"),
        ("c1", "an item of 1 bytes where 0 are left"),
        ("c2820102", "1 bytes follow the list"),
        ("c28201", "an item of 2 bytes where 1 are left"),
        ("c18100", "1 bytes follow the list"),
        ("c28105", "a byte below 0x80 with a prefix"),
        ("c2817f", "a byte below 0x80 with a prefix"),
        ("f800", "a length in a longer form than it needs"),
        ("f837" + "05" * 55, "a length in a longer form than it needs"),
        ("f90038" + "05" * 56, "a length in a longer form than it needs"),
        ("f8", "a length that is cut off"),
        ("f901", "a length that is cut off"),
        ("f838" + "05" * 55, "an item of 56 bytes where 55 are left"),
        ("ff" + "ff" * 8, f"an item of {2**64 - 1} bytes where 0 are left"),
        ("c2b801", "a length in a longer form than it needs"),
        ("c1b8", "a length that is cut off"),
    ],
)
def test_a_list_that_no_encoder_writes_is_refused(data: str, said: str) -> None:
    with pytest.raises(RlpError) as refused:
        rlp.items(bytes.fromhex(data))
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "nothing where an item belongs"),
        ("c0", "a list where a string belongs"),
        ("bf", "a length that is cut off"),
        ("0505", "1 bytes follow the string"),
        ("820505ff", "1 bytes follow the string"),
        ("8105", "a byte below 0x80 with a prefix"),
        ("b80105", "a length in a longer form than it needs"),
    ],
)
def test_a_string_that_no_encoder_writes_is_refused(data: str, said: str) -> None:
    with pytest.raises(RlpError) as refused:
        rlp.text(bytes.fromhex(data))
    assert str(refused.value) == said


@pytest.mark.parametrize("byte", [0x80, 0xFF])
def test_a_byte_from_0x80_on_has_a_prefix(byte: int) -> None:
    assert rlp.items(bytes([0xC2, 0x81, byte])) == [bytes([byte])]


def test_the_longest_short_forms_and_the_shortest_long_ones_are_read() -> None:
    assert rlp.items(b"\xf7" + b"\x05" * 55) == [b"\x05"] * 55
    assert rlp.items(b"\xf8\x38" + b"\x05" * 56) == [b"\x05"] * 56
    assert rlp.text(b"\xb7" + b"\x05" * 55) == b"\x05" * 55
    assert rlp.text(b"\xb8\x38" + b"\x05" * 56) == b"\x05" * 56


@given(st.integers(0, 2**256 - 1))
def test_an_integer_is_read_from_the_fewest_bytes(value: int) -> None:
    payload = value.to_bytes((value.bit_length() + 7) // 8)
    assert rlp.number(payload) == value
    with pytest.raises(RlpError, match=r"an integer (with a leading zero|of 33 bytes)"):
        rlp.number(b"\0" + payload)


@pytest.mark.parametrize(("length", "most"), [(33, 32), (9, 8), (2, 1)])
def test_an_integer_of_too_many_bytes_is_refused(length: int, most: int) -> None:
    with pytest.raises(RlpError, match=f"an integer of {length} bytes"):
        rlp.number(b"\x01" * length, most)
    assert rlp.number(b"\xff" * most, most) == 256**most - 1
