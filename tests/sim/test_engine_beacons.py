"""Beacon nodes through the whole core: each thing that can be wrong with one gives its alert, and no other."""

from dataclasses import replace

import pytest
from tests.support.beacons import BeaconPool, with_beacons

from tocsin.clock import NS
from tocsin.engine import beacons
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.model import beacon
from tocsin.model.effect import StateChanged
from tocsin.model.event import BeaconPolled, Booted, ConfigRevised
from tocsin.model.observation import BudgetUse, Fault, FaultKind
from tocsin.model.trust import Standing, Trust
from tocsin.testing import ChainSpec, beacon_root

THREE = with_beacons(("a", "b", "c"), ("a", "b", "c"), execution=("n0", "n1", "n2"))
LONG = ChainSpec(history=300)
"""Long enough for several finalized epochs."""


def pool(settings: object = THREE, **more: object) -> BeaconPool:
    made = BeaconPool(settings, spec=LONG, **more)  # type: ignore[arg-type]
    made.rounds(12)
    assert made.said() == []
    return made


def said(made: BeaconPool) -> set[tuple[str, str]]:
    return {(detector, subject) for detector, subject, _ in made.said()}


def levels(made: BeaconPool) -> set[tuple[str, str]]:
    return {(alert.detector, alert.severity.value) for alert in made.alerts}


def checkpoint_of(made: BeaconPool) -> str | None:
    """The hash of the execution block that most beacon groups call final, as detectors see it."""
    chain = made.settings.chains[0]
    agreed = beacons.checkpoint(beacons.views(made.state.chains["sim"], made.settings, chain), chain)
    return None if agreed is None else agreed.hash


def view_of(made: BeaconPool) -> object:
    told = status(made.state, made.now)["chains"]
    assert isinstance(told, list)
    return told[0]["beacons"]


@pytest.mark.parametrize("polls", [240, pytest.param(2700, marks=pytest.mark.slow)])
def test_a_healthy_layer_says_nothing(polls: int) -> None:
    made = pool()
    made.rounds(polls)
    assert made.said() == []


@pytest.mark.parametrize("polls", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_empty_slots_and_blocks_that_come_late_are_no_lag(polls: int) -> None:
    made = BeaconPool(THREE, spec=replace(LONG, missed=0.2, jitter_ns=4 * NS))
    made.rounds(polls)
    assert [each for each in made.said() if each[0].startswith("beacon")] == []


def test_the_checkpoint_is_the_finalized_block_of_the_chain() -> None:
    made = pool()
    beacon = made.beacons["b0"]
    final = beacon.finalized()
    assert final is not None
    record = made.state.chains["sim"].beacons["b0"]
    assert record.finalized is not None
    assert record.finalized.payload is not None
    assert (record.finalized.payload.hash, record.finalized.root) == (final[1].hash, beacon_root(final[1].hash))


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT, FaultKind.REFUSED, FaultKind.NOT_JSON])
def test_a_silent_beacon_node_is_told_and_recovers(kind: FaultKind) -> None:
    made = pool()
    made.faults = {"b0": Fault(kind=kind, detail="x"), "b1": Fault(kind=kind, detail="x")}
    made.rounds(5)
    assert levels(made) == {("beacon.unreachable", "warning"), ("beacon.unreachable", "info")}
    made.faults = {}
    made.rounds(8)
    assert [state for _, _, state in made.said()] == ["firing", "firing", "resolved", "resolved"]


@pytest.mark.parametrize("kind", [FaultKind.RATE_LIMITED, FaultKind.BUDGET])
def test_a_refused_poll_is_no_failure_and_is_told(kind: FaultKind) -> None:
    made = pool()
    made.faults = {"b0": Fault(kind=kind, detail="x", retry_after_ns=NS)}
    made.rounds(30)
    assert made.said() == [("node.rate_limited", "b0", "firing")]
    made.faults = {}
    made.rounds(3)
    assert made.said()[1:] == [("node.rate_limited", "b0", "resolved")]


