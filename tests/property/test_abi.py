"""The ABI codec writes what eth_abi writes, reads that to the bit, and takes nothing that an encoder does not write."""

from typing import Any

import eth_abi
import pytest
from eth_abi.exceptions import DecodingError
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.chain.abi import (
    AbiError,
    Array,
    Simple,
    Tuple,
    Type,
    Value,
    checksummed,
    decode,
    encode,
    is_dynamic,
    signature,
)
from tocsin.chain.keccak import keccak256

SIMPLE = st.one_of(
    st.integers(1, 32).map(lambda size: Simple("uint", 8 * size)),
    st.integers(1, 32).map(lambda size: Simple("int", 8 * size)),
    st.integers(0, 32).map(lambda size: Simple("bytes", size)),
    st.sampled_from([Simple("address"), Simple("bool"), Simple("string")]),
)
TYPES: st.SearchStrategy[Type] = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(Array, inner, st.none() | st.integers(1, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: Tuple(tuple(found))),
    ),
    max_leaves=6,
)
PARTS = st.lists(TYPES, max_size=3).map(lambda found: Tuple(tuple(found)))
WORDS = st.characters(exclude_categories=["Cs"])


def values(of: Type) -> st.SearchStrategy[Any]:
    match of:
        case Simple(kind="uint", size=size):
            return st.integers(0, 2**size - 1)
        case Simple(kind="int", size=size):
            return st.integers(-(2 ** (size - 1)), 2 ** (size - 1) - 1)
        case Simple(kind="bool"):
            return st.booleans()
        case Simple(kind="string"):
            return st.text(WORDS, max_size=40)
        case Simple(kind="address"):
            return st.binary(min_size=20, max_size=20)
        case Simple(size=size):
            return st.binary(min_size=size, max_size=size or 70)
        case Array(of=one, length=length):
            least, most = (0, 3) if length is None else (length, length)
            return st.lists(values(one), min_size=least, max_size=most).map(tuple)
        case Tuple(of=inner):
            return st.tuples(*map(values, inner))


CASES = PARTS.flatmap(lambda of: st.tuples(st.just(of), values(of)))


def names(of: Tuple) -> list[str]:
    return [str(one) for one in of.of]


def plain(of: Type, value: Any) -> Value:
    """What eth_abi decodes, with addresses as bytes."""
    match of:
        case Simple(kind="address"):
            return bytes.fromhex(value[2:])
        case Array(of=one):
            return tuple(plain(one, each) for each in value)
        case Tuple(of=inner):
            return tuple(plain(one, each) for one, each in zip(inner, value, strict=True))
        case _:
            return value  # type: ignore[no-any-return]


@given(CASES)
def test_values_are_written_as_another_encoder_does_and_read_back(case: tuple[Tuple, Any]) -> None:
    of, value = case
    data = encode(of, value)
    assert data == eth_abi.encode(names(of), value)
    assert decode(of, data) == value


@given(CASES, st.data())
def test_a_changed_bit_is_refused_or_read_as_another_decoder_does(case: tuple[Tuple, Any], data: st.DataObject) -> None:
    of, value = case
    good = encode(of, value)
    if not good:
        return
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    changed = (int.from_bytes(good) ^ 1 << bit).to_bytes(len(good))
    try:
        found = decode(of, changed)
    except AbiError:
        return
    assert encode(of, found) == changed
    assert found == plain(of, eth_abi.decode(names(of), changed))


@given(PARTS, st.binary(max_size=320))
def test_of_whatever_bytes_only_the_one_encoding_is_taken(of: Tuple, data: bytes) -> None:
    try:
        found = decode(of, data)
    except AbiError:
        return
    assert encode(of, found) == data
    assert found == plain(of, eth_abi.decode(names(of), data))


@given(CASES, st.binary(min_size=1, max_size=40))
def test_nothing_may_be_left_over_or_missing(case: tuple[Tuple, Any], more: bytes) -> None:
    of, value = case
    good = encode(of, value)
    for bad in (good + more, good[:-1] if good else None):
        if bad is not None:
            with pytest.raises(AbiError):
                decode(of, bad)


def word(value: int) -> bytes:
    return value.to_bytes(32)


LIST, LISTS = signature("f()(uint256[])").returns, signature("f()(uint256[][])").returns
HOSTILE = [
    ("uint256[]", word(32) + word(2**255)),
    ("uint256[]", word(32) + word(2**61)),
    ("uint256[]", word(2**256 - 32)),
    ("uint256[]", word(0)),
    ("uint256[][]", word(32) + word(2) + word(0) + word(0)),
    ("uint256[][]", word(32) + word(2) + word(64) + word(64) + word(0)),
    ("bytes", word(32) + word(2**200) + b"a" * 32),
    ("bytes", word(32) + word(33) + b"a" * 32),
    ("string", word(32) + word(1) + b"\xff" + bytes(31)),
    ("bytes", word(32) + word(1) + b"ab" + bytes(30)),
    ("bool", word(2)),
    ("address", word(2**160)),
    ("uint8", word(256)),
    ("int8", word(128)),
    ("int8", word(2**255)),
    ("bytes4", b"\1" * 5 + bytes(27)),
    ("uint256[999999999]", word(1)),
    ("string[999999999]", word(32)),
    # Every level says that it holds as many as fit, all of them in the same place.
    ("uint256[][][][][][][][]", word(32) + b"".join(word(8) + word(0) * 8 for _ in range(8))),
]


