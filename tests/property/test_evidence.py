"""Evidence may come from anywhere: whatever it is, it is checked, or refused in words."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.accused import evidence

from tocsin.engine.recheck import Outcome, Report, Unreadable, Verdict, rechecked

WORDS = st.binary(max_size=40).map(lambda data: f"0x{data.hex()}")
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.text(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


def changed(value: Any, draw: Any) -> Any:
    """Change one thing somewhere."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 8)) == 0:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: changed(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], changed(value[at], draw), *value[at + 1 :]]
    if isinstance(value, str) and len(value) > 2 and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return value[:at] + draw(st.sampled_from("0123456789abcdefx ,;:")) + value[at + 1 :]
    return draw(JSON)


def looked_at(found: Any) -> Report | None:
    try:
        return rechecked(found)
    except Unreadable:
        return None


@settings(max_examples=300, deadline=None)
@given(data=st.data(), what=st.sampled_from(["proof", "slot", "call"]))
def test_evidence_that_was_tampered_with_is_refused_or_proves_what_it_did(data: st.DataObject, what: str) -> None:
    found = changed(evidence(what), data.draw)
    report = looked_at(found) if isinstance(found, dict) else None
    if report is None or report.verdict is not Verdict.PROVES:
        return
    # What still proves something is about the same block, and a claim that really is refuted.
    assert found["block"] == evidence(what)["block"]
    assert [check for check in report.checks if check.outcome is Outcome.HOLDS]


@given(found=st.dictionaries(st.sampled_from(["schema", "kind", "block", "claim", "answer", "header"]), JSON))
def test_anything_at_all_is_answered_in_words(found: dict[str, Any]) -> None:
    looked_at(found)
    looked_at({**found, "schema": 1, "kind": "proof"})


@pytest.mark.parametrize("kind", ["proof", "value", "logs", "receipts"])
def test_answers_nested_without_end_are_refused(kind: str) -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    base = evidence("proof")
    assert looked_at({**base, "kind": kind, "answer": deep, "header": {"a": deep}}) is None or kind in ("value", "logs")
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(deep)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({}, "schema: not a number up to 1"),
        ({"schema": 2, "kind": "proof"}, "schema: not a number up to 1"),
        ({"schema": True, "kind": "proof"}, "schema: not a number up to 1"),
        ({"schema": 1, "kind": "tea"}, "kind: 'tea' is none of proof, value, logs, receipts"),
        ({"schema": 1, "kind": ["proof"]}, "kind: list is none of"),
        ({"schema": 1, "kind": "proof", "truncated": True, "digest": "ab"}, "it was cut"),
        ({"schema": 1, "kind": "proof"}, "block: not an object with a number and a hash"),
        ({"schema": 1, "kind": "proof", "block": {"number": "7", "hash": "0x" + "11" * 32}}, "block: not an object"),
        ({"schema": 1, "kind": "proof", "block": {"number": 7, "hash": "0x" + "11" * 31}}, "block.hash: not 32 bytes"),
        ({"schema": 1, "kind": "proof", "block": {"number": 7, "hash": "0x" + "11" * 32}}, "claim: no object"),
        ({"schema": 1, "kind": "value", "block": {"number": 7, "hash": "0x" + "11" * 32}}, "subject: no text"),
        ({"schema": 1, "kind": "logs", "block": {"number": 7, "hash": "0x" + "11" * 32}}, "asked: no object"),
    ],
)
def test_what_is_no_evidence_is_refused_with_the_place(found: dict[str, Any], why: str) -> None:
    with pytest.raises(Unreadable, match=why.replace("(", r"\(")):
        rechecked(found)