def test_a_budget_of_a_beacon_node_that_is_short_is_told_of_and_hides_no_refusal() -> None:
    made = pool()
    made.budgets = {"b1": BudgetUse(per_day=1_000, wanted=2_000)}
    made.rounds(480)
    assert made.said() == [("node.budget_short", "b1", "firing")]
    made.faults = {"b1": Fault(kind=FaultKind.BUDGET, detail="x", retry_after_ns=NS)}
    made.rounds(30)
    assert len(made.said()) == 1
    made.faults = {"b1": Fault(kind=FaultKind.RATE_LIMITED, detail="x", retry_after_ns=NS)}
    made.rounds(3)
    assert made.said()[1:] == [("node.rate_limited", "b1", "firing")]


@pytest.mark.parametrize(("flag", "detector"), [("syncing", "beacon.syncing"), ("optimistic", "beacon.syncing")])
def test_a_beacon_node_that_cannot_be_relied_on_is_told(flag: str, detector: str) -> None:
    made = pool()
    setattr(made.beacons["b0"], flag, True)
    made.rounds(2)
    assert made.said() == []
    made.rounds(1)
    assert made.said() == [(detector, "b0", "firing")]
    setattr(made.beacons["b0"], flag, False)
    made.rounds(4)
    assert made.said()[1:] == [(detector, "b0", "resolved")]


def test_an_execution_client_that_is_away_is_critical_after_a_minute_and_not_told_twice() -> None:
    made = pool()
    made.beacons["b0"].el_offline = made.beacons["b0"].optimistic = True
    made.rounds(40)
    assert said(made) == {("beacon.el_offline", "b0")}
    assert levels(made) == {("beacon.el_offline", "warning"), ("beacon.el_offline", "critical")}


def test_a_frozen_beacon_node_lags() -> None:
    made = pool()
    made.beacons["b0"].view.freeze()
    made.rounds(40)
    assert said(made) == {("beacon.lag", "b0")}
    made.beacons["b0"].view.thaw()
    made.rounds(6)
    assert made.said()[-1] == ("beacon.lag", "b0", "resolved")


def test_a_halted_chain_is_no_lag_of_its_beacon_nodes() -> None:
    made = pool()
    made.chain.halt()
    made.rounds(60)
    assert {detector for detector, _, _ in made.said() if detector.startswith("beacon")} == set()


@pytest.mark.parametrize("what", ["chain", "genesis"])
def test_a_beacon_node_of_another_chain_is_told_at_once(what: str) -> None:
    made = pool()
    beacon = made.beacons["b0"]
    right = (beacon.chain_id, beacon.genesis_root)
    beacon.chain_id, beacon.genesis_root = (1, right[1]) if what == "chain" else (right[0], "0x" + "77" * 32)
    made.rounds(1)
    assert made.said() == [("beacon.wrong_chain", "b0", "firing")]
    beacon.chain_id, beacon.genesis_root = right
    made.rounds(3)
    assert made.said()[1:] == [("beacon.wrong_chain", "b0", "resolved")]


def test_few_peers_are_told_after_two_minutes_and_none_at_once_but_only_of_own_nodes() -> None:
    made = pool()
    made.beacons["b0"].peers = made.beacons["b1"].peers = 9
    made.rounds(59)
    assert made.said() == []
    made.rounds(3)
    assert made.said() == [("beacon.peers_low", "b0", "firing")]
    made.beacons["b0"].peers = 12
    made.rounds(10)
    assert len(made.said()) == 1
    made.beacons["b0"].peers = 15
    made.rounds(1)
    assert made.said()[1:] == [("beacon.peers_low", "b0", "resolved")]
    made.beacons["b0"].peers = 0
    made.rounds(2)
    assert made.said()[2:] == [("beacon.peers_low", "b0", "firing")]


def test_an_execution_client_on_another_branch_than_its_beacon_node_is_told() -> None:
    made = pool()
    made.chain.fork("bad", depth=1)
    made.beacons["b0"].view.branch = "bad"
    made.rounds(16)
    assert ("beacon.mismatch", "b0") in said(made)
    assert levels(made) <= {("beacon.mismatch", "warning"), ("beacon.lag", "warning")}
    assert "another branch" in next(alert.summary for alert in made.alerts if alert.detector == "beacon.mismatch")


