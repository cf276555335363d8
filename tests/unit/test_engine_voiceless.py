"""Nodes that answer and have no vote: whoever operates the pool is told that nothing is known, and why."""

import orjson
import pytest
from tests.support.pool import Answer, settings_for
from tests.support.ticking import Ticking, fails

from tocsin.model.alert import Alert, Grade
from tocsin.testing import SimNode


def grade(pool: Ticking) -> Grade:
    return pool.state.chains["sim"].head.grade


def lost(pool: Ticking) -> Alert:
    [alert] = [one for one in pool.alerts if one.detector == "pool.quorum_lost" and one.reason == "fired"]
    return alert


def alien() -> Answer:
    """A node that says it is on another chain."""

    def answer(node: SimNode, request: bytes) -> bytes:
        answers, asked = orjson.loads(node.answer(request)), orjson.loads(request)
        for call, entry in zip(asked, answers, strict=True) if isinstance(asked, list) else ():
            if call["method"] == "eth_chainId":
                entry["result"] = "0x5"
        return orjson.dumps(answers)

    return answer


@pytest.mark.parametrize("providers", ["a", "ab", "abc"])
def test_a_pool_that_is_on_another_chain_as_a_whole_has_lost_every_vote(providers: str) -> None:
    pool = Ticking(settings_for(tuple(providers)))
    pool.rounds(20)
    for name in pool.nodes:
        pool.answers[name] = alien()
    pool.rounds(8)
    assert grade(pool) is Grade.BLIND
    assert not [one for one in pool.alerts if one.detector == "pool.quorum_lost"], "not before its time"
    pool.rounds(8)
    assert lost(pool).severity.value == "critical"
    assert lost(pool).evidence["why"] == dict.fromkeys(pool.nodes, "on chain 5 instead of 1337")


def test_groups_of_which_half_is_silent_vote_for_nothing_and_that_is_told() -> None:
    pool = Ticking(settings_for(("a", "a", "b", "b"), own=()))
    pool.rounds(20)
    pool.answers["n0"] = pool.answers["n2"] = fails()
    pool.rounds(20)
    assert grade(pool) is Grade.BLIND
    assert set(lost(pool).evidence["why"]) == set(pool.nodes)  # type: ignore[call-overload]
    assert "n1, n3 answer" in lost(pool).summary
    pool.answers["n0"] = pool.answers["n2"] = pool.answers["n1"]
    pool.rounds(50)
    assert ("pool.quorum_lost", "sim") not in pool.open()


def test_a_pool_of_which_nobody_answers_is_told_of_once() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    for name in pool.nodes:
        pool.answers[name] = fails()
    pool.rounds(40)
    assert {detector for detector, node, _ in pool.fired() if node == "sim"} == {"pool.blind"}
