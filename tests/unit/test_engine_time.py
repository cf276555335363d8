"""Time that jumps, stands still or has passed unseen says nothing about nodes."""

import pytest
from tests.support.pool import healthy, settings_for
from tests.support.ticking import Ticking, fails

from tocsin.chain.nodelife import NodeState
from tocsin.clock import NS
from tocsin.engine.status import status
from tocsin.engine.step import CALM_NS
from tocsin.model.alert import Grade
from tocsin.model.event import Commanded, Ticked
from tocsin.model.observation import FaultKind

DAY_S = 86_400
POOLS = [("a", "b", "b", "c"), ("a", "b"), ("a",)]


def settled(providers: tuple[str, ...] = ("a", "b", "b", "c"), rounds: int = 40) -> Ticking:
    pool = Ticking(settings_for(providers))
    pool.rounds(rounds)
    assert pool.alerts == []
    return pool


@pytest.mark.parametrize("providers", POOLS)
@pytest.mark.parametrize("step_s", [3600, -3600, -20])
def test_a_wall_clock_that_is_set_raises_nothing(providers: tuple[str, ...], step_s: float) -> None:
    pool = settled(providers)
    pool.clock.step_wall(s=step_s)
    pool.rounds(60)
    assert pool.said() == []
    pool.clock.step_wall(s=-step_s)
    pool.rounds(20)
    assert pool.said() == []


@pytest.mark.parametrize("late_s", [16, 18, 24])
def test_a_clock_that_is_late_for_long_makes_no_head_one_from_the_future(late_s: int) -> None:
    pool = Ticking(settings_for(("a", "b", "c", "d")), delays_ns=(10**8, 25 * 10**8, 3 * 10**9, 35 * 10**8))
    pool.clock.step_wall(s=-late_s)
    pool.rounds(300)
    assert pool.said() == []


@pytest.mark.parametrize("providers", POOLS)
@pytest.mark.parametrize("down_s", [3, 600, DAY_S])
@pytest.mark.parametrize("step_s", [0, 3600, -2 * DAY_S])
def test_a_restart_raises_nothing(providers: tuple[str, ...], down_s: int, step_s: int) -> None:
    pool = settled(providers)
    pool.restart(down_s=down_s, wall_step_s=step_s)
    pool.rounds(60)
    assert pool.said() == []
    assert pool.state.chains["sim"].head.grade is (Grade.QUORUM if len(providers) > 1 else Grade.UNCORROBORATED)


@pytest.mark.parametrize("hung", ["n0", "n3"])
@pytest.mark.parametrize("providers", [("a", "b", "b", "c"), ("a", "c")])
def test_a_node_that_hangs_from_a_restart_on_is_not_judged_by_yesterday(providers: tuple[str, ...], hung: str) -> None:
    hung = hung if hung in {f"n{at}" for at in range(len(providers))} else "n1"
    pool = settled(providers)
    pool.restart(down_s=DAY_S)
    pool.hung = {hung}
    pool.rounds(20)
    assert {detector for detector, _, _ in pool.fired()} <= {"pool.quorum_lost"}
    assert bool(pool.fired()) == (len(providers) == 2), "two groups less one are no quorum"
    pool.hung.clear()
    pool.rounds(60)
    assert pool.open() == set()


def test_a_restart_into_a_dead_network_is_blind_and_no_halt() -> None:
    pool = settled()
    pool.restart(down_s=DAY_S)
    pool.hung = set(pool.nodes)
    pool.rounds(10)
    assert pool.said() == []
    assert status(pool.state, pool.now)["level"] == "unknown"
    pool.hung.clear()
    for name in pool.nodes:
        pool.answers[name] = fails()
    pool.rounds(30)
    assert pool.fired() == {("pool.blind", "sim", "critical")}


def test_after_a_restart_nobody_votes_before_it_was_asked() -> None:
    pool = settled()
    pool.restart(down_s=DAY_S)
    assert pool.state.chains["sim"].head.grade is Grade.BLIND
    assert pool.state.chains["sim"].head.block is not None
    assert status(pool.state, pool.now)["level"] == "unknown"
    pool.round()
    assert status(pool.state, pool.now)["level"] == "ok"


@pytest.mark.parametrize("down_s", [1, DAY_S])
def test_what_was_firing_goes_on_through_a_restart_and_fires_once(down_s: int) -> None:
    pool = settled(("a", "b", "c", "d", "e"))
    pool.nodes["n0"].view.freeze()
    pool.answers["n3"] = fails(FaultKind.REFUSED)
    pool.rounds(60)
    before = pool.open()
    assert before == {("node.lag", "n0"), ("node.stale", "n0"), ("node.unreachable", "n3")}
    said = len(pool.alerts)
    pool.restart(down_s=down_s)
    pool.rounds(60)
    assert pool.open() - {("node.syncing", "n0")} == before
    assert [alert.reason for alert in pool.alerts[said:] if alert.detector != "node.syncing"].count("fired") == 0
    assert not any(alert.state == "resolved" for alert in pool.alerts)
    pool.nodes["n0"].view.thaw()
    pool.answers["n3"] = healthy
    pool.rounds(60)
    assert pool.open() == set()


