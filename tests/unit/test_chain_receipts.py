"""The logs of a block are those of its receipts, and the receipts those that hash to the root in its header."""

import copy
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import rlp as reference
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tries import trie_of

from tocsin.chain.header import Malformed
from tocsin.chain.receipts import Logs, Unproven, bloom_of, logs_of, may_hold
from tocsin.model.log import Log

GETH = json.loads(Path(__file__).with_name("test_chain_receipts.json").read_text())["blocks"]
OLD, NEW = GETH
ROOT = bytes.fromhex(NEW["receiptsRoot"][2:])
BLOOM = bytes.fromhex(NEW["logsBloom"][2:])


def told(receipts: object, root: bytes = ROOT) -> Logs | Unproven | Malformed:
    return logs_of(root, orjson.dumps(receipts))


def proven(block: dict[str, Any]) -> tuple[Log, ...]:
    found = told(block["receipts"], bytes.fromhex(block["receiptsRoot"][2:]))
    assert isinstance(found, Logs), found
    return found.logs


def test_the_logs_of_a_block_of_geth_are_proven_in_their_order() -> None:
    logs = proven(NEW)
    said = [log for receipt in NEW["receipts"] for log in receipt["logs"]]
    assert [log.index for log in logs] == list(range(11))
    assert [f"0x{log.address.hex()}" for log in logs] == [log["address"] for log in said]
    assert [[f"0x{topic.hex()}" for topic in log.topics] for log in logs] == [log["topics"] for log in said]
    assert [f"0x{log.data.hex()}" for log in logs] == [log["data"] for log in said]


def test_a_block_from_before_byzantium_is_proven_with_roots_for_statuses() -> None:
    assert all("status" not in receipt for receipt in OLD["receipts"])
    assert proven(OLD) == ()


def test_a_block_without_transactions_has_no_logs() -> None:
    empty = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
    assert told([], empty) == Logs(logs=())
    assert isinstance(told([]), Unproven)


def changes() -> dict[str, list[dict[str, Any]]]:
    """Return receipts that differ from those of the block in one thing."""
    found: dict[str, list[dict[str, Any]]] = {}

    def change(name: str) -> list[dict[str, Any]]:
        found[name] = copy.deepcopy(NEW["receipts"])
        return found[name]

    change("a receipt less").pop()
    change("an order").reverse()
    change("a status")[0]["status"] = "0x0"
    change("gas")[2]["cumulativeGasUsed"] = "0x1"
    change("a bloom")[3]["logsBloom"] = "0x" + "00" * 256
    change("the last log")[3]["logs"].pop()
    change("data")[1]["logs"][4]["data"] = "0x01"
    change("a topic")[1]["logs"][4]["topics"][0] = "0x" + "11" * 32
    change("a topic less")[1]["logs"][4]["topics"].pop()
    change("an address")[1]["logs"][4]["address"] = "0x" + "11" * 20
    change("a type")[1]["type"] = "0x2"
    return found


@pytest.mark.parametrize("which", changes())
def test_anything_left_out_or_changed_is_told_and_accuses(which: str) -> None:
    found = told(changes()[which])
    assert isinstance(found, Unproven)
    assert found.accuses
    assert found.reason.endswith(f"receipts do not hash to 0x{ROOT.hex()}")


def test_receipts_of_types_that_are_not_known_accuse_nobody() -> None:
    receipts = copy.deepcopy(NEW["receipts"])
    receipts[0]["type"], receipts[1]["type"] = "0x6a", "0x64"
    found = told(receipts)
    assert found == Unproven(
        reason=f"4 receipts, of the types 0x64, 0x6a among others do not hash to 0x{ROOT.hex()}", accuses=False
    )


# -- every type, by another implementation's encoding

EMPTY_BLOOM = b"\0" * 256


def receipt(**values: object) -> dict[str, Any]:
    plain = {"type": "0x0", "status": "0x1", "cumulativeGasUsed": "0x5208", "logsBloom": f"0x{EMPTY_BLOOM.hex()}"}
    return {**plain, "logs": [], **values}


def root_of(*encoded: bytes) -> bytes:
    return bytes(trie_of({reference.encode(at): one for at, one in enumerate(encoded)}).root_hash)