def test_a_finalized_checkpoint_that_stands_alone_is_critical_and_does_not_move_the_agreed_one() -> None:
    made = pool()
    made.chain.fork("bad", depth=150)
    made.beacons["b0"].final_branch = "bad"
    made.rounds(3)
    assert levels(made) == {("beacon.mismatch", "critical")}
    assert said(made) == {("beacon.mismatch", "b0")}
    right = made.beacons["b1"].finalized()
    assert right is not None
    assert checkpoint_of(made) == right[1].hash


@pytest.mark.parametrize("flag", ["syncing", "optimistic", "el_offline"])
def test_a_beacon_node_that_cannot_be_relied_on_has_no_part_in_what_is_final(flag: str) -> None:
    made = pool()
    made.chain.fork("bad", depth=150)
    made.beacons["b0"].final_branch = "bad"
    setattr(made.beacons["b0"], flag, True)
    made.rounds(6)
    assert "beacon.mismatch" not in {detector for detector, _ in said(made)}
    right = made.beacons["b1"].finalized()
    assert right is not None
    assert checkpoint_of(made) == right[1].hash
    setattr(made.beacons["b1"], flag, True)
    made.rounds(1)
    assert checkpoint_of(made) is None


def test_without_a_majority_every_side_is_told_and_nothing_is_agreed() -> None:
    settings = with_beacons(("a", "b", "c"), ("a", "b"))
    made = pool(settings)
    made.chain.fork("bad", depth=150)
    made.beacons["b0"].final_branch = "bad"
    made.rounds(3)
    assert said(made) == {("beacon.mismatch", "b0"), ("beacon.mismatch", "b1")}


def test_who_is_the_first_to_call_an_epoch_final_is_not_accused_while_the_others_have_yet_to_speak() -> None:
    """A liar has called it final, too, with another root: for some seconds it is one against one of three."""
    made = pool()
    made.chain.fork("bad", depth=150)
    made.beacons["b0"].final_branch = "bad"
    made.beacons["b2"].view.delay_ns = 9 * NS
    accused: set[tuple[str, str]] = set()
    for _ in range(2 * 32 * 6 + 1):  # two epochs
        made.round()
        accused |= said(made)
    assert accused == {("beacon.mismatch", "b0")}


def test_a_contradiction_that_nobody_decides_is_told_though_one_might() -> None:
    made = pool(with_beacons(("a", "b", "c"), ("a", "b", "c")))
    made.chain.fork("bad", depth=150)
    made.beacons["b0"].final_branch = "bad"
    made.beacons["b2"].broken = {"/eth/v1/beacon/states/head/finality_checkpoints": (500, b"")}
    made.rounds(2 * 32 * 6)
    assert said(made) == {("beacon.mismatch", "b0"), ("beacon.mismatch", "b1")}


def test_an_execution_client_with_another_finalized_block_is_critical() -> None:
    made = pool(with_beacons(("a", "b", "c"), ("a",), execution=("n0",)))
    made.chain.fork("bad", depth=150)
    made.beacons["b0"].final_branch = "bad"
    levels_seen: set[tuple[str, str]] = set()
    for _ in range(260):  # the two are of one height once an epoch
        made.round()
        levels_seen |= levels(made)
    assert ("beacon.mismatch", "critical") in levels_seen


class Reticent(BeaconPool):
    """Its first beacon node answers its head, and says nothing of what is final any more."""

    reticent = False

    def polled(self, name: str) -> BeaconPolled:
        event = super().polled(name)
        if not self.reticent or name != "b0":
            return event
        return replace(event, parts=tuple(part for part in event.parts if part.call != beacon.FINALITY))


