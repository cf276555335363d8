"""The node state machine: what puts a node in which state, and the way back."""

from dataclasses import replace

import pytest

from tocsin.chain.nodelife import (
    LEGAL,
    STATE_OF_FLAG,
    IllegalTransition,
    LifeParams,
    NodeLife,
    NodeState,
    _move,
    advance,
    probation_ns,
)
from tocsin.clock import NS

POLL = 2 * NS
PARAMS = LifeParams.for_poll(POLL)
OK, FAILED = True, False


def lived(*polls: bool | None, life: NodeLife | None = None, start_ns: int = 0) -> NodeLife:
    life = life or NodeLife()
    for index, ok in enumerate(polls):
        life = advance(life, {}, ok, start_ns + index * POLL, PARAMS)
    return life


def healthy() -> NodeLife:
    return lived(OK, OK)


def fallen(flag: str, life: NodeLife | None = None, t_ns: int = 100 * NS) -> NodeLife:
    return advance(life or healthy(), {flag: "because"}, OK, t_ns, PARAMS)


def test_a_node_is_healthy_after_it_answered_and_was_looked_at() -> None:
    assert lived().state is NodeState.INIT
    assert lived(FAILED, None).state is NodeState.INIT
    assert lived(OK).state is NodeState.VERIFYING
    assert lived(OK, None, FAILED).state is NodeState.VERIFYING
    life = healthy()
    assert (life.state, life.number, life.since_ns, life.reason) == (NodeState.HEALTHY, 2, POLL, "verified")


@pytest.mark.parametrize("flag", STATE_OF_FLAG)
@pytest.mark.parametrize("life", [NodeLife(), lived(OK), healthy()], ids=lambda life: life.state.value)
def test_each_flag_has_its_state_from_any_start(flag: str, life: NodeLife) -> None:
    fell = fallen(flag, life)
    assert fell.state is STATE_OF_FLAG[flag]
    assert fell.reason == f"{flag}: because"
    assert fell.number == life.number + 1


def test_an_unlisted_flag_degrades() -> None:
    assert fallen("node.latency").state is NodeState.DEGRADED


def test_the_state_is_the_worst_flag_and_all_flags_are_kept() -> None:
    firing = {"node.lag": "9 blocks", "node.latency": "slow", "node.wrong_chain": "chain 5", "node.fork": "2 deep"}
    life = advance(healthy(), firing, OK, 7, PARAMS)
    assert life.state is NodeState.WRONG_CHAIN
    assert [flag for flag, _ in life.flags] == ["node.wrong_chain", "node.fork", "node.lag", "node.latency"]
    milder = advance(life, {"node.lag": "9 blocks"}, OK, 8, PARAMS)
    assert (milder.state, milder.number) == (NodeState.LAGGING, life.number + 1)


def test_a_flag_that_stays_changes_no_state() -> None:
    life = fallen("node.lag")
    later = advance(life, {"node.lag": "now 12 blocks"}, OK, 200 * NS, PARAMS)
    assert (later.number, later.since_ns, later.reason) == (life.number, life.since_ns, life.reason)
    assert later.flags == (("node.lag", "now 12 blocks"),)


@pytest.mark.parametrize("flag", [*STATE_OF_FLAG, "node.latency"])
def test_the_way_back_leads_through_probation_of_enough_polls_and_time(flag: str) -> None:
    life = advance(fallen(flag), {}, OK, 200 * NS, PARAMS)
    assert life.state is NodeState.PROBATION
    many = [advance(life, {}, OK, 200 * NS, PARAMS)]
    for _ in range(20):
        many.append(advance(many[-1], {}, OK, 201 * NS, PARAMS))
    assert many[-1].state is NodeState.PROBATION
    long = advance(life, {}, OK, 202 * NS, PARAMS)
    long = advance(long, {}, OK, 500 * NS, PARAMS)
    assert long.state is NodeState.PROBATION
    back = lived(*[OK] * 31, life=life, start_ns=202 * NS)
    assert (back.state, back.reason, back.relapses) == (NodeState.HEALTHY, "probation passed", ())
    assert lived(*[OK] * 30, life=life, start_ns=202 * NS).state is NodeState.PROBATION


def test_a_failed_poll_starts_probation_anew() -> None:
    life = advance(fallen("node.lag"), {}, OK, 200 * NS, PARAMS)
    life = lived(*[OK] * 30, FAILED, *[OK] * 30, life=life, start_ns=202 * NS)
    assert life.state is NodeState.PROBATION


def test_each_relapse_doubles_probation_up_to_the_cap_for_a_day() -> None:
    life, t_ns, durations = fallen("node.lag"), 200 * NS, []
    for _ in range(9):
        life = advance(life, {}, OK, t_ns, PARAMS)
        durations.append(probation_ns(life, t_ns, PARAMS) // NS)
        t_ns += NS
        life = fallen("node.lag", life, t_ns)
    assert durations == [60, 120, 240, 480, 960, 1800, 1800, 1800, 1800]
    assert probation_ns(life, t_ns + 86_401 * NS, PARAMS) == 60 * NS


def test_the_times_scale_with_the_poll() -> None:
    assert LifeParams.for_poll(POLL) == LifeParams()
    assert LifeParams.for_poll(100_000_000).probation_ns == 3 * NS


def test_transitions_that_no_rule_connects_are_refused() -> None:
    for old in NodeState:
        for new in NodeState:
            life = replace(NodeLife(), state=old)
            if new in LEGAL[old]:
                assert _move(life, new, "test", 1).state is new
            else:
                with pytest.raises(IllegalTransition, match=f"from {old} to {new}"):
                    _move(life, new, "test", 1)


def test_only_verifying_and_probation_lead_to_healthy_and_nothing_to_init() -> None:
    assert {old for old in NodeState if NodeState.HEALTHY in LEGAL[old]} == {NodeState.VERIFYING, NodeState.PROBATION}
    assert not any(NodeState.INIT in targets for targets in LEGAL.values())
    assert set(LEGAL) == set(NodeState)
