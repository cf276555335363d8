"""Evidence about logs and receipts is checked with nothing else at hand, and proves nothing once it was changed."""

from typing import Any

import orjson
import pytest
from tests.support.logchain import QUIET, RULES, History, Nodes, borrow, ref, transfer, user

from tocsin.chain.logproof import Difference, LogEvidence, Wrong, recheck
from tocsin.chain.logrules import EventRule, RuleSet, Topic
from tocsin.engine.evidence import of_logs, of_receipts
from tocsin.engine.recheck import Outcome, Report, Verdict, rechecked
from tocsin.testing.simblock import SimBlock

Json = dict[str, Any]


@pytest.fixture
def block() -> tuple[Nodes, SimBlock]:
    history = History(0)
    found = history.put(transfer(1, 2), transfer(3, 4), borrow(5))
    return Nodes(history.chain), found


def told(nodes: Nodes, of: SimBlock, answer: bytes, rules: RuleSet = RULES, *, receipts: bool = True) -> Json:
    node = nodes.nodes["A"]
    found = LogEvidence(
        block=ref(of),
        wanted=rules.wanted,
        told=answer,
        header=orjson.dumps(node.call("eth_getBlockByNumber", [hex(of.number), False])),
        receipts=orjson.dumps(node.call("eth_getBlockReceipts", [hex(of.number)])) if receipts else b"",
    )
    how = recheck(found)
    how = how if isinstance(how, Difference) else Difference(wrong=Wrong.CHANGED, detail="nothing")
    evidence: Json = orjson.loads(orjson.dumps(of_logs(found, how)))
    return evidence


def said(report: Report, outcome: Outcome) -> str:
    return " | ".join(check.text for check in report.checks if check.outcome is outcome)


def test_logs_that_were_left_out_are_shown_by_the_receipts(block: tuple[Nodes, SimBlock]) -> None:
    evidence = told(*block, b"[]")
    assert (evidence["wrong"], evidence["kind"]) == ("left-out", "logs")
    report = rechecked(evidence)
    assert report.verdict is Verdict.PROVES
    assert "held against the receipts that the header's root binds, they are left out: 3 of 3" in said(
        report, Outcome.HOLDS
    )


def test_logs_that_the_bloom_excludes_are_shown_by_the_header_alone(block: tuple[Nodes, SimBlock]) -> None:
    nodes, of = block
    rules = RuleSet(
        rules=(EventRule(name="x", addresses=(b"\x77" * 20,), topic0=QUIET, account=Topic(1)),),
    )
    place = {"blockNumber": hex(of.number), "blockHash": of.hash, "transactionIndex": "0x0", "logIndex": "0x0"}
    topics = [f"0x{QUIET.hex()}", f"0x{user(1).rjust(32, bytes(1)).hex()}"]
    log = {**place, "address": "0x" + "77" * 20, "topics": topics, "data": "0x"}
    report = rechecked(told(nodes, of, orjson.dumps([log]), rules, receipts=False))
    assert report.verdict is Verdict.PROVES
    assert "the header's bloom, they are invented" in said(report, Outcome.HOLDS)


def test_right_logs_are_evidence_of_nothing(block: tuple[Nodes, SimBlock]) -> None:
    nodes, of = block
    logs = nodes.nodes["A"].call("eth_getLogs", [{"blockHash": of.hash, "topics": [], "address": []}])
    wanted = {f"0x{topic.hex()}" for topic in RULES.wanted.topics}
    asked = [log for log in logs if log["topics"] and log["topics"][0] in wanted]
    assert len(asked) == 3
    report = rechecked(told(nodes, of, orjson.dumps(asked)))
    assert report.verdict is Verdict.FAILS
    assert "nothing is wrong with them" in said(report, Outcome.FAILS)


def test_evidence_about_logs_that_was_changed_proves_nothing(block: tuple[Nodes, SimBlock]) -> None:
    evidence = told(*block, b"[]")
    first, *rest = evidence["receipts"]
    for changed in (
        {**evidence, "receipts": [{**first, "cumulativeGasUsed": "0x7"}, *rest]},
        {**evidence, "receipts": []},
        {**evidence, "receipts": {"a": 1}},
        {**evidence, "header": {**evidence["header"], "receiptsRoot": "0x" + "11" * 32}},
        {**evidence, "answer": {"a": 1}},
        {**evidence, "answer": [7]},
        {**evidence, "answer": None},
    ):
        assert rechecked(changed).verdict is Verdict.FAILS, changed
    without = {name: value for name, value in evidence.items() if name != "receipts"}
    assert rechecked(without).verdict is Verdict.FAILS


def test_receipts_that_do_not_hash_to_the_root_are_shown_by_the_header(block: tuple[Nodes, SimBlock]) -> None:
    nodes, of = block
    node = nodes.nodes["A"]
    header = orjson.dumps(node.call("eth_getBlockByNumber", [hex(of.number), False]))
    right = node.call("eth_getBlockReceipts", [hex(of.number)])
    wrong = [{**right[0], "status": "0x0"}, *right[1:]]
    evidence: Json = orjson.loads(orjson.dumps(of_receipts(ref(of), header, orjson.dumps(wrong), "x")))
    report = rechecked(evidence)
    assert report.verdict is Verdict.PROVES
    assert "do not hash to" in said(report, Outcome.HOLDS)
    assert rechecked({**evidence, "answer": right}).verdict is Verdict.FAILS
    assert rechecked({**evidence, "answer": [{**right[0], "status": 7}]}).verdict is Verdict.FAILS
    assert rechecked({**evidence, "answer": []}).verdict is Verdict.FAILS
    foreign = rechecked({**evidence, "answer": [{**right[0], "type": "0x55"}]})
    assert foreign.verdict is Verdict.UNDECIDED
    assert "how those are hashed is not known" in said(foreign, Outcome.OPEN)
