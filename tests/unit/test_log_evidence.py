"""Logs and receipts held against a header once more: what they show, and what shows nothing."""

from dataclasses import replace

import orjson
import pytest
from tests.support.logchain import POOL, RULES, TRANSFER, History, Nodes, ref, transfer, user

from tocsin.chain.loganswer import Refused
from tocsin.chain.logevidence import ReceiptEvidence, is_nothing, recheck_receipts
from tocsin.chain.logindex import Tally
from tocsin.chain.logproof import Difference, LogEvidence, Wrong, recheck
from tocsin.chain.logtail import total
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef


@pytest.fixture(scope="module")
def right() -> ReceiptEvidence:
    history = History(0)
    block = history.put(transfer(1, 2), transfer(3, 4))
    node = Nodes(history.chain).nodes["A"]
    header = orjson.dumps(node.call("eth_getBlockByNumber", [hex(block.number), False]))
    receipts = orjson.dumps(node.call("eth_getBlockReceipts", [hex(block.number)]))
    return ReceiptEvidence(block=ref(block), told=receipts, header=header)


def test_the_right_receipts_are_evidence_of_nothing(right: ReceiptEvidence) -> None:
    assert recheck_receipts(right) is None


def test_receipts_with_another_log_do_not_hash_to_the_root(right: ReceiptEvidence) -> None:
    told = right.told.replace(user(2).hex().encode(), user(9).hex().encode())
    found = recheck_receipts(replace(right, told=told))
    assert isinstance(found, Difference)
    assert found.wrong is Wrong.CHANGED
    assert found.detail.startswith("1 receipts do not hash to 0x")


@pytest.mark.parametrize("told", [b"", b"[]", b"null", b" [] \n"])
def test_an_answer_without_receipts_says_nothing(right: ReceiptEvidence, told: bytes) -> None:
    assert is_nothing(told)
    found = recheck_receipts(replace(right, told=told))
    assert found == Refused(reason="there are no receipts in the answer, so that it says nothing")


def test_an_answer_with_receipts_is_one(right: ReceiptEvidence) -> None:
    assert not is_nothing(right.told)


def test_receipts_that_cannot_be_read_are_no_lie(right: ReceiptEvidence) -> None:
    found = recheck_receipts(replace(right, told=b"{}"))
    assert found == Refused(reason="the receipts cannot be read: no list of receipts")


def test_receipts_of_a_type_that_is_hashed_in_a_way_not_known_accuse_nobody(right: ReceiptEvidence) -> None:
    entries = orjson.loads(right.told)
    entries[0]["type"] = "0x7d"
    found = recheck_receipts(replace(right, told=orjson.dumps(entries)))
    assert isinstance(found, Refused)
    assert "of the types 0x7d among others" in found.reason


def test_a_header_that_is_not_the_blocks_binds_nothing(right: ReceiptEvidence) -> None:
    said = f"the header is not that of block {right.block.number} ("
    other = BlockRef(number=right.block.number, hash="0x" + "11" * 32)
    shown = orjson.loads(right.header)
    unknown = orjson.dumps({**shown, "a field of later": "0x1", "mixHash": None})
    for wrong in (
        replace(right, block=other),
        replace(right, header=b"null"),
        replace(right, header=right.header.replace(shown["stateRoot"].encode(), b"0x" + b"22" * 32)),
        replace(right, header=unknown),
    ):
        found = recheck_receipts(replace(wrong, told=b'[{"no": "receipt"}]'))
        assert isinstance(found, Refused)
        assert found.reason.startswith(said)
        assert found.reason.endswith(f"({wrong.block.hash})")


# -- logs


@pytest.fixture(scope="module")
def lie(right: ReceiptEvidence) -> LogEvidence:
    return LogEvidence(block=right.block, wanted=RULES.wanted, told=b"[]", header=right.header, receipts=right.told)


def test_logs_that_are_left_out_are_shown_by_the_receipts(lie: LogEvidence) -> None:
    found = recheck(lie)
    assert isinstance(found, Difference)
    assert found.wrong is Wrong.LEFT_OUT


def test_logs_held_against_a_header_that_is_not_the_blocks_or_cannot_be_verified_show_nothing(lie: LogEvidence) -> None:
    shown = orjson.loads(lie.header)
    unknown = orjson.dumps({**shown, "mixHash": None})
    for wrong in (
        replace(lie, header=unknown),
        replace(lie, header=b"null"),
        replace(lie, block=BlockRef(number=lie.block.number, hash="0x" + "11" * 32)),
    ):
        said = f"the header is not that of block {wrong.block.number} ({wrong.block.hash})"
        assert recheck(wrong) == Refused(reason=said)


def test_logs_held_against_receipts_that_prove_nothing_show_nothing(lie: LogEvidence) -> None:
    assert recheck(replace(lie, receipts=b"{}")) == Refused(reason="the receipts prove nothing: no list of receipts")


def test_logs_that_the_bloom_excludes_need_no_receipts() -> None:
    history = History(0)
    history.put()
    block = history.chain.head()
    node = Nodes(history.chain).nodes["A"]
    header = orjson.dumps(node.call("eth_getBlockByNumber", [hex(block.number), False]))
    made_up = {
        "blockNumber": hex(block.number),
        "blockHash": block.hash,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "address": f"0x{POOL.hex()}",
        "topics": [f"0x{TRANSFER.hex()}"],
        "data": "0x",
    }
    evidence = LogEvidence(
        block=ref(block), wanted=RULES.wanted, told=orjson.dumps([made_up]), header=header, receipts=b""
    )
    found = recheck(evidence)
    assert isinstance(found, Difference)
    assert found.wrong is Wrong.INVENTED
    assert recheck(replace(evidence, told=b"[]")) is None


def test_no_blocks_add_nothing_and_are_proven() -> None:
    assert total([]) == (Tally(), Grade.PROVEN)
