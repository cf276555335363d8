"""The evidence against a node that lies about a contract can be checked by who has nothing else, and only as it is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rlp
from orjson import dumps, loads
from tests.support.accused import evidence
from tests.support.statepool import MALLORY, TOKEN, VAULT, StatePool, about, lying, swapped, watching
from tests.support.tries import reference_value

from tocsin.chain.keccak import keccak256
from tocsin.engine.readback import subject_of
from tocsin.engine.recheck import Outcome, Report, Verdict, rechecked
from tocsin.model.reading import CallOf, SlotOf, parse, reading
from tocsin.testing.headers import header_hash
from tocsin.wire.envelope import evidence_bytes

LIE = f"0x{MALLORY:064x}"
WITHIN = 7
"""Polls of 2 s in a slot of 12 s, and one."""


def caught(method: str, lie: Callable[[Any], Any], wanted: Any, *, prepared: Callable[[StatePool], None]) -> Any:
    """Return the evidence against a node that lies, as JSON."""
    pool = StatePool()
    prepared(pool)
    pool.rounds(20)
    pool.answers["n1"] = lying(method, lie, wanted)
    pool.rounds(WITHIN)
    [alert] = pool.alerts
    assert dict(alert.labels)["node"] == "sim.n1"
    return loads(evidence_bytes(alert))


def one_node_more(said: Any) -> Any:
    """Give a node too much in the proof of the second slot."""
    first, second = said["storageProof"]
    return {**said, "storageProof": [first, {**second, "proof": [*second["proof"], "0x80"]}]}


def as_it_is(_pool: StatePool) -> None:
    """Proofs, and blocks named by their hash."""


def by_number(pool: StatePool) -> None:
    for node in pool.nodes.values():
        node.data.pins_object = False


def without_proofs(pool: StatePool) -> None:
    for node in pool.nodes.values():
        node.data.missing.add("eth_getProof")


def texts(report: Report, outcome: Outcome) -> list[str]:
    return [check.text for check in report.checks if check.outcome is outcome]


@pytest.mark.parametrize("prepared", [as_it_is, by_number])
@pytest.mark.parametrize(
    ("method", "lie", "wanted"),
    [
        ("eth_getProof", swapped(MALLORY), about(VAULT)),
        ("eth_getProof", lambda said: {**said, "balance": "0x7"}, about(VAULT)),
        ("eth_getProof", one_node_more, about(VAULT)),
        ("eth_getStorageAt", lambda _: LIE, about(VAULT)),
        ("eth_getCode", lambda said: said[:-2] + "00", about(VAULT)),
        ("eth_getCode", lambda _: "0x" + "60" * 24_576, about(VAULT)),
    ],
)
def test_what_is_proven_to_be_wrong_can_be_checked_with_nothing_else_at_hand(
    method: str, lie: Callable[[Any], Any], wanted: Any, prepared: Callable[[StatePool], None]
) -> None:
    report = rechecked(caught(method, lie, wanted, prepared=prepared))
    assert report.verdict is Verdict.PROVES, report
    assert any("nodes sign nothing" in text for text in texts(report, Outcome.NOTE))


@pytest.mark.parametrize(
    ("method", "lie", "wanted", "prepared"),
    [
        ("eth_call", lambda _: LIE, about(TOKEN), as_it_is),
        ("eth_getStorageAt", lambda _: LIE, about(VAULT), without_proofs),
        ("eth_getCode", lambda said: said[:-2] + "00", about(VAULT), without_proofs),
    ],
)
def test_what_a_quorum_says_is_told_to_be_the_watchdogs_word(
    method: str, lie: Callable[[Any], Any], wanted: Any, prepared: Callable[[StatePool], None]
) -> None:
    report = rechecked(caught(method, lie, wanted, prepared=prepared))
    assert report.verdict is Verdict.UNDECIDED
    [text] = texts(report, Outcome.OPEN)
    assert "is what n0, n2 said; that is the watchdog's word" in text


def test_evidence_keeps_of_a_long_answer_what_is_needed() -> None:
    def padded(said: Any) -> Any:
        return {**swapped(MALLORY)(said), "junk": "x" * 1_000_000, "storageProof": [
            *({**slot, "more": ["y"] * 1000} for slot in swapped(MALLORY)(said)["storageProof"])]}  # fmt: skip

    evidence = caught("eth_getProof", padded, about(VAULT), prepared=as_it_is)
    assert rechecked(evidence).verdict is Verdict.PROVES
    assert len(dumps(evidence)) < 6_000
    assert len(evidence["claim"]["slots"]) == len(evidence["answer"]["storageProof"]) == 1


def test_code_longer_than_any_is_kept_by_its_digest_and_cannot_be_checked() -> None:
    evidence = caught("eth_getCode", lambda _: "0x" + "60" * 200_000, about(VAULT), prepared=as_it_is)
    report = rechecked(evidence)
    assert report.verdict is Verdict.UNDECIDED
    assert texts(report, Outcome.OPEN) == ["answer: it had 400004 bytes, of which only the digest was kept"]


def test_who_says_otherwise_than_he_proves_is_held_against_his_own_proof() -> None:
    pool = StatePool(watching(("self", "b")))
    pool.nodes["n0"].data.missing.add("eth_getProof")
    pool.rounds(20)
    pool.answers["n1"] = lying("eth_getStorageAt", lambda _: LIE, about(VAULT))
    pool.rounds(WITHIN)
    [alert] = pool.alerts
    assert rechecked(loads(evidence_bytes(alert))).verdict is Verdict.PROVES


def test_evidence_that_lacks_the_header_or_the_proof_of_what_is_right_is_told_all_the_same_and_stays_open() -> None:
    pool = StatePool()
    pool.rounds(20)
    storage = lying("eth_getStorageAt", lambda _: LIE, about(VAULT))
    pool.answers["n1"] = storage

    def withheld(event: Any) -> Any:
        is_extra = event.call.startswith("hash:") or (event.call.startswith("read:") and not event.run)
        keep = is_extra and not (event.node == "n1" and event.call.startswith("read:"))
        return replace(event, part=replace(event.part, result=b"null")) if keep and event.part else event

    pool.answers_fetch = withheld
    pool.rounds(WITHIN)
    [alert] = pool.alerts
    report = rechecked(loads(evidence_bytes(alert)))
    assert report.verdict is Verdict.UNDECIDED
    said = " ".join(texts(report, Outcome.OPEN))
    assert "only a summary of it was kept" in said
    assert "nobody gave the proof" in said


def changes(evidence: Any) -> list[tuple[str, Any]]:
    """Return evidence with one thing changed in it, and what is changed."""
    header, block, answer = evidence["header"], evidence["block"], evidence["answer"]
    return [
        ("header.gasUsed", {**evidence, "header": {**header, "gasUsed": "0x1"}}),
        ("header.stateRoot", {**evidence, "header": {**header, "stateRoot": "0x" + "11" * 32}}),
        ("block.number", {**evidence, "block": {**block, "number": block["number"] + 1}}),
        ("block.hash", {**evidence, "block": {**block, "hash": "0x" + "11" * 32}}),
        ("state_root", {**evidence, "state_root": "0x" + "11" * 32}),
        ("question", {**evidence, "question": evidence["question"].replace(block["hash"], "0x" + "11" * 32)}),
        ("no question", {**evidence, "question": None}),
        ("no answer", {**evidence, "answer": None}),
        ("an error", {**evidence, "answer": {"error": "no", "code": 1, "kind": "other"}}),
        ("answer", {**evidence, "answer": {**answer, "address": "0x" + "11" * 20}}),
        ("answer.accountProof", {**evidence, "answer": {**answer, "accountProof": 7}}),
        ("answer.accountProof.0", {**evidence, "answer": {**answer, "accountProof": [7]}}),
        ("claim.slots", {**evidence, "claim": {**evidence["claim"], "slots": []}}),
        ("claim.address", {**evidence, "claim": {**evidence["claim"], "address": "0x" + "11" * 20}}),
    ]


def test_evidence_that_was_changed_anywhere_proves_nothing_any_more() -> None:
    evidence = caught("eth_getProof", swapped(MALLORY), about(VAULT), prepared=as_it_is)
    for what, changed in changes(evidence):
        assert rechecked(changed).verdict is Verdict.FAILS, what


def test_a_sound_proof_is_no_evidence() -> None:
    evidence = caught("eth_getProof", swapped(MALLORY), about(VAULT), prepared=as_it_is)
    answer = evidence["answer"]
    [slot] = answer["storageProof"]
    honest = {**evidence, "answer": {**answer, "storageProof": [{**slot, "value": hex(0x111)}]}}
    report = rechecked(honest)
    assert report.verdict is Verdict.FAILS
    assert "nothing is wrong with it" in texts(report, Outcome.FAILS)[0]


def test_a_proof_asked_for_by_number_that_begins_elsewhere_may_be_of_another_block() -> None:
    evidence = caught("eth_getProof", swapped(MALLORY), about(VAULT), prepared=by_number)
    answer = evidence["answer"]
    first = answer["accountProof"][0]
    moved = {
        **answer,
        "accountProof": [first[:-2] + ("00" if first[-2:] != "00" else "01"), *answer["accountProof"][1:]],
    }
    assert "may be of another block" in texts(rechecked({**evidence, "answer": moved}), Outcome.FAILS)[0]


def test_the_value_of_changed_evidence_is_not_believed() -> None:
    evidence = caught("eth_getStorageAt", lambda _: LIE, about(VAULT), prepared=as_it_is)
    proof = evidence["proof"]
    other = f"0x{7:064x}"
    for changed, why in [
        ({**evidence, "said": other}, "answer: it says"),
        ({**evidence, "answer": other}, "answer: it says"),
        ({**evidence, "answer": evidence["expected"], "said": evidence["expected"]}, "is what is held to be right"),
        ({**evidence, "expected": other}, "right value: proven is"),
        ({**evidence, "subject": evidence["subject"][:-1] + "9"}, "question: about something else"),
        ({**evidence, "proof": {**proof, "answer": None}}, "right value: the proof of it is none"),
        ({**evidence, "proof": {**proof, "answer": {**proof["answer"], "balance": "0x1"}}}, "proves nothing"),
        ({**evidence, "proof": {**proof, "claim": {**proof["claim"], "slots": []}}}, "the proof of it is none"),
    ]:
        report = rechecked(changed)
        assert report.verdict is Verdict.FAILS, changed
        assert any(why in text for text in texts(report, Outcome.FAILS)), (why, report)


@pytest.mark.parametrize("what", ["proof", "slot", "code"])
def test_the_libraries_of_others_come_to_the_same_verdict(what: str) -> None:
    found = evidence(what)
    assert header_hash(found["header"]) == found["block"]["hash"]
    root = bytes.fromhex(found["header"]["stateRoot"][2:])
    if what == "proof":
        claimed = found["answer"]
        [slot] = claimed["storageProof"]
        assert held(root, claimed, slot) != int(slot["value"], 16)
        return
    account = held(root, found["proof"]["answer"])
    if what == "code":
        assert f"0x{account[3].hex()}" == found["expected"] == found["proof"]["answer"]["codeHash"]
        assert f"0x{keccak256(bytes.fromhex(found['answer'][2:])).hex()}" == found["said"] != found["expected"]
    else:
        [slot] = found["proof"]["answer"]["storageProof"]
        assert held(root, found["proof"]["answer"], slot) == int(found["expected"], 16) != int(found["said"], 16)


def held(root: bytes, answer: Any, slot: Any = None) -> Any:
    """Return what an answer to `eth_getProof` proves of an account, or of one of its slots, by another verifier."""

    def get(under: bytes, key: str, nodes: list[str]) -> Any:
        found = reference_value(under, keccak256(bytes.fromhex(key[2:])), [bytes.fromhex(node[2:]) for node in nodes])
        assert found, "it refuses the proof"
        return rlp.decode(found)

    account = get(root, answer["address"], answer["accountProof"])
    if slot is None:
        return account
    return int.from_bytes(get(account[2], f"0x{int(slot['key'], 16):064x}", slot["proof"]))


def longer(node: str) -> str:
    """Return a node with the length of its list in a form that no encoder writes."""
    data = bytes.fromhex(node[2:])
    assert data[0] == 0xF9
    return f"0xfa00{data[1:].hex()}"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda proof: [*proof, "0x80"], "3 nodes where the path has 2"),
        (lambda proof: proof[:-1], "the next one is missing"),
        (lambda proof: [proof[0], *proof], "not the one that is named above it"),
        (lambda proof: [longer(proof[0]), *proof[1:]], "not the one that is named above it"),
        (lambda proof: [*proof[:-1], "0x"], "0 bytes, which no node has"),
        (lambda proof: [*proof[:-1], "0x" + "00" * 533], "533 bytes, which no node has"),
        (lambda proof: [*proof[:-1], "0xzz"], "no bytes in hex"),
        (lambda proof: proof * 40, "no list of 65 nodes at most"),
        (lambda _: {}, "no list of 65 nodes at most"),
    ],
)
def test_a_proof_of_what_is_right_has_to_be_one_in_every_byte(change: Callable[[Any], Any], why: str) -> None:
    found = evidence("slot")
    proof = found["proof"]
    nodes = proof["answer"]["accountProof"]
    assert len(nodes) == 2
    changed = {**proof, "answer": {**proof["answer"], "accountProof": change(nodes)}}
    report = rechecked({**found, "proof": changed})
    assert report.verdict is Verdict.FAILS
    [said] = texts(report, Outcome.FAILS)
    assert why in said
    wrong_key = {**proof["answer"]["storageProof"][0], "key": "0x7"}
    other = {**proof, "answer": {**proof["answer"], "storageProof": [wrong_key]}}
    assert "not the one that was asked for" in texts(rechecked({**found, "proof": other}), Outcome.FAILS)[0]


def test_a_call_with_the_input_of_a_slot_s_name_is_not_that_slot() -> None:
    found = evidence("slot")
    asked = parse(found["question"])
    assert asked is not None
    [item] = asked.items
    assert isinstance(item, SlotOf)
    call = CallOf(to=item.address, data=item.key)
    assert subject_of(call) == subject_of(item)
    report = rechecked({**found, "question": reading(asked.block, asked.pin, (call,))})
    assert report.verdict is Verdict.FAILS
    assert "follows from no proof" in texts(report, Outcome.FAILS)[0]


def test_evidence_about_another_block_contract_or_slot_than_it_proves_fails() -> None:
    found = evidence("slot")
    asked = parse(found["question"])
    assert asked is not None
    [item] = asked.items
    assert isinstance(item, SlotOf)
    for other in (replace(item, address=TOKEN), replace(item, key=bytes(31) + b"\x09")):
        question = reading(asked.block, asked.pin, (other,))
        assert rechecked({**found, "question": question}).verdict is Verdict.FAILS
        assert rechecked({**found, "question": question, "subject": subject_of(other)}).verdict is Verdict.FAILS
    block = {**found["block"], "number": found["block"]["number"] + 1}
    assert rechecked({**found, "block": block}).verdict is Verdict.FAILS
