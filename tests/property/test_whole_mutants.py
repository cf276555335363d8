"""Whole claims and whole evidence, changed anywhere: none is taken for what it is not, and none ends the program.

A claim that is taken says just what the honest answer says, however it is written. Evidence that still proves
something is about the same block, by the same proofs, and against an answer that is not the truth.
"""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.accused import evidence
from tests.support.logchain import QUIET, RULES, History, Nodes, borrow, ref, transfer, user
from tests.support.mutants import mutant, mutant_bytes, parsed
from tests.support.statepool import ALICE, CODE, IMPLEMENTATION, OWNER_SLOT, VAULT, StatePool
from tests.unit.test_chain_header import BLOCKS

from tocsin.chain.header import Header, Malformed, decode_header, real_hash
from tocsin.chain.logproof import Difference, LogEvidence, recheck
from tocsin.chain.logrules import EventRule, RuleSet, Topic
from tocsin.chain.proof import Claim, Proven, Refuted, claim_of, verify
from tocsin.engine.evidence import of_header, of_logs, of_receipts
from tocsin.engine.recheck import Unreadable, Verdict, rechecked

GETH = json.loads((Path(__file__).parents[1] / "unit" / "test_chain_proofs.json").read_text())
ZERO = bytes(32)
NOTHING = "0x" + "00" * 32
EMPTY = {
    "storageHash": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "codeHash": "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
}


# -- claims


@dataclass(frozen=True)
class Answer:
    """What an honest node answers, and what was asked."""

    root: bytes
    address: bytes
    keys: tuple[bytes, ...]
    result: Any


@lru_cache(maxsize=1)
def answers() -> tuple[Answer, ...]:
    found = [
        Answer(
            root=bytes.fromhex(GETH["block"]["stateRoot"][2:]),
            address=bytes.fromhex(one["address"][2:]),
            keys=(ZERO,) * len(one["keys"]),
            result=one["result"],
        )
        for one in GETH["proofs"]
    ]
    pool = StatePool()
    pool.rounds(4)
    node, block = pool.nodes["n0"], pool.chain.head()
    header: Any = node.call("eth_getBlockByNumber", [hex(block.number), False])
    keys = tuple(slot.to_bytes(32) for slot in (IMPLEMENTATION, OWNER_SLOT, 77))
    for address, asked in ((VAULT, keys), (bytes([3]) * 20, ()), (b"\x99" * 20, keys[:1])):
        params = [f"0x{address.hex()}", [f"0x{key.hex()}" for key in asked], hex(block.number)]
        result = orjson.loads(orjson.dumps(node.call("eth_getProof", params)))
        found.append(Answer(root=bytes.fromhex(header["stateRoot"][2:]), address=address, keys=asked, result=result))
    return tuple(found)


def meaning(answer: Any) -> Any:
    """What an answer says, however it is written. Nothing of the program is used for it."""
    account = {name: int(answer[name], 16) for name in ("nonce", "balance")}
    hashes = {name: answer[name].lower() for name in ("address", "storageHash", "codeHash")}
    if not any(account.values()):  # of no account some clients say that its hashes are zero
        hashes |= {name: empty for name, empty in EMPTY.items() if hashes[name] == NOTHING}
    slots = [(int(slot["key"], 16), int(slot["value"], 16), nodes_of(slot["proof"])) for slot in answer["storageProof"]]
    return account, hashes, nodes_of(answer["accountProof"]), slots


def nodes_of(proof: list[str]) -> list[str]:
    """Return the nodes of a proof; the one of an empty trie may be left away."""
    nodes = [node.lower() for node in proof]
    return [] if nodes == ["0x80"] else nodes


def held(answer: Answer, data: bytes) -> Proven | Refuted | Malformed:
    claim = claim_of(data, answer.address, answer.keys)
    return verify(answer.root, claim) if isinstance(claim, Claim) else claim


def claims_held(count: int, seed: str) -> Counter[type]:
    """Hold so many mutants of claims against the truth; return what became of those that mean something else."""
    draw, found = random.Random(seed), Counter[type]()  # noqa: S311 - repeatable on purpose
    while found.total() < count:
        answer = draw.choice(answers())
        data = orjson.dumps(answer.result)
        changed = mutant_bytes(data, draw) if draw.randrange(3) == 0 else orjson.dumps(mutant(answer.result, draw))
        outcome = held(answer, changed)
        if not isinstance(outcome, Proven):
            found[type(outcome)] += 1
            continue
        assert outcome == held(answer, data), changed
        # What is taken may be written otherwise, with other spaces, or say more: it says the same.
        assert meaning(parsed(changed)) == meaning(answer.result), changed
    return found


