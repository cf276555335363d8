"""The node state machine: what puts a node in which state, and the way back."""

from dataclasses import replace

import pytest

from tocsin.chain.nodelife import (
    LEGAL,
    STATE_OF_FLAG,
    Checks,
    IllegalTransition,
    LifeParams,
    NodeLife,
    NodeState,
    _move,
    advance,
    close,
    maintain,
    probation_left_ns,
    probation_ns,
    redial,
    release,
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
    assert lived(OK).reason == "first answer"
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
    assert advance(later, {"node.lag": "now 12 blocks"}, OK, 300 * NS, PARAMS) is later


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


def test_probation_takes_enough_polls_as_well_as_enough_time() -> None:
    life = advance(fallen("node.lag"), {}, OK, 200 * NS, PARAMS)
    for at in range(4):
        life = advance(life, {}, OK, 220 * NS + at * 100 * NS, PARAMS)
        assert life.state is NodeState.PROBATION, "long enough, and too few"
    assert advance(life, {}, OK, 520 * NS + 1, PARAMS).state is NodeState.HEALTHY


def test_a_failed_poll_starts_probation_anew() -> None:
    life = advance(fallen("node.lag"), {}, OK, 200 * NS, PARAMS)
    life = lived(*[OK] * 30, FAILED, *[OK] * 30, life=life, start_ns=202 * NS)
    assert life.state is NodeState.PROBATION


def test_a_healthy_life_that_nothing_happens_to_is_the_same_value() -> None:
    life = healthy()
    for ok in (OK, FAILED, None):
        assert advance(life, {}, ok, 300 * NS, PARAMS) is life


def test_it_takes_as_many_polls_as_is_asked_for_and_two_where_nothing_is_said() -> None:
    for params, needed in ((LifeParams(verify_polls=3), 3), (LifeParams(verify_polls=1), 1), (None, 2)):
        life, polls = NodeLife(), 0
        while life.state is not NodeState.HEALTHY:
            life, polls = advance(life, {}, OK, polls * POLL, params), polls + 1
            assert polls < 10
        assert polls == max(2, needed), "the first answer is never the last word"


def test_each_relapse_doubles_probation_up_to_the_cap_for_a_day() -> None:
    life, t_ns, durations = fallen("node.lag"), 200 * NS, []
    for _ in range(9):
        life = advance(life, {}, OK, t_ns, PARAMS)
        durations.append(probation_ns(life, t_ns, PARAMS) // NS)
        t_ns += NS
        life = fallen("node.lag", life, t_ns)
    assert durations == [60, 120, 240, 480, 960, 1800, 1800, 1800, 1800]
    assert probation_ns(life, t_ns + 86_401 * NS, PARAMS) == 60 * NS


def recovered(life: NodeLife, t_ns: int) -> tuple[NodeLife, int]:
    """The life after a probation that was passed, and when that was."""
    while life.state is not NodeState.HEALTHY:
        life, t_ns = advance(life, {}, OK, t_ns, PARAMS), t_ns + POLL
    return life, t_ns


def test_a_node_that_falls_again_within_a_day_after_its_probation_has_relapsed() -> None:
    life, t_ns, durations = fallen("node.lag"), 200 * NS, []
    for _ in range(7):
        life, t_ns = recovered(life, t_ns)
        t_ns += 3600 * NS
        life = fallen("node.lag", life, t_ns)
        durations.append(probation_ns(life, t_ns, PARAMS) // NS)
        assert life.relapses[-1] == t_ns
        life = fallen("node.fork", life, t_ns + NS)
        assert life.relapses[-1] == t_ns, "from bad to worse is no relapse"
    assert durations == [120, 240, 480, 960, 1800, 1800, 1800]


@pytest.mark.parametrize(("well_s", "relapses"), [(86_399, 1), (86_400, 0)])
def test_a_node_that_stayed_well_for_a_day_falls_as_if_for_the_first_time(well_s: int, relapses: int) -> None:
    life, _ = recovered(fallen("node.lag"), 200 * NS)
    assert life.let_go_ns is not None
    again = fallen("node.lag", life, life.let_go_ns + well_s * NS)
    assert len(again.relapses) == relapses


def test_a_first_fall_is_no_relapse_and_a_redial_does_not_wipe_out_that_one_would_be() -> None:
    assert fallen("node.lag").relapses == ()
    life, t_ns = recovered(fallen("node.lag"), 200 * NS)
    again = fallen("node.lag", redial(life, "moved", t_ns), t_ns + NS)
    assert again.relapses == (t_ns + NS,)


def test_a_relapse_counts_for_a_day_whenever_it_was() -> None:
    day, late = 86_400 * NS, 30 * 86_400 * NS
    life = replace(NodeLife(), state=NodeState.PROBATION, relapses=(late - day, late - day + 1, late))
    assert probation_ns(life, late, PARAMS) == 240 * NS
    assert probation_ns(life, late + 1, PARAMS) == 120 * NS
    again = fallen("node.lag", life, late)
    assert again.relapses == (late - day + 1, late, late), "what is a day old is forgotten"


def test_a_failed_poll_starts_verification_anew() -> None:
    assert lived(OK, FAILED, OK).state is NodeState.VERIFYING
    assert lived(OK, FAILED, OK, OK).state is NodeState.HEALTHY


def test_the_times_scale_with_the_poll() -> None:
    assert LifeParams.for_poll(POLL) == LifeParams()
    fast = LifeParams.for_poll(100_000_000)
    assert (fast.probation_ns, fast.probation_cap_ns) == (3 * NS, 90 * NS)


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


# -- verifying, maintenance, the end


def test_what_a_node_does_not_show_delays_its_verification_and_is_named_in_the_end() -> None:
    life, missing = lived(OK), Checks(missing=("genesis", "finalized block"))
    for at in range(13):
        life = advance(life, {}, OK, at * POLL, PARAMS, missing)
        assert life.state is NodeState.VERIFYING
    life = advance(life, {}, OK, 99 * NS, PARAMS, missing)
    assert (life.state, life.reason) == (
        NodeState.HEALTHY,
        "verified, but for what it does not show: genesis, finalized block",
    )
    assert advance(lived(OK), {}, OK, 99 * NS, PARAMS, Checks()).reason == "verified"


def test_a_node_that_is_refuted_is_never_verified_and_says_why_once() -> None:
    life, wrong = lived(OK), Checks(refuted="another finalized block")
    for at in range(100):
        life = advance(life, {}, OK, at * POLL, PARAMS, wrong)
    assert (life.state, life.reason) == (NodeState.VERIFYING, "not verified: another finalized block")
    assert (life.number, life.clean, life.clean_since_ns) == (lived(OK).number + 1, 0, None)
    assert lived(OK, life=life).state is NodeState.VERIFYING, "good polls count from then on"
    assert lived(OK, OK, life=life).state is NodeState.HEALTHY


@pytest.mark.parametrize("flag", STATE_OF_FLAG)
def test_maintenance_ends_in_verification_whatever_was_before(flag: str) -> None:
    away = maintain(fallen(flag), "disk", 300 * NS)
    assert (away.state, away.flags, away.reason) == (NodeState.MAINTENANCE, (), "disk")
    assert advance(away, {flag: "still"}, OK, 301 * NS, PARAMS) is away
    assert maintain(away, "disk", 302 * NS) == away
    renamed = maintain(away, "fan", 302 * NS)
    assert (renamed.number, renamed.reason, renamed.since_ns) == (away.number + 1, "fan", away.since_ns)
    back = release(away, "over", 400 * NS)
    assert (back.state, back.reason) == (NodeState.VERIFYING, "over")
    assert release(back, "over", 400 * NS) is back


def test_a_closed_life_has_ended() -> None:
    ended = close(fallen("node.lag"), "gone", 300 * NS)
    assert (ended.state, ended.flags, ended.reason, ended.since_ns) == (NodeState.CLOSED, (), "gone", 300 * NS)
    assert advance(ended, {"node.lag": "x"}, OK, 301 * NS, PARAMS) is ended
    for move in (close, maintain):
        with pytest.raises(IllegalTransition, match="from closed"):
            move(ended, "again", 302 * NS)


def test_who_may_be_another_process_now_is_verified_again_and_gets_no_discount() -> None:
    assert redial(healthy(), "a new start", 9).state is NodeState.VERIFYING
    on_probation = lived(*[OK] * 20, life=advance(fallen("node.lag"), {}, OK, 200 * NS, PARAMS), start_ns=202 * NS)
    again = redial(on_probation, "a new start", 300 * NS)
    assert (again.state, again.clean, again.clean_since_ns) == (NodeState.PROBATION, 0, None)
    assert redial(fallen("node.fork"), "a new start", 300 * NS).state is NodeState.FORKED


def test_an_illegal_transition_brings_the_life_that_was_to_be() -> None:
    with pytest.raises(IllegalTransition) as caught:
        _move(replace(NodeLife(), state=NodeState.MAINTENANCE), NodeState.HEALTHY, "a defect", 5)
    assert (caught.value.old, caught.value.life.state, caught.value.life.since_ns) == (
        NodeState.MAINTENANCE,
        NodeState.HEALTHY,
        5,
    )


def test_what_is_left_of_a_probation_is_told() -> None:
    life = advance(fallen("node.lag"), {}, OK, 200 * NS, PARAMS)
    assert probation_left_ns(life, 200 * NS, PARAMS) == 60 * NS
    life = advance(life, {}, OK, 202 * NS, PARAMS)
    assert probation_left_ns(life, 222 * NS, PARAMS) == 40 * NS
    for t_ns in (262 * NS, 300 * NS):
        assert probation_left_ns(life, t_ns, PARAMS) == 0
    assert probation_left_ns(healthy(), 222 * NS, PARAMS) is None