@pytest.mark.parametrize(("name", "data"), HOSTILE)
def test_hostile_bytes_are_refused_at_once(name: str, data: bytes) -> None:
    of = signature(f"f()({name})").returns
    assert of is not None
    with pytest.raises(AbiError):
        decode(of, data)


def test_each_byte_is_read_once_however_deep_arrays_are_nested() -> None:
    of = signature(f"f()(uint8{'[]' * 15})").returns
    assert of is not None
    value: Any = tuple(range(200))
    for _ in range(14):
        value = (value,)
    assert decode(of, encode(of, (value,))) == (value,)


@given(st.text(max_size=60))
@example("f(((((((((((((((((((((uint256)))))))))))))))))))))")
@example("f(uint256[0])")
@example("f(())")
def test_whatever_text_is_no_signature_is_said_to_be_none(text: str) -> None:
    try:
        found = signature(text)
    except AbiError:
        return
    again = signature(f"{found.name}{found.takes}{found.returns or ''}")
    assert again == found


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("balanceOf(address)(uint256)", "balanceOf(address)"),
        ("transfer(address to, uint amount) returns (bool)", "transfer(address,uint256)"),
        ("f((uint,(bytes32 a,string[2] memory b)[]) x, int)(address)", "f((uint256,(bytes32,string[2])[]),int256)"),
        ("name() view returns (string memory)", "name()"),
        ("name()external view returns(string)", "name()"),
        ("f(tuple(uint8,bool)[3])", "f((uint8,bool)[3])"),
    ],
)
def test_signatures_are_read_as_people_write_them(text: str, canonical: str) -> None:
    found = signature(text)
    assert f"{found.name}{found.takes}" == canonical
    assert found.selector == keccak256(canonical.encode())[:4]


def test_the_selector_is_the_known_one() -> None:
    assert signature("transfer(address,uint256)").selector.hex() == "a9059cbb"
    assert signature("balanceOf(address)(uint256)").selector.hex() == "70a08231"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("balanceOf", "no types of arguments behind 'balanceOf': write balanceOf()"),
        ("", "does not begin with a function's name"),
        ("(uint256)", "does not begin with a function's name"),
        ("balanceOf(adress)", "'adress' is no type (did you mean address?)"),
        ("balanceOf(unit256)", "did you mean uint256?"),
        ("balanceOf(uint7)", "'uint7' is no type"),
        ("balanceOf(uint264)", "'uint264' is no type"),
        ("balanceOf(bytes33)", "'bytes33' is no type"),
        ("balanceOf(address", "')' is missing at the end"),
        ("balanceOf(address))", "')' is left over"),
        ("balanceOf(address)(uint256)(bool)", "'(bool)' is left over"),
        ("balanceOf(address,)", "is no type"),
        ("f(uint256[0])", "an array of no length"),
        ("f(())", "an empty tuple"),
        ("f(" + "uint256" + "[]" * 20 + ")", "more than 16 arrays and tuples"),
        ("f(" + "x" * 5000 + ")", "a signature of 5003 characters"),
    ],
)
def test_a_mistake_in_a_signature_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(AbiError) as refused:
        signature(text)
    assert said in str(refused.value)


@given(CASES)
def test_a_value_of_another_type_is_not_written(case: tuple[Tuple, Any]) -> None:
    of, value = case
    for wrong in ((*value, 1), 7, None, "x"):
        with pytest.raises(AbiError):
            encode(of, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("int8", 128),
        ("uint256", True),
        ("bool", 1),
        ("address", b"x"),
        ("bytes4", b"abc"),
        ("string", "\ud800"),
        ("uint256[2]", (1,)),
    ],
)
def test_a_value_that_does_not_fit_is_not_written(name: str, value: Any) -> None:
    with pytest.raises(AbiError):
        encode(signature(f"f({name})").takes, (value,))


def test_what_is_dynamic_and_how_checksums_are_written() -> None:
    assert is_dynamic(Array(Simple("uint", 8)))
    assert not is_dynamic(Array(Simple("uint", 8), 2))
    assert is_dynamic(Array(Simple("string"), 2))
    right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55
    assert checksummed(right.lower()) == right
    with pytest.raises(DecodingError):
        eth_abi.decode(["bytes"], word(32) + word(33) + b"a" * 32)