PLAIN: list[object] = [1, 0x5208, EMPTY_BLOOM, []]


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 0x64, 0x7F])
def test_a_typed_receipt_has_its_type_in_front(kind: int) -> None:
    root = root_of(bytes([kind]) + reference.encode(PLAIN))
    assert told([receipt(type=hex(kind))], root) == Logs(logs=())
    assert isinstance(told([receipt()], root), Unproven)


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ({}, []),
        ({"depositNonce": "0x3a"}, [0x3A]),
        ({"depositNonce": "0x0", "depositReceiptVersion": "0x1"}, [0, 1]),
        ({"depositNonce": None, "depositReceiptVersion": None}, []),
    ],
)
def test_a_deposit_of_the_op_stack_has_its_nonce_and_version_behind_the_logs(
    said: dict[str, object], more: list[int]
) -> None:
    root = root_of(b"\x7e" + reference.encode([*PLAIN, *more]))
    assert told([receipt(type="0x7e", **said)], root) == Logs(logs=())
    other = root_of(b"\x02" + reference.encode(PLAIN))
    assert told([receipt(type="0x2", **said)], other) == Logs(logs=()), "no other type has them"


def test_a_receipt_without_a_type_is_a_legacy_one_and_a_failed_one_has_the_status_zero() -> None:
    untyped = receipt(status="0x0")
    del untyped["type"]
    root = root_of(reference.encode([0, 0x5208, EMPTY_BLOOM, []]))
    assert told([untyped], root) == Logs(logs=())
    assert told([{**untyped, "root": None}], root) == Logs(logs=())


# -- answers that are none


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("1", "0x", "1: no object"),
        ("1.type", "0x80", "1.type: no transaction has 0x80"),
        ("1.type", 2, "1.type: no number below 2^64: 2"),
        ("1.status", None, "1.status: no number below 2^64: None"),
        ("1.cumulativeGasUsed", "0x1" + "0" * 16, "1.cumulativeGasUsed: no number below 2^64: '0x1"),
        ("1.logsBloom", "0x00", "1.logsBloom: not 256 bytes: '0x00'"),
        ("1.logs", {}, "1.logs: no list"),
        ("1.logs.3", [], "1.logs.3: no object"),
        ("1.logs.3.address", "0x" + "11" * 21, "1.logs.3.address: not 20 bytes: '0x11"),
        ("1.logs.3.topics", "0x", "1.logs.3.topics: no list of 4 at most"),
        ("1.logs.3.topics", ["0x" + "11" * 32] * 5, "1.logs.3.topics: no list of 4 at most"),
        ("1.logs.3.topics.0", "0x11", "1.logs.3.topics.0: not 32 bytes: '0x11'"),
        ("1.logs.3.data", "0x1", "1.logs.3.data: no bytes in hex: '0x1'"),
        ("1.logs.3.data", ["0x"], "1.logs.3.data: no bytes in hex: list"),
    ],
)
def test_an_answer_that_is_none_says_where(path: str, value: object, said: str) -> None:
    receipts: Any = copy.deepcopy(NEW["receipts"])
    *way, last = path.split(".")
    at = receipts
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    at[int(last) if isinstance(at, list) else last] = value
    found = told(receipts)
    assert isinstance(found, Malformed)
    assert found.reason.startswith(said)


@pytest.mark.parametrize(
    ("result", "said"), [(b"null", "no list of receipts"), (b"{}", "no list of receipts"), (b"[", "no JSON: ")]
)
def test_what_is_no_list_is_no_answer(result: bytes, said: str) -> None:
    found = logs_of(ROOT, result)
    assert isinstance(found, Malformed)
    assert found.reason.startswith(said)


def test_a_root_where_a_status_belongs_has_to_be_a_hash() -> None:
    receipts = copy.deepcopy(OLD["receipts"])
    receipts[0]["root"] = "0x11"
    assert told(receipts) == Malformed(reason="0.root: not 32 bytes: '0x11'")


# -- blooms


def test_the_bloom_of_the_logs_is_that_of_the_header() -> None:
    assert bloom_of(proven(NEW)) == BLOOM
    assert bloom_of(()) == EMPTY_BLOOM


def test_a_bloom_may_hold_what_was_written_and_not_what_differs_in_a_bit_of_it() -> None:
    for log in proven(NEW):
        assert may_hold(BLOOM, (log.address, *log.topics))
        assert not may_hold(EMPTY_BLOOM, (log.address,))
    assert may_hold(EMPTY_BLOOM, ())
    strangers = [bytes([at]) * 20 for at in range(200)]
    assert sum(may_hold(BLOOM, (one,)) for one in strangers) < 5
    log = proven(NEW)[0]
    assert sum(may_hold(BLOOM, (log.address, one)) for one in strangers) < 5, "one that is there is not enough"


@given(st.lists(st.binary(min_size=20, max_size=20), max_size=8))
def test_each_address_sets_three_bits_at_most_and_no_order_matters(addresses: list[bytes]) -> None:
    logs = [Log(index=at, address=address, topics=(), data=b"") for at, address in enumerate(addresses)]
    bloom = bloom_of(logs)
    assert len(bloom) == 256
    assert bloom == bloom_of(logs[::-1])
    assert int.from_bytes(bloom).bit_count() <= 3 * len(set(addresses))
    assert may_hold(bloom, addresses)
