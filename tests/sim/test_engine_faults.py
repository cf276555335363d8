"""The whole core on simulated nodes in virtual time: each fault gives its alerts, all of them, and no others."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.support.pool import Answer, Pool, healthy, settings_for

from tocsin.chain.nodelife import NodeState
from tocsin.clock import NS
from tocsin.engine.recheck import Verdict, rechecked
from tocsin.engine.step import step
from tocsin.model.alert import Grade, Severity
from tocsin.model.event import Commanded
from tocsin.model.observation import Fault, FaultKind, by_hash
from tocsin.testing import ChainSpec, SimNode
from tocsin.testing.headers import rehashed

FOUR = ("a", "b", "b", "c")


def fails(kind: FaultKind, retry_after_ns: int | None = None) -> Answer:
    return lambda _node, _request: Fault(kind=kind, detail="x", retry_after_ns=retry_after_ns)


def edited(change: Callable[[dict[str, Any]], None]) -> Answer:
    """Answer like a healthy node, after `change` of every header that is not null."""

    def answer(node: SimNode, request: bytes) -> bytes:
        answers = orjson.loads(node.answer(request))
        for entry in answers:
            if isinstance(entry.get("result"), dict) and "parentHash" in entry["result"]:
                change(entry["result"])
        return orjson.dumps(answers)

    return answer


def other_chain(node: SimNode, request: bytes) -> bytes:
    return node.answer(request).replace(b'"0x539"', b'"0x1"')


def fired(pool: Pool) -> set[tuple[str, str, str]]:
    return {
        (alert.detector, dict(alert.labels).get("node", "sim").removeprefix("sim."), alert.severity.value)
        for alert in pool.alerts
        if alert.reason in ("fired", "raised")
    }


def all_resolved(pool: Pool) -> bool:
    return not any(tracked.severity for tracked in pool.state.chains["sim"].alerts.tracked.values())


@pytest.fixture
def pool() -> Pool:
    pool = Pool(settings_for(FOUR, own=(0,)))
    pool.rounds(20)
    assert pool.alerts == []
    return pool


@pytest.mark.parametrize("rounds", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_healthy_rounds_say_nothing(rounds: int) -> None:
    spec = ChainSpec(seed=7, missed=0.01, jitter_ns=400_000_000)
    pool = Pool(settings_for(FOUR), spec=spec, delays_ns=(800_000_000, 10**9, 2 * 10**9, 3 * 10**9))
    pool.rounds(rounds)
    assert pool.said() == []
    assert pool.state.chains["sim"].head.grade is Grade.QUORUM
    assert len(pool.state.chains["sim"].tree.headers) < 2048


@pytest.mark.parametrize(
    "kind",
    [kind for kind in FaultKind if kind not in (FaultKind.RATE_LIMITED, FaultKind.BUDGET)],
)
def test_a_node_without_usable_answers_is_unreachable_and_nothing_else(pool: Pool, kind: FaultKind) -> None:
    pool.answers["n0"] = fails(kind)
    pool.rounds(40)
    assert fired(pool) == {("node.unreachable", "n0", "warning")}
    assert pool.state.chains["sim"].lives["n0"].state is NodeState.UNREACHABLE
    pool.answers["n0"] = healthy
    pool.rounds(40)
    assert all_resolved(pool)
    assert pool.state.chains["sim"].lives["n0"].state is NodeState.HEALTHY


def test_somebody_elses_outage_is_information(pool: Pool) -> None:
    pool.answers["n3"] = fails(FaultKind.TIMEOUT)
    pool.rounds(6)
    assert fired(pool) == {("node.unreachable", "n3", "info")}


def test_an_unreachable_node_is_named_within_five_polls(pool: Pool) -> None:
    pool.answers["n0"] = fails(FaultKind.REFUSED)
    pool.rounds(4)
    assert pool.alerts == []
    pool.round()
    assert fired(pool) == {("node.unreachable", "n0", "warning")}


def test_a_failure_while_our_own_loop_stood_still_is_not_held_against_the_node(pool: Pool) -> None:
    pool.answers["n0"] = fails(FaultKind.TIMEOUT)
    original = pool._poll
    pool._poll = lambda name, calls: replace(original(name, calls), stalled=name == "n0")  # type: ignore[method-assign]
    pool.rounds(3)
    assert pool.state.chains["sim"].nodes["n0"].failures == 0


def test_a_refusal_is_rate_limiting_and_nothing_else(pool: Pool) -> None:
    pool.answers["n0"] = fails(FaultKind.RATE_LIMITED, 60 * 10**9)
    pool.rounds(40)
    assert fired(pool) == {("node.rate_limited", "n0", "warning")}
    pool.answers["n0"] = healthy
    pool.rounds(40)
    assert all_resolved(pool)


def test_another_chain_is_named_in_the_first_poll(pool: Pool) -> None:
    pool.answers["n0"] = other_chain
    pool.round()
    assert fired(pool) == {("node.wrong_chain", "n0", "critical")}
    pool.rounds(40)
    assert len(pool.alerts) == 1
    assert pool.state.chains["sim"].head.grade is Grade.QUORUM
    pool.answers["n0"] = healthy
    pool.rounds(40)
    assert all_resolved(pool)


def test_a_frozen_node_lags_and_is_stale(pool: Pool) -> None:
    pool.nodes["n0"].view.freeze()
    pool.rounds(30)
    assert fired(pool) == {("node.lag", "n0", "warning"), ("node.stale", "n0", "warning")}
    pool.rounds(80)
    assert ("node.lag", "n0", "critical") in fired(pool)
    pool.nodes["n0"].view.thaw()
    pool.rounds(20)
    assert all_resolved(pool)


def test_a_corrupt_header_is_confirmed_once_and_stays_until_acknowledged(pool: Pool) -> None:
    pool.answers["n0"] = edited(lambda header: header.update(gasUsed=hex(int(header["gasUsed"], 16) ^ 1)))
    pool.round()
    assert fired(pool) == {("node.corrupt_header", "n0", "critical")}
    wrong = pool.alerts[0].evidence["header"]["hash"]  # type: ignore[index]
    assert [fetch.node for fetch in pool.asked if fetch.call == by_hash(wrong)] == ["n0"], "asked for it once more"
    assert pool.alerts[0].evidence["last_good"]["verification"] == "match"  # type: ignore[index]
    assert pool.alerts[0].evidence["recomputed_hash"] != pool.alerts[0].evidence["header"]["hash"]  # type: ignore[index]
    assert rechecked(orjson.loads(orjson.dumps(pool.alerts[0].evidence))).verdict is Verdict.PROVES
    pool.answers["n0"] = healthy
    pool.rounds(60)
    assert len(pool.alerts) == 1
    done = step(
        pool.state,
        Commanded(
            t_ns=pool.now, wall_ns=1, verb="ack", by="uid 0", args=(("fingerprint", pool.alerts[0].fingerprint),)
        ),
    )
    pool.state = done.state
    pool.rounds(2)
    assert [alert.state.value for alert in pool.alerts] == ["firing", "resolved"]


def test_a_fork_at_equal_height_is_named_within_two_polls_of_being_two_deep(pool: Pool) -> None:
    start = pool.chain.fork("bad").head.number
    pool.nodes["n0"].view.branch = "bad"

    def seen(name: str) -> int:
        head = pool.state.chains["sim"].nodes[name].head
        assert head is not None
        return head.number

    while min(seen(name) for name in pool.nodes) < start + 2:
        assert pool.alerts == []
        pool.round()
    pool.round()
    assert fired(pool) == {("node.fork", "n0", "warning")}
    assert pool.state.chains["sim"].head.block.hash in {block.hash for block in pool.chain.branch().blocks}  # type: ignore[union-attr]
    pool.nodes["n0"].view.branch = "main"
    pool.rounds(220)
    assert all_resolved(pool)


def test_one_provider_against_one_other_ends_in_a_split_and_in_no_verdict() -> None:
    pool = Pool(settings_for(("self", "p", "p"), own=(0,)))
    pool.rounds(20)
    at = pool.state.chains["sim"].head.block
    assert at is not None
    pool.chain.fork("bad")
    for name in ("n1", "n2"):
        pool.nodes[name].view.branch = "bad"
    pool.rounds(60)
    assert fired(pool) == {("pool.split", "sim", "critical")}
    head = pool.state.chains["sim"].head
    assert head.grade is Grade.SPLIT
    assert head.block is not None
    assert head.block.number - at.number <= 1
    for name in ("n1", "n2"):
        pool.nodes[name].view.branch = "main"
    pool.rounds(60)
    assert all_resolved(pool)


def test_a_phantom_head_moves_nothing_and_is_named(pool: Pool) -> None:
    far = Pool(settings_for(("x", "y")), spec=ChainSpec(seed=99, genesis_number=30_000_000))
    stranger = far.nodes["n0"]
    pool.answers["n0"] = lambda _node, request: stranger.answer(request)
    pool.rounds(60)
    assert fired(pool) == {("node.phantom_head", "n0", "warning")}
    assert pool.state.chains["sim"].head.block.number < 1000  # type: ignore[union-attr]
    pool.answers["n0"] = healthy
    pool.rounds(40)
    assert all_resolved(pool)


def test_a_syncing_node_is_not_reported_as_lagging_as_well(pool: Pool) -> None:
    pool.nodes["n0"].syncing = {"currentBlock": "0x1"}
    pool.rounds(7)
    pool.nodes["n0"].view.freeze()
    pool.rounds(50)
    assert fired(pool) == {("node.syncing", "n0", "warning")}


def test_when_nobody_answers_one_alert_says_so(pool: Pool) -> None:
    for name in pool.nodes:
        pool.answers[name] = fails(FaultKind.TIMEOUT)
    pool.rounds(60)
    assert fired(pool) == {("pool.blind", "sim", "critical")}
    assert pool.state.chains["sim"].head.grade is Grade.BLIND
    assert pool.state.chains["sim"].head.block is not None
    assert {life.state for life in pool.state.chains["sim"].lives.values()} == {NodeState.UNREACHABLE}
    for name in pool.nodes:
        pool.answers[name] = healthy
    pool.rounds(40)
    assert all_resolved(pool)
    assert {life.state for life in pool.state.chains["sim"].lives.values()} == {NodeState.HEALTHY}


def test_losing_the_quorum_is_said_once_and_the_head_is_frozen(pool: Pool) -> None:
    for name in ("n1", "n2", "n3"):
        pool.answers[name] = fails(FaultKind.TIMEOUT)
    pool.rounds(60)
    assert fired(pool) == {
        ("pool.quorum_lost", "sim", "warning"),
        ("provider.unreachable", "sim", "warning"),
        ("node.unreachable", "n3", "info"),
    }
    assert pool.state.chains["sim"].head.grade is Grade.UNCORROBORATED
    for name in pool.nodes:
        pool.answers[name] = healthy
    pool.rounds(60)
    assert all_resolved(pool)


def test_a_chain_that_stands_still_is_a_halt_and_no_fault_of_a_node(pool: Pool) -> None:
    pool.chain.halt("main")
    pool.rounds(50)
    assert fired(pool) == {("chain.halt", "sim", "warning")}
    pool.rounds(60)
    assert ("chain.halt", "sim", "critical") in fired(pool)
    pool.chain.resume("main")
    pool.rounds(60)
    assert all_resolved(pool)


@pytest.mark.parametrize(("depth", "expected"), [(1, set()), (3, {"warning"}), (8, {"warning", "critical"})])
def test_a_reorg_is_told_with_its_depth(pool: Pool, depth: int, expected: set[str]) -> None:
    pool.rounds(60)  # a reorg can be measured as far back as the chain was watched
    pool.chain.reorg(depth)
    pool.rounds(8)
    assert {severity for detector, _, severity in fired(pool) if detector == "chain.reorg"} <= expected
    assert bool(fired(pool)) == bool(expected)
    assert {detector for detector, _, _ in fired(pool)} <= {"chain.reorg"}
    pool.rounds(60)
    assert all_resolved(pool)


@pytest.mark.parametrize(("slot_s", "poll_s"), [(12, 2), (1, 0.5), (2, 10)])
def test_a_stop_of_the_whole_watchdog_is_no_fault_of_chain_or_nodes(slot_s: int, poll_s: float) -> None:
    pool = Pool(settings_for(FOUR, slot_s=slot_s, poll_s=poll_s), spec=ChainSpec(slot_ns=slot_s * NS))
    pool.rounds(30)
    for slots in (2, 8, 20, 300):
        pool.clock.advance(ns=slots * max(slot_s, int(poll_s)) * NS)
        pool.tick()
        pool.rounds(6)
    assert pool.said() == []
    assert pool.state.chains["sim"].head.grade is Grade.QUORUM


def test_a_condition_that_began_before_a_stop_has_not_lasted_through_it(pool: Pool) -> None:
    for name in ("n1", "n2", "n3"):
        pool.answers[name] = fails(FaultKind.RATE_LIMITED, 60 * NS)
    pool.rounds(4)
    assert pool.state.chains["sim"].head.grade is Grade.UNCORROBORATED
    pool.clock.advance(ns=3600 * NS)
    pool.rounds(5)
    assert {detector for detector, _, _ in fired(pool)} == {"node.rate_limited"}
    pool.rounds(20)
    assert ("pool.quorum_lost", "sim", "warning") in fired(pool)


def test_a_watchdog_that_stands_still_again_and_again_sees_what_lasts_all_the_same(pool: Pool) -> None:
    pool.chain.halt("main")
    for _ in range(60):
        pool.rounds(2)
        pool.clock.advance(ns=15 * NS)
    assert fired(pool) == {("chain.halt", "sim", "warning"), ("chain.halt", "sim", "critical")}
    assert pool.now - pool.state.chains["sim"].started_ns < 60 * 5 * NS
    for name in ("n1", "n2", "n3"):
        pool.answers[name] = fails(FaultKind.RATE_LIMITED, 60 * NS)
    for _ in range(12):
        pool.rounds(2)
        pool.clock.advance(ns=15 * NS)
    assert ("pool.quorum_lost", "sim", "warning") in fired(pool)


def test_a_single_node_is_uncorroborated_and_says_nothing_when_well() -> None:
    pool = Pool(settings_for(("self",)))
    pool.rounds(100)
    assert pool.said() == []
    assert pool.state.chains["sim"].head.grade is Grade.UNCORROBORATED


def test_severity_order_is_the_one_of_the_contract() -> None:
    assert [severity.rank for severity in (Severity.INFO, Severity.WARNING, Severity.CRITICAL)] == [0, 1, 2]


def far_ahead(node: SimNode, request: bytes) -> bytes:
    """Say that the head is a billion blocks further on, with fields that hash to its hash."""
    answers = orjson.loads(node.answer(request))
    for call, answer in zip(orjson.loads(request), answers, strict=True):
        if call["params"][:1] == ["latest"]:
            head = answer["result"]
            answer["result"] = rehashed(head, number=hex(int(head["number"], 16) + 10**9))
    return orjson.dumps(answers)


@pytest.mark.parametrize("slot_s", [12, 1], ids=["slower than its polls", "faster than its polls"])
@pytest.mark.parametrize("providers", ["a", "ab"])
def test_a_head_that_nobody_will_ever_reach_holds_the_agreed_one_no_longer_than_it_is_shown(
    providers: str, slot_s: int
) -> None:
    pool = Pool(settings_for(providers, slot_s=slot_s))
    pool.rounds(8)
    for name in pool.nodes:
        pool.answers[name] = far_ahead
    pool.rounds(3)
    for name in pool.nodes:
        pool.answers[name] = healthy
    pool.rounds(12)
    head = pool.state.chains["sim"].head.block
    assert head is not None
    assert abs(pool.nodes["n0"].view.head().number - head.number) <= 4
    pool.rounds(60)
    assert {alert.detector for alert in pool.alerts if alert.severity is Severity.CRITICAL} == {"chain.reorg"}
    assert all_resolved(pool)


def final_far_ahead(node: SimNode, request: bytes) -> bytes:
    """Call a block final that is a million blocks above the head."""
    answers = orjson.loads(node.answer(request))
    for call, answer in zip(orjson.loads(request), answers, strict=True):
        if call["params"][:1] == ["finalized"] and answer["result"]:
            answer["result"] = rehashed(answer["result"], number=hex(int(answer["result"]["number"], 16) + 10**6))
    return orjson.dumps(answers)


@pytest.mark.parametrize("providers", ["a", "ab"])
def test_what_is_above_all_heads_is_not_final_whoever_says_so(providers: str) -> None:
    pool = Pool(settings_for(providers), spec=ChainSpec(history=200))
    for name in pool.nodes:
        pool.answers[name] = final_far_ahead
    pool.rounds(8)
    state = pool.state.chains["sim"]
    assert state.head.block is not None
    assert state.finalized.block is None
    for name in pool.nodes:
        pool.answers[name] = healthy
    pool.rounds(12)
    assert pool.state.chains["sim"].finalized.block is not None
    assert all_resolved(pool)
