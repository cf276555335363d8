"""Evidence about headers is checked with nothing else at hand, and proves nothing once it was changed."""

from typing import Any

import orjson
import pytest
from tests.unit.test_chain_header import BLOCKS, ETHEREUM

from tocsin.chain.header import decode_header, real_hash
from tocsin.engine.evidence import of_header
from tocsin.engine.recheck import Outcome, Report, Unreadable, Verdict, rechecked
from tocsin.model.block import Header, Verification

Json = dict[str, Any]
SETTLED = [era for era in ETHEREUM if "amsterdam" not in era]


def shown(era: str = "paris", **change: object) -> Json:
    """Evidence of a header of an era, with something in it changed; of gas used, without a word."""
    block = {**BLOCKS[era], **(change or {"gasUsed": hex(int(BLOCKS[era]["gasUsed"], 16) ^ 1)})}
    data = orjson.dumps(block)
    header = decode_header(data)
    assert isinstance(header, Header)
    found: Json = orjson.loads(orjson.dumps(of_header(header, data, real_hash(data))))
    return found


def said(report: Report, outcome: Outcome) -> str:
    return " | ".join(check.text for check in report.checks if check.outcome is outcome)


@pytest.mark.parametrize("era", SETTLED)
def test_a_header_that_contradicts_itself_is_shown_by_itself(era: str) -> None:
    evidence = shown(era)
    report = rechecked(evidence)
    assert report.verdict is Verdict.PROVES
    assert f"its fields hash to {evidence['recomputed_hash']}, and it calls itself {BLOCKS[era]['hash']}" in said(
        report, Outcome.HOLDS
    )
    assert "is the watchdog's word" in said(report, Outcome.NOTE)
    assert "transactions" not in evidence["header"]


def test_a_sound_header_is_no_evidence() -> None:
    evidence = {**shown(), "header": {**shown()["header"], "gasUsed": BLOCKS["paris"]["gasUsed"]}}
    report = rechecked(evidence)
    assert report.verdict is Verdict.FAILS
    assert "nothing is wrong with it" in said(report, Outcome.FAILS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recomputed_hash": "0x" + "11" * 32}, "its fields hash to"),
        ({"recomputed_hash": None}, "its fields hash to"),
        ({"block": {"number": 1, "hash": "0x" + "11" * 32}}, "and the evidence is about block 1"),
        ({"header": {"hash": "0x", "stateRoot": "0x"}}, "number: not a hex quantity"),
    ],
)
def test_what_does_not_fit_is_refused(change: Json, words: str) -> None:
    report = rechecked({**shown(), **change})
    assert report.verdict is Verdict.FAILS
    assert words in said(report, Outcome.FAILS)


def test_what_was_taken_from_a_header_or_put_into_it_no_longer_proves() -> None:
    evidence = shown()
    for name in evidence["header"]:
        less = {key: value for key, value in evidence["header"].items() if key != name}
        assert rechecked({**evidence, "header": less}).verdict is not Verdict.PROVES, name
        other = {**evidence["header"], name: "0x1"}
        assert rechecked({**evidence, "header": other}).verdict is not Verdict.PROVES, name
    more = {**evidence["header"], "l1BlockNumber": "0x1"}
    assert rechecked({**evidence, "header": more}).verdict is Verdict.UNDECIDED, "its chain may hash otherwise"


def test_of_a_header_without_end_a_summary_is_kept_which_proves_nothing() -> None:
    evidence = shown(extraData="0x" + "ab" * 100_000)
    assert len(orjson.dumps(evidence)) < 1_000
    report = rechecked(evidence)
    assert report.verdict is Verdict.UNDECIDED
    assert "only a summary of it was kept" in said(report, Outcome.OPEN)


def test_a_header_that_nobody_can_verify_accuses_nobody() -> None:
    block = {**BLOCKS["paris"], "gasUsed": "0x1", "somethingElse": "0x1"}
    header = decode_header(orjson.dumps(block))
    assert isinstance(header, Header)
    assert header.verification is Verification.CANNOT_VERIFY
    evidence = of_header(header, orjson.dumps(block), None)
    assert rechecked(orjson.loads(orjson.dumps(evidence))).verdict is Verdict.UNDECIDED


def test_evidence_without_any_header_is_none() -> None:
    with pytest.raises(Unreadable, match="header: no object"):
        rechecked({**shown(), "header": None})