def test_a_halt_goes_on_through_a_restart() -> None:
    pool = settled()
    pool.chain.halt("main")
    pool.rounds(50)
    assert pool.open() == {("chain.halt", "sim")}
    pool.restart(down_s=60)
    pool.rounds(100)
    assert [alert.reason for alert in pool.alerts] == ["fired", "raised"]
    pool.chain.resume("main")
    pool.rounds(60)
    assert pool.open() == set()


def test_what_had_begun_before_a_restart_begins_anew() -> None:
    pool = settled(("a", "b"))
    pool.answers["n1"] = fails()
    pool.rounds(10)
    assert pool.fired() == {("node.unreachable", "n1", "info")}
    pool.restart(down_s=3600)
    pool.rounds(9)
    assert ("pool.quorum_lost", "sim", "warning") not in pool.fired(), "18 s without a quorum were not watched"
    pool.rounds(5)
    assert ("pool.quorum_lost", "sim", "warning") in pool.fired()


@pytest.mark.parametrize("providers", POOLS)
@pytest.mark.parametrize("seconds", [30, 600, 8 * 3600])
def test_a_suspend_raises_nothing(providers: tuple[str, ...], seconds: int) -> None:
    pool = settled(providers, rounds=60)
    pool.suspend(seconds)
    pool.rounds(60)
    assert pool.said() == []


@pytest.mark.parametrize("providers", [("a", "b", "b", "c"), ("a", "b")])
def test_after_a_suspend_the_first_to_answer_is_no_phantom(providers: tuple[str, ...]) -> None:
    pool = settled(providers, rounds=60)
    pool.suspend(8 * 3600)
    # The connections to all others died meanwhile: their polls hang until the deadline.
    pool.hung = set(pool.nodes) - {"n0"}
    pool.rounds(5)
    for name in pool.hung:
        pool.answers[name] = fails()
    pool.hung = set()
    pool.rounds(2)
    pool.answers.update(dict.fromkeys(pool.nodes, healthy))
    pool.rounds(60)
    assert pool.said() == []


def test_a_clock_that_jumps_all_the_time_does_not_end_judgement() -> None:
    pool = settled()
    pool.answers["n0"] = fails(FaultKind.REFUSED)
    for at in range(2 * CALM_NS // (2 * NS)):
        pool.clock.step_wall(s=3600 if at % 2 else -3600)
        pool.round()
    assert ("node.unreachable", "n0", "warning") in pool.fired()


def test_ticks_that_come_in_the_wrong_order_are_taken_at_the_newest_time() -> None:
    pool = settled()
    newest = pool.state.t_ns
    pool.take(Ticked(t_ns=newest - 3600 * NS, wall_ns=pool.clock.wall_ns() - 3600 * NS, chain="sim"))
    assert pool.state.t_ns == newest
    pool.rounds(20)
    assert pool.said() == []


def test_nothing_is_judged_before_every_node_was_asked_or_three_polls_passed() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.hung = {"n2"}
    pool.answers["n0"] = lambda node, request: node.answer(request).replace(b'"0x539"', b'"0x1"')
    pool.rounds(3)
    assert pool.alerts == []
    assert pool.state.chains["sim"].lives == {}
    pool.round()
    assert pool.fired() == {("node.wrong_chain", "n0", "critical")}
    assert pool.life("n1") is NodeState.VERIFYING
    assert pool.life("n2") is NodeState.INIT


def test_a_command_of_yesterday_moves_no_time_back() -> None:
    pool = settled()
    newest = pool.state.t_ns
    pool.take(Commanded(t_ns=5, wall_ns=5, verb="ack", args=(), by="x"))
    assert pool.state.t_ns == newest
    pool.rounds(20)
    assert pool.said() == []


@pytest.mark.parametrize("slow_s", [2.5, 4, 6])
def test_when_a_halted_chain_goes_on_nobody_is_stale_for_being_last(slow_s: float) -> None:
    pool = Ticking(settings_for(("a", "b", "c")), delays_ns=(5 * 10**8, 10**9, int(slow_s * NS)))
    pool.rounds(40)
    pool.chain.halt("main")
    pool.rounds(100)
    assert {detector for detector, _, _ in pool.fired()} == {"chain.halt"}
    pool.chain.resume("main")
    pool.rounds(60)
    assert {detector for detector, _, _ in pool.fired()} == {"chain.halt"}
    assert pool.open() == set()


def test_a_frozen_majority_is_told_and_nobody_is_accused() -> None:
    pool = settled(("a", "b", "c"))
    for name in ("n0", "n1"):
        pool.nodes[name].view.freeze()
    pool.rounds(60)
    assert pool.fired() == {("pool.majority_stalled", "sim", "warning"), ("chain.halt", "sim", "warning")}
    assert all("n2" in alert.summary for alert in pool.alerts)


def test_a_frozen_node_of_two_groups_is_not_overlooked() -> None:
    pool = settled(("a", "b"))
    pool.nodes["n0"].view.freeze()
    pool.rounds(60)
    assert pool.fired() == {("pool.majority_stalled", "sim", "warning"), ("chain.halt", "sim", "warning")}