def test_what_a_beacon_node_called_final_before_it_went_silent_about_it_is_no_evidence() -> None:
    settings = with_beacons(("a", "b", "c"), ("a", "b", "c"), execution=("n0", "n1", "n2"), slot_s=2)
    made = Reticent(settings, spec=ChainSpec(history=300, slot_ns=2 * NS))
    made.rounds(12)
    made.reticent = True
    made.rounds(120)
    assert made.said() == []
    assert made.state.chains["sim"].beacons["b0"].finals, "what it said is known still"


def test_a_head_from_the_future_is_told() -> None:
    made = pool()
    made.beacons["b0"].ahead_slots = 4
    made.rounds(3)
    assert said(made) == {("beacon.mismatch", "b0")}
    assert "in the future" in made.alerts[0].summary


@pytest.mark.parametrize("late_s", [40, 3600, 86_400])
def test_a_clock_that_is_late_accuses_no_beacon_node_and_no_check(late_s: int) -> None:
    made = pool()
    made.clock.step_wall(s=-late_s)
    made.rounds(90)
    assert made.said() == []
    assert not any(standing.everywhere for standing in made.state.chains["sim"].trust.values())
    made.beacons["b0"].ahead_slots = late_s
    made.rounds(3)
    assert made.said() == []
    made.clock.step_wall(s=late_s)
    made.rounds(40)
    assert said(made) == {("beacon.mismatch", "b0")}


def test_heads_from_the_future_make_no_laggard_of_an_honest_node() -> None:
    made = pool()
    made.beacons["b0"].ahead_slots = made.beacons["b1"].ahead_slots = 20
    made.rounds(4)
    assert said(made) == {("beacon.mismatch", "b0"), ("beacon.mismatch", "b1")}


def reasons(made: BeaconPool) -> set[tuple[str, str]]:
    return {(alert.detector, alert.reason) for alert in made.alerts}


def trust_of(made: BeaconPool, detector: str) -> Standing | None:
    return made.state.chains["sim"].trust.get(detector)


@pytest.mark.parametrize(
    ("flag", "value", "detector"), [("ahead_slots", 4, "beacon.mismatch"), ("optimistic", True, "beacon.syncing")]
)
def test_a_check_that_all_beacon_nodes_fail_at_once_is_suspected(flag: str, value: object, detector: str) -> None:
    made = pool()
    well = getattr(made.beacons["b0"], flag)
    setattr(made.beacons["b0"], flag, value)
    setattr(made.beacons["b1"], flag, value)
    made.rounds(4)
    assert trust_of(made, detector) is None, "two of three are two that are wrong"
    setattr(made.beacons["b2"], flag, value)
    made.rounds(4)
    assert reasons(made) == {(detector, "fired"), (detector, "detector-suspect")}
    standing = trust_of(made, detector)
    assert standing is not None
    assert standing.trust is Trust.OBSERVE
    assert standing.suspicion is not None
    assert standing.suspicion.nodes == ("b0", "b1", "b2")
    assert said(made) == {(detector, "b0"), (detector, "b1")}, "what would have fired with the last node never got out"
    for node in made.beacons.values():
        setattr(node, flag, well)
    checks = standing.since_checks
    made.rounds(30)
    standing = trust_of(made, detector)
    assert standing is not None
    assert standing.since_checks > checks, "it is looked at whether it does better"


def test_beacon_nodes_of_one_group_are_no_reason_to_doubt_a_check() -> None:
    made = pool(with_beacons(("a", "b", "c"), ("a", "a", "a"), execution=("n0", "n1", "n2")))
    for node in made.beacons.values():
        node.optimistic = True
    made.rounds(5)
    assert said(made) == {("beacon.syncing", name) for name in made.beacons}
    assert trust_of(made, "beacon.syncing") is None


def test_beacon_nodes_without_their_clients_or_without_an_answer_are_news_when_all_are() -> None:
    made = pool()
    for node in made.beacons.values():
        node.el_offline = True
    made.rounds(5)
    assert said(made) == {("beacon.el_offline", name) for name in made.beacons}
    silent = pool()
    silent.faults = dict.fromkeys(silent.beacons, Fault(kind=FaultKind.TIMEOUT, detail="x"))
    silent.rounds(8)
    assert said(silent) == {("beacon.unreachable", name) for name in silent.beacons}
    for one in (made, silent):
        assert not [standing for standing in one.state.chains["sim"].trust.values() if standing.suspicion is not None]


