"""Header hashes of every fork, from public blocks and the vectors of the execution-apis repository."""

import copy
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from tocsin.chain.header import Absent, Malformed, decode_header, real_hash
from tocsin.chain.keccak import keccak256
from tocsin.chain.rlp import integer, listed, string
from tocsin.model.block import Header, Verification

BLOCKS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("test_chain_headers.json").read_text())
ETHEREUM = [era for era in BLOCKS if not era.startswith(("op ", "arbitrum"))]
ORDER = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"),
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash"),
    *("blockAccessListHash", "slotNumber"),
)
"""The fields of a header in the order of go-ethereum."""
QUANTITIES = {"difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas"}
QUANTITIES |= {"blobGasUsed", "excessBlobGas", "slotNumber"}
BESIDE = {"hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals"}


def decoded(block: dict[str, Any]) -> Header:
    header = decode_header(orjson.dumps(block))
    assert isinstance(header, Header), header
    return header


def changed(era: str, **fields: object) -> dict[str, Any]:
    return {**copy.deepcopy(BLOCKS[era]), **fields}


def without(era: str, *names: str) -> dict[str, Any]:
    return {name: value for name, value in BLOCKS[era].items() if name not in names}


def flipped(text: str) -> str:
    """Flip one bit of a hex text, keeping quantities without leading zeros and data of the same length."""
    return f"{text[:-1]}{int(text[-1], 16) ^ 1:x}" if text != "0x" else "0x01"


@pytest.mark.parametrize("era", BLOCKS)
def test_a_real_block_of_each_era_and_of_ethereum_like_chains_matches(era: str) -> None:
    block = BLOCKS[era]
    header = decoded(block)
    assert header.verification is Verification.MATCH
    assert (header.number, header.timestamp) == (int(block["number"], 16), int(block["timestamp"], 16))
    assert (header.hash, header.parent_hash, header.state_root) == (
        block["hash"],
        block["parentHash"],
        block["stateRoot"],
    )


@pytest.mark.parametrize("era", ETHEREUM)
def test_one_flipped_bit_in_any_field_is_a_mismatch(era: str) -> None:
    fields = [name for name in BLOCKS[era] if name not in BESIDE]
    assert len(fields) >= 15
    for field in [*fields, "hash"]:
        block = changed(era, **{field: flipped(BLOCKS[era][field])})
        assert decoded(block).verification is Verification.MISMATCH, field


@pytest.mark.parametrize("field", sorted(BESIDE - {"hash"}))
def test_what_is_not_part_of_a_header_does_not_count(field: str) -> None:
    assert decoded(changed("cancun", **{field: "0x7"})).verification is Verification.MATCH


def test_the_real_hash_is_told_for_a_header_that_lies() -> None:
    block = changed("prague", hash="0x" + "ab" * 32)
    assert real_hash(orjson.dumps(block)) == BLOCKS["prague"]["hash"]
    assert real_hash(orjson.dumps({**block, "sendRoot": "0x1"})) is None
    assert real_hash(b"null") is None
    assert real_hash(b"{") is None


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(changed("cancun", gasUsed="0x1", l1BlockNumber="0x1"), id="a key that no Ethereum client adds"),
        pytest.param(changed("arbitrum one 511882413", gasUsed="0x1"), id="Arbitrum's keys"),
        pytest.param(without("london", "mixHash"), id="a field that is missing"),
        pytest.param(without("cancun", "parentBeaconBlockRoot"), id="half a fork"),
        pytest.param(without("prague", "withdrawalsRoot"), id="a hole in the appended fields"),
        pytest.param(changed("paris", withdrawalsRoot=None, gasUsed="0x1", extraFuture="0x"), id="a future field"),
        pytest.param(changed("cancun", nonce="0x0", gasUsed="0x1"), id="a nonce written as a quantity"),
        pytest.param(changed("cancun", nonce="0x00"), id="a nonce that is too short"),
        pytest.param(changed("cancun", miner="0x" + "ab" * 21), id="an address that is too long"),
        pytest.param(changed("cancun", parentBeaconBlockRoot="0x"), id="a hash that is empty"),
        pytest.param(changed("cancun", gasUsed="0x01"), id="a quantity with a leading zero"),
        pytest.param(changed("cancun", gasUsed=177628), id="a quantity as a JSON number"),
        pytest.param(changed("cancun", extraData="0x0"), id="half a byte"),
        pytest.param(changed("cancun", logsBloom="0x" + "zz" * 256), id="no hex"),
        pytest.param(changed("cancun", miner="0x" + "ab" * 19 + "  "), id="white space between digits"),
        pytest.param(changed("cancun", difficulty="0x" + "f" * 65), id="more than 256 bits"),
        pytest.param(
            changed("paris", gasUsed="0x1", mixHash="0x" + b"ctical byzantine fault tolerance".hex()), id="IBFT seals"
        ),
        pytest.param(
            changed("prague", blockAccessListHash="0x" + "11" * 32, slotNumber="0x9", hash="0x" + "22" * 32),
            id="a fork that is not settled",
        ),
    ],
)
def test_what_no_settled_fork_explains_is_never_an_accusation(block: dict[str, Any]) -> None:
    assert decoded(block).verification is Verification.CANNOT_VERIFY


@pytest.mark.parametrize("era", ETHEREUM)
def test_where_headers_may_hash_otherwise_nobody_is_accused_and_a_match_still_holds(era: str) -> None:
    for block, expected in (
        (BLOCKS[era], Verification.MATCH),
        (changed(era, gasUsed=flipped(BLOCKS[era]["gasUsed"])), Verification.CANNOT_VERIFY),
    ):
        header = decode_header(orjson.dumps(block), accuses=False)
        assert isinstance(header, Header)
        assert header.verification is expected


