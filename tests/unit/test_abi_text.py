"""Arguments as people write them, and values as they read them; every mistake is told with its place."""

import json
from typing import Any

import eth_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.test_abi import CASES

from tocsin.chain.abi import AbiError, Simple, Tuple, encode, signature
from tocsin.chain.abitext import address, arguments, as_json, shown, with_power

TO = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def given_as(types: str, *texts: str) -> Any:
    return arguments(signature(f"f({types})").takes, texts)


@pytest.mark.parametrize(
    ("types", "texts", "value"),
    [
        ("uint256", ["1000"], (1000,)),
        ("uint256", ["1_000_000"], (10**6,)),
        ("uint256", ["1e18"], (10**18,)),
        ("uint256", ["1.5e18"], (15 * 10**17,)),
        ("uint256", ["0xff"], (255,)),
        ("int8", ["-128"], (-128,)),
        ("bool,bool", ["true", "false"], (True, False)),
        ("address", [TO], (bytes.fromhex(TO[2:]),)),
        ("address", [TO.lower()], (bytes.fromhex(TO[2:]),)),
        ("bytes,bytes4", ["0x", "0x12345678"], (b"", b"\x12\x34\x56\x78")),
        ("string", ["two words"], ("two words",)),
        ("string", ['"a, \\"b\\""'], ('a, "b"',)),
        ("uint256[]", ["[]"], ((),)),
        ("uint256[]", ["[1, 2,3]"], ((1, 2, 3),)),
        ("uint8[2][]", ["[[1,2],[3,4]]"], (((1, 2), (3, 4)),)),
        ("(uint8,string)[]", ['[(1,"a,b"),(2,c)]'], (((1, "a,b"), (2, "c")),)),
    ],
)
def test_arguments_are_read_as_people_write_them(types: str, texts: list[str], value: Any) -> None:
    assert given_as(types, *texts) == value
    encode(signature(f"f({types})").takes, value)


@pytest.mark.parametrize(
    ("types", "texts", "said"),
    [
        ("address", [], "the function takes 1 argument (address), and 0 are given"),
        ("address,bool", ["true"], "takes 2 arguments (address,bool), and 1 is given"),
        ("", ["1"], "takes no argument, and 1 is given"),
        ("address", ["0x12"], "argument 1: '0x12' is no address: 0x and 40 hex digits, not 2"),
        ("address", ["vitalik.eth"], "argument 1: 'vitalik.eth' is no address: 0x and 40 hex digits"),
        ("bool,address", ["true", TO.replace("aA", "AA")], f"is wrong (EIP-55): a digit is, or if none is write {TO}"),
        ("bool", ["yes"], "'yes' is neither true nor false"),
        ("uint8", ["256"], "256 is not within uint8"),
        ("uint256", ["-1"], "-1 is not within uint256"),
        ("uint256", ["1.5"], "'1.5' is no integer: write 1000, 1_000, 1e18 or 0x3e8"),
        ("uint256", ["1.23e1"], "is no integer"),
        ("uint256", ["1e99"], "is not within uint256"),
        ("uint256", ["9" * 5000], "is no integer"),
        ("uint256", ["0x" + "f" * 65], "is no integer"),
        ("bytes", ["abc"], "is no bytes"),
        ("bytes", ["0xabc"], "is no bytes"),
        ("bytes", ["0x ab"], "is no bytes"),
        ("bytes4", ["0x12"], "bytes4 takes 4 bytes, not 1"),
        ("uint256[]", ["1,2"], "is no uint256[]: write it as [a,b]"),
        ("uint256[2]", ["[1]"], "uint256[2] takes 2 values, not 1"),
        ("uint256[]", ["[1,x]"], "argument 1[1]: 'x' is no integer"),
        ("(uint8,bool)", ["(1)"], "(uint8,bool) takes 2 values, not 1"),
        ("(uint8,bool)", ["(1,maybe)"], "argument 1.1: 'maybe' is neither true nor false"),
        ("string[]", ['["a]'], "brackets or quotes that do not close"),
        ("uint8[][]", ["[[1]"], "brackets or quotes that do not close"),
    ],
)
def test_a_mistake_in_an_argument_is_told_with_its_place(types: str, texts: list[str], said: str) -> None:
    with pytest.raises(AbiError) as refused:
        given_as(types, *texts)
    assert said in str(refused.value)


def test_an_address_in_capitals_has_no_checksum() -> None:
    assert address("0x" + TO[2:].upper(), "x") == bytes.fromhex(TO[2:])


@given(CASES)
def test_every_value_can_be_shown_and_told_as_json(case: tuple[Tuple, Any]) -> None:
    of, value = case
    assert shown(of, value)
    told = json.loads(json.dumps(as_json(of, value)))
    assert len(told) == len(value)
    assert eth_abi.encode([str(one) for one in of.of], value) == encode(of, value)


def test_values_are_shown_as_people_read_them() -> None:
    of = signature("f()(address,bool,bytes,string,int256,(uint8,bytes2)[])").returns
    assert of is not None
    value = (bytes.fromhex(TO[2:]), True, b"\1", "a\nb", -5, ((1, b"ab"),))
    assert shown(of, value) == f'({TO}, true, 0x01, "a\\nb", -5, [(1, 0x6162)])'
    assert as_json(of, value) == [TO, True, "0x01", "a\nb", "-5", [["1", "0x6162"]]]
    assert with_power(Simple("uint", 256), 10**18) == "1000000000000000000 [1.0000e+18]"
    assert with_power(Simple("uint", 256), 2**256 - 1).endswith("[1.1579e+77]")
    assert with_power(Simple("uint", 256), 5) == "5"
    assert with_power(Simple("bool"), True) == "true"  # noqa: FBT003 - a value


@given(st.text(max_size=40))
def test_whatever_is_typed_is_an_argument_or_a_mistake(text: str) -> None:
    for types in ("uint256", "address", "bytes", "uint8[]", "(bool,string)", "string"):
        try:
            value = given_as(types, text)
        except AbiError:
            continue
        encode(signature(f"f({types})").takes, value)