def test_beacon_nodes_that_all_contradict_each_other_are_no_reason_to_doubt_it() -> None:
    made = pool(with_beacons(("a", "b", "c"), ("a", "b", "c", "d")))
    made.chain.fork("bad", depth=150)
    made.beacons["b0"].final_branch = made.beacons["b1"].final_branch = "bad"
    made.rounds(5)
    assert said(made) == {("beacon.mismatch", name) for name in made.beacons}
    assert levels(made) == {("beacon.mismatch", "critical")}
    assert trust_of(made, "beacon.mismatch") is None


def test_a_node_that_is_behind_its_own_beacon_node_is_told_once() -> None:
    made = pool()
    made.nodes["n0"].view.freeze()
    made.rounds(30)
    assert {detector for detector, _ in said(made)} == {"node.lag", "node.stale"}


def test_what_is_told_of_a_beacon_node_stands_in_its_topic_and_in_the_status() -> None:
    made = pool(keep_events=True)
    topics = [each for each in made.effects if isinstance(each, StateChanged) and each.topic == "node/sim/b0"]
    document = topics[-1].document
    assert document is not None
    assert (document["kind"], document["state"], document["id"]) == ("beacon", "healthy", "sim.b0")
    (row, *others) = view_of(made)  # type: ignore[misc]
    assert (row["name"], row["state"], row["execution"], row["peers"], len(others)) == ("b0", "healthy", "n0", 60, 2)
    made.beacons["b0"].syncing = True
    made.rounds(4)
    assert view_of(made)[0]["state"] == "syncing"  # type: ignore[index]


def test_a_removed_beacon_node_resolves_its_alerts_and_clears_its_topic() -> None:
    made = pool(keep_events=True)
    made.beacons["b0"].syncing = True
    made.rounds(4)
    fewer = replace(THREE, chains=(replace(THREE.chains[0], beacons=THREE.chains[0].beacons[1:]),))
    made.take(ConfigRevised(t_ns=made.now, settings=fewer))
    assert made.alerts[-1].reason == "unconfigured"
    cleared = [each for each in made.effects if isinstance(each, StateChanged) and each.document is None]
    assert [each.topic for each in cleared] == ["node/sim/b0"]
    before = made.state
    assert "b0" not in before.chains["sim"].beacons
    made.take(made.polled("b0"))
    made.tick()
    assert "b0" not in made.state.chains["sim"].beacons


def test_events_and_states_come_back_from_their_bytes() -> None:
    made = pool(keep_events=True)
    assert decode_state(encode_state(made.state)) == made.state
    polls = [event for event in made.events if isinstance(event, BeaconPolled)]
    assert polls
    for event in polls:
        assert decode_event(*encode_event(event)) == event


def test_a_replay_of_the_same_events_ends_in_the_same_bytes() -> None:
    made = pool(keep_events=True)
    made.beacons["b0"].optimistic = True
    made.beacons["b1"].view.freeze()
    made.rounds(40)
    state = EngineState()
    for event in made.events:
        record, bodies = encode_event(event)
        state = step(state, decode_event(record, bodies)).state
    assert encode_state(state) == encode_state(made.state)


def test_after_a_restart_nothing_is_judged_by_what_was_said_before() -> None:
    made = pool()
    made.beacons["b0"].syncing = True
    made.rounds(4)
    made.take(Booted(t_ns=made.now, wall_ns=made.clock.wall_ns(), boot="b1", version="test"))
    made.take(ConfigRevised(t_ns=made.now, settings=made.settings))
    made.beacons["b0"].syncing = False
    before = len(made.said())
    made.tick()
    assert len(made.said()) == before
    made.rounds(6)
    assert made.said()[-1] == ("beacon.syncing", "b0", "resolved")