def test_the_answers_of_honest_nodes_are_taken_and_other_ways_to_write_them() -> None:
    for answer in answers():
        right = held(answer, orjson.dumps(answer.result))
        assert isinstance(right, Proven)
        loud = {**answer.result, "balance": "0x000" + answer.result["balance"][2:], "more": 1}
        assert held(answer, orjson.dumps(loud)) == right
        assert meaning(loud) == meaning(answer.result)


def test_no_mutant_of_a_claim_is_taken_that_means_something_else() -> None:
    found = claims_held(1_000, "fast")
    assert min(found[Refuted], found[Malformed]) > 150


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("part", range(4))
def test_none_of_100_000_mutants_of_whole_claims_is_taken_that_means_something_else(part: int) -> None:
    found = claims_held(25_000, f"slow {part}")
    assert min(found[Refuted], found[Malformed]) > 3_000


# -- evidence


@dataclass(frozen=True)
class Shown:
    """Evidence that is sound: what of it is bound by hashes, and what the node should have answered.

    `bound` are the fields that, said otherwise, prove nothing any more; the others are words of the watchdog.
    """

    evidence: Any
    verdict: Verdict
    bound: tuple[str, ...]
    truth: Any = None
    is_truth: Callable[[Any, Any], bool] = field(default=lambda said, right: bool(said == right))


ALWAYS = ("block", "header", "kind")
OF_VALUE = (*ALWAYS, "subject", "said", "expected", "expected_by", "question", "answer")


def _same_claim(said: Any, right: Any) -> bool:
    try:
        return bool(meaning(said) == meaning(right))
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


@lru_cache(maxsize=1)
def sound() -> dict[str, Shown]:
    """Evidence of every kind, in each way that it may be known what is right."""
    found = {}
    proof = evidence("proof")
    lied = proof["answer"]
    first = {**lied["storageProof"][0], "value": hex(ALICE if int(lied["storageProof"][0]["key"], 16) == 5 else 0x111)}
    found["proof"] = Shown(
        proof, Verdict.PROVES, (*ALWAYS, "claim"), {**lied, "storageProof": [first]}, is_truth=_same_claim
    )
    for name, right in (("slot", f"0x{ALICE:064x}"), ("code", f"0x{CODE.hex()}")):
        found[name] = Shown(evidence(name), Verdict.PROVES, (*OF_VALUE, "proof"), right)
    found["call"] = Shown(evidence("call"), Verdict.UNDECIDED, OF_VALUE)
    found |= _of_logs()
    header = orjson.dumps({**BLOCKS["paris"], "gasUsed": "0x1"})
    decoded = decode_header(header)
    assert isinstance(decoded, Header)
    of_that = orjson.loads(orjson.dumps(of_header(decoded, header, real_hash(header))))
    found["header"] = Shown(of_that, Verdict.PROVES, (*ALWAYS, "recomputed_hash"))
    return found


def _of_logs() -> dict[str, Shown]:
    history = History(0)
    block = history.put(transfer(1, 2), transfer(3, 4), borrow(5))
    node = Nodes(history.chain).nodes["A"]
    header = orjson.dumps(node.call("eth_getBlockByNumber", [hex(block.number), False]))
    right: Any = orjson.loads(orjson.dumps(node.call("eth_getBlockReceipts", [hex(block.number)])))
    logs: Any = [log for one in right for log in one["logs"]]
    place = {"blockNumber": hex(block.number), "blockHash": block.hash, "transactionIndex": "0x0", "logIndex": "0x0"}
    topics = [f"0x{QUIET.hex()}", f"0x{user(1).rjust(32, bytes(1)).hex()}"]
    invented = [{**place, "address": "0x" + "77" * 20, "topics": topics, "data": "0x"}]
    quiet = RuleSet(rules=(EventRule(name="x", addresses=(b"\x77" * 20,), topic0=QUIET, account=Topic(1)),))
    found = {}
    for name, told, wanted, receipts, truth in (
        ("logs", logs[:1], RULES.wanted, orjson.dumps(right), logs),
        ("logs that never were", invented, quiet.wanted, b"", []),
    ):
        of = LogEvidence(block=ref(block), wanted=wanted, told=orjson.dumps(told), header=header, receipts=receipts)
        how = recheck(of)
        assert isinstance(how, Difference)
        bound = (*ALWAYS, *(("receipts",) if receipts else ()))
        found[name] = Shown(orjson.loads(orjson.dumps(of_logs(of, how))), Verdict.PROVES, bound, truth)
    wrong = orjson.dumps([{**right[0], "status": "0x0"}, *right[1:]])
    given = orjson.loads(orjson.dumps(of_receipts(ref(block), header, wrong, "x")))
    found["receipts"] = Shown(given, Verdict.PROVES, ALWAYS, right)
    return found