def test_a_field_that_is_shown_but_not_hashed_does_not_hide_a_match() -> None:
    block = changed("mainnet 0 (frontier)", baseFeePerGas="0x7")
    assert decoded(block).verification is Verification.MATCH
    block["withdrawalsRoot"] = "0x" + "11" * 32
    assert decoded(block).verification is Verification.MATCH
    block["blobGasUsed"] = "0x9"
    assert decoded(block).verification is Verification.MATCH


def rehashed(block: dict[str, Any], fields: tuple[str, ...] = ORDER) -> dict[str, Any]:
    """Return the block with the hash that follows from these fields, as far as it has them."""
    shown = [key for key in fields if key in block]
    items = [integer(block[key][2:]) if key in QUANTITIES else string(block[key][2:]) for key in shown]
    return {**block, "hash": "0x" + keccak256(bytes.fromhex(listed("".join(items)))).hex()}


def test_a_hash_that_leaves_out_a_field_of_every_header_is_no_match() -> None:
    block = changed("mainnet 0 (frontier)")
    assert decoded(rehashed(block)).verification is Verification.MATCH
    assert decoded(rehashed(block, ORDER[:14])).verification is Verification.MISMATCH


@pytest.mark.parametrize("value", ["0x0", "0x1", "0x7f", "0x80", "0xFF", "0x" + "f" * 63, "0x" + "f" * 64])
def test_a_quantity_of_up_to_256_bits_is_part_of_the_hash(value: str) -> None:
    block = rehashed(changed("cancun", difficulty=value))
    assert decoded(block).verification is Verification.MATCH
    assert decoded({**block, "difficulty": "0x2"}).verification is Verification.MISMATCH


@pytest.mark.parametrize("data", ["0x", "0x00", "0x7F", "0x80", "0xaB", "0xAb" + "Cd" * 31, "0x" + "ee" * 200])
def test_extra_data_of_any_length_and_case_is_part_of_the_hash(data: str) -> None:
    block = rehashed(changed("cancun", extraData=data))
    assert decoded(block).verification is Verification.MATCH
    assert decoded({**block, "extraData": "0x1234"}).verification is Verification.MISMATCH


def test_amsterdam_fields_are_hashed_in_the_order_of_go_ethereum() -> None:
    block = changed("prague", blockAccessListHash="0x" + "11" * 32, slotNumber="0x9")
    assert decoded(rehashed(block)).verification is Verification.MATCH
    others = (*ORDER[:-2], "slotNumber", "blockAccessListHash")
    assert decoded(rehashed(block, others)).verification is Verification.CANNOT_VERIFY


def test_upper_case_digits_are_the_same_header() -> None:
    block = {
        name: "0x" + value[2:].upper() if isinstance(value, str) else value
        for name, value in BLOCKS["mainnet 24630100 (osaka)"].items()
    }
    assert decoded(block) == decoded(BLOCKS["mainnet 24630100 (osaka)"])


def test_null_is_absent_and_not_malformed() -> None:
    assert decode_header(b"null") == Absent()


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "a block is an object, not list"),
        (b'"0x1"', "a block is an object, not str"),
        (b"{}", "number: not a hex quantity"),
        (orjson.dumps(changed("cancun", number="0x" + "f" * 100_000)), "number: not below 2^63"),
        (orjson.dumps(changed("cancun", number="0x8000000000000000")), "number: not below 2^63"),
        (orjson.dumps(changed("cancun", number="0x")), "number: not a hex quantity"),
        (orjson.dumps(changed("cancun", number="0x00")), "number: not a hex quantity"),
        (orjson.dumps(changed("cancun", number="12")), "number: not a hex quantity"),
        (orjson.dumps(changed("cancun", number="0x1\n")), "number: not a hex quantity"),
        (orjson.dumps(changed("cancun", number=True)), "number: not a hex quantity"),
        (orjson.dumps(changed("cancun", timestamp="-0x1")), "timestamp: not a hex quantity"),
        (orjson.dumps(changed("cancun", hash=None)), "hash: not 32 bytes of hex"),
        (orjson.dumps(changed("cancun", hash="0x" + "0" * 63)), "hash: not 32 bytes of hex"),
        (orjson.dumps(changed("cancun", parentHash=["0x"])), "parentHash: not 32 bytes of hex"),
        (orjson.dumps(changed("cancun", stateRoot="0x" + "0" * 62 + "  ")), "stateRoot: not 32 bytes of hex"),
    ],
)
def test_what_is_no_block_is_malformed_and_says_why(result: bytes, reason: str) -> None:
    assert decode_header(result) == Malformed(reason=reason)


def test_the_largest_height_is_taken() -> None:
    assert decoded(changed("cancun", number="0x7fffffffffffffff")).number == 2**63 - 1


def test_rlp_encodes_the_published_examples() -> None:
    # The examples of the Ethereum wiki page on RLP.
    assert string("646f67") == "83646f67"
    assert listed(string("636174") + string("646f67")) == "c88363617483646f67"
    assert string("") == "80"
    assert integer("0") == "80"
    assert string("00") == "00"
    assert integer("f") == "0f"
    assert integer("400") == "820400"
    assert integer("80") == "8180"
    assert string("61" * 56) == "b838" + "61" * 56
    assert listed("80" * 56) == "f838" + "80" * 56
    assert string("61" * 1024) == "b90400" + "61" * 1024


def test_keccak_is_the_original_one_and_not_sha3() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
