"""Nodes that lie where they are asked for much, and say the truth, or nothing, when they are asked once more."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from orjson import dumps, loads
from tests.sim.test_contracts import BLOCK_AND_A_POLL, LIE, well
from tests.support.pool import Answer, healthy
from tests.support.statepool import MALLORY, TOKEN, VAULT, StatePool, about, lying, swapped, watching

from tocsin.chain import lenience
from tocsin.chain.lenience import RELAPSES, RELAPSES_NS
from tocsin.clock import NS
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.recheck import Verdict, rechecked
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.reading import Pin, parse
from tocsin.testing import SimNode

BLOCK = BLOCK_AND_A_POLL - 1
PROOF, VALUE = "node.proof_invalid", "node.call_mismatch"
LIES = [
    (PROOF, "eth_getProof", swapped(MALLORY), about(VAULT), Verdict.PROVES),
    (VALUE, "eth_getStorageAt", lambda _: LIE, about(VAULT), Verdict.PROVES),
    (VALUE, "eth_getCode", lambda said: said[:-2] + "00", about(VAULT), Verdict.PROVES),
    (VALUE, "eth_call", lambda _: LIE, about(TOKEN), Verdict.UNDECIDED),
]


def sly(method: str, lie: Callable[[Any], Any], wanted: Any, alone: Answer | None = None) -> Answer:
    """Return the answers of a node that lies among many questions, and answers `alone` to a few, else the truth."""
    liar = lying(method, lie, wanted)

    def answer(node: SimNode, request: bytes) -> bytes | Fault:
        asked = loads(request)
        calls = asked if isinstance(asked, list) else [asked]
        if len(calls) > 3:
            return liar(node, request)
        is_it = any(one["method"] == method for one in calls)
        return alone(node, request) if alone is not None and is_it else node.answer(request)

    return answer


def silent(_node: SimNode, _request: bytes) -> Fault:
    return Fault(kind=FaultKind.TIMEOUT, detail="x")


def busy(_node: SimNode, request: bytes) -> bytes:
    error = {"code": -32005, "message": "limit exceeded"}
    asked = loads(request)
    told = [
        {"jsonrpc": "2.0", "id": one["id"], "error": error} for one in (asked if isinstance(asked, list) else [asked])
    ]
    return dumps(told if isinstance(asked, list) else told[0])


@pytest.mark.parametrize("alone", [None, silent, busy])
@pytest.mark.parametrize(("detector", "method", "lie", "wanted", "verdict"), LIES)
def test_who_lies_at_three_blocks_is_named_by_what_it_said_there_whatever_it_says_when_asked_again(
    detector: str, method: str, lie: Any, wanted: Any, verdict: Verdict, alone: Answer | None
) -> None:
    pool = well(StatePool())
    values = (pool.values(), pool.values("token"))
    pool.answers["n1"] = sly(method, lie, wanted, alone)
    for _ in range((RELAPSES + 1) * BLOCK + 1):
        pool.round()
        assert (pool.values(), pool.values("token")) == values
    assert {found for found in pool.open() if found[0] in (PROOF, VALUE)} == {(detector, "n1")}
    [alert] = pool.about(detector)
    assert "so at 3 blocks" in alert.summary
    report = rechecked(loads(dumps(dict(alert.evidence))))
    assert report.verdict is verdict, report.checks
    assert decode_state(encode_state(pool.state)) == pool.state


@pytest.mark.parametrize(("detector", "method", "lie", "wanted", "verdict"), LIES[:2])
def test_it_goes_on_as_long_as_the_lies_do(detector: str, method: str, lie: Any, wanted: Any, verdict: Verdict) -> None:
    pool = well(StatePool())
    pool.answers["n1"] = sly(method, lie, wanted)
    pool.rounds((RELAPSES + 1) * BLOCK + 1)
    pool.rounds(20 * BLOCK)
    assert (detector, "n1") in pool.open()
    assert verdict is Verdict.PROVES


def test_who_stands_by_its_lies_is_accused_for_that_and_not_for_their_number() -> None:
    pool = well(StatePool())
    pool.answers["n1"] = lying("eth_getStorageAt", lambda _: LIE, about(VAULT))
    pool.rounds(2 * (RELAPSES + 1) * BLOCK)
    assert {alert.summary for alert in pool.about(VALUE) if "blocks within" in alert.summary} == set()
    assert "blocks within" not in pool.state.chains["sim"].contracts.accused["value/n1"].reason


def at_blocks(pool: StatePool, count: int) -> None:
    """Let n1 lie at so many blocks, one after another, and then tell the truth again."""
    seen = 0
    while seen < count:
        before = len(pool.state.chains["sim"].contracts.relapses.get("value/n1", {}))
        pool.answers["n1"] = sly("eth_getStorageAt", lambda _: LIE, about(VAULT))
        pool.until(lambda: len(pool.state.chains["sim"].contracts.relapses.get("value/n1", {})) > before)  # noqa: B023
        seen += 1
    pool.answers["n1"] = healthy


def test_twice_is_not_enough_and_what_is_an_hour_old_counts_no_more() -> None:
    settings = watching(slot_s=60, poll_s=30)
    pool = StatePool(replace(settings, chains=(replace(settings.chains[0], tick_ns=15 * NS),)))
    pool.rounds(12)
    at_blocks(pool, RELAPSES - 1)
    pool.rounds(RELAPSES_NS // pool.settings.chains[0].poll_ns)
    assert pool.alerts == []
    at_blocks(pool, 1)
    pool.rounds(8)
    assert pool.alerts == []


def test_the_same_block_in_both_lanes_is_one() -> None:
    pool = well(StatePool())
    known = pool.state.chains["sim"].contracts
    at_blocks(pool, 1)
    [blocks] = pool.state.chains["sim"].contracts.relapses.values()
    assert len(blocks) == 1
    assert known.relapses == {}


def test_who_is_asked_by_number_may_have_other_machines_and_is_not_named_for_what_it_does_not_repeat() -> None:
    pool = StatePool()
    pool.nodes["n1"].data.pins_object = pool.nodes["n1"].data.pins_hash = False
    pool.rounds(8)
    pool.answers["n1"] = sly("eth_getStorageAt", lambda _: LIE, about(VAULT))
    pool.rounds(6 * BLOCK)
    asked = [found for one in pool.asked if one.node == "n1" and (found := parse(one.call)) is not None]
    assert {found.pin for found in asked[-3:]} == {Pin.NUMBER}
    assert pool.alerts == []


def test_the_limits_stand_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lenience, "RELAPSES", 2)
    pool = well(StatePool())
    pool.answers["n1"] = sly("eth_getStorageAt", lambda _: LIE, about(VAULT))
    pool.rounds(3 * BLOCK + 1)
    assert (VALUE, "n1") in pool.open()


def test_who_was_forgiven_begins_anew() -> None:
    pool = well(StatePool())
    pool.answers["n1"] = sly("eth_getStorageAt", lambda _: LIE, about(VAULT))
    pool.rounds((RELAPSES + 1) * BLOCK + 1)
    assert (VALUE, "n1") in pool.open()
    pool.answers["n1"] = healthy
    pool.ack(VALUE)
    pool.rounds(BLOCK)
    assert (VALUE, "n1") not in pool.open()
    at_blocks(pool, RELAPSES - 1)
    pool.rounds(BLOCK)
    assert (VALUE, "n1") not in pool.open()