_HASHED = ("type", "status", "root", "cumulativeGasUsed", "logsBloom", "logs")
_OF_LOG = ("address", "topics", "data")


def bound(value: Any, part: str, name: str) -> Any:
    """Return what of a part is bound: of receipts not all is hashed; of a slot some clients leave zeros away."""
    if (name, part) == ("slot", "answer"):
        return int(value, 16)
    if part != "receipts":
        return value
    receipts = [{name: one.get(name) for name in _HASHED} for one in value]
    return [{**one, "logs": [{name: log[name] for name in _OF_LOG} for log in one["logs"]]} for one in receipts]


def told_alike(said: Any, right: Any) -> bool:
    """Tell whether two pieces of JSON say the same, however their numbers and bytes are written."""
    if isinstance(said, dict) and isinstance(right, dict):
        return all(name in said and told_alike(said[name], one) for name, one in right.items() if one is not None)
    if isinstance(said, list) and isinstance(right, list):
        return len(said) == len(right) and all(told_alike(*pair) for pair in zip(said, right, strict=True))
    if isinstance(said, str) and isinstance(right, str) and said[:2] == right[:2] == "0x":
        try:
            return int(said, 16) == int(right, 16) and (len(right) < 60 or len(said) == len(right))
        except ValueError:
            return said == right
    return type(said) is type(right) and bool(said == right)


def evidence_held(count: int, seed: str) -> Counter[str]:
    """Hold so many mutants of evidence against what they were; return what became of those that say something else."""
    draw, found = random.Random(seed), Counter[str]()  # noqa: S311 - repeatable on purpose
    names = sorted(sound())
    while found.total() < count:
        name = draw.choice(names)
        one = sound()[name]
        changed = mutant(one.evidence, draw)
        if draw.randrange(4) == 0:
            changed = parsed(mutant_bytes(orjson.dumps(one.evidence), draw))
        if not isinstance(changed, dict):
            continue
        try:
            verdict = rechecked(changed).verdict
        except Unreadable:
            found["unreadable"] += 1
            continue
        found[verdict.value] += 1
        if verdict is not Verdict.PROVES:
            continue
        assert one.verdict is Verdict.PROVES, (name, changed)
        for part in one.bound:
            assert told_alike(bound(changed.get(part), part, name), bound(one.evidence[part], part, name)), (name, part)
        assert one.truth is None or not one.is_truth(changed["answer"], one.truth), (name, changed)
    return found


@pytest.mark.parametrize("name", sound())
def test_sound_evidence_is_what_it_is_and_the_truth_accuses_nobody(name: str) -> None:
    one = sound()[name]
    assert rechecked(one.evidence).verdict is one.verdict
    if one.truth is not None:
        assert one.is_truth(one.truth, one.truth)
        assert not one.is_truth(one.evidence["answer"], one.truth)
        assert rechecked({**one.evidence, "answer": one.truth}).verdict is Verdict.FAILS


def test_no_mutant_of_evidence_proves_anything_else() -> None:
    found = evidence_held(700, "fast")
    assert min(found["fails"], found["unreadable"], found["proves"]) > 20, found


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("part", range(4))
def test_none_of_100_000_mutants_of_evidence_proves_anything_else(part: int) -> None:
    found = evidence_held(25_000, f"slow {part}")
    assert min(found["fails"], found["unreadable"], found["proves"]) > 1_000, found
