"""The states of nodes in the whole core: verification, doubt, maintenance, the end, and what each means for votes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.support.beacons import BeaconPool, with_beacons
from tests.support.pool import Answer, healthy, settings_for
from tests.support.ticking import Ticking, fails

from tocsin.chain import nodelife
from tocsin.chain.nodelife import NodeState
from tocsin.clock import NS
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.doubt import TRIES
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.model.alert import AlertState, Grade
from tocsin.model.effect import AlertChanged, StateChanged
from tocsin.model.event import Commanded, Fetched, Ticked
from tocsin.model.observation import Fault, FaultKind, Part, hash_of
from tocsin.testing import ChainSpec, SimNode

THREE = ("a", "b", "c")


def pool_of(providers: tuple[str, ...] = THREE, **changes: object) -> Ticking:
    wanted = settings_for(providers)
    pool = Ticking(replace(wanted, chains=(replace(wanted.chains[0], **changes),)))  # type: ignore[arg-type]
    pool.rounds(20)
    assert pool.alerts == []
    return pool


def command(pool: Ticking, verb: str, by: str = "alice", **args: str) -> tuple[Any, ...]:
    event = Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb=verb, args=tuple(sorted(args.items())), by=by)
    event = decode_event(*encode_event(event))  # type: ignore[assignment]
    done = step(pool.state, event)
    pool.take(event)
    return done.effects


def maintenance(
    pool: Ticking, node: str = "n0", for_s: int = 600, why: str = "disk", chain: str = "sim"
) -> tuple[Any, ...]:
    return command(pool, "maintenance", chain=chain, node=node, for_ns=str(for_s * NS), why=why)


def ack(pool: Ticking, detector: str) -> None:
    [alert] = [alert for alert in pool.alerts if alert.detector == detector and alert.reason == "fired"]
    command(pool, "ack", fingerprint=alert.fingerprint, why="")


def voting(pool: Ticking) -> int:
    return pool.state.chains["sim"].head.voting_groups


def shown(pool: Ticking, name: str) -> dict[str, Any]:
    [chain] = status(pool.state, pool.now)["chains"]  # type: ignore[misc]
    return next(node for node in chain["nodes"] if node["name"] == name)  # type: ignore[index]


# -- verifying


def test_a_node_whose_finalized_block_contradicts_the_agreed_one_is_not_verified() -> None:
    pool = pool_of()
    pool.rounds(450)
    pool.chain.halt("main")
    pool.rounds(8)

    def liar(node: SimNode, request: bytes) -> bytes:
        answers = orjson.loads(node.answer(request))
        for entry in answers:
            result = entry.get("result")
            if isinstance(result, dict) and result.get("number") == hex(finalized.number):
                result["hash"] = "0x" + "66" * 32
                result["extraField"] = "0x1"
        return orjson.dumps(answers)

    pool.restart()
    finalized = pool.state.chains["sim"].finalized.block
    assert finalized is not None
    assert pool.life("n0") is NodeState.VERIFYING
    pool.answers["n0"] = liar
    pool.rounds(8)
    assert [pool.life(name) for name in ("n1", "n2")] == [NodeState.HEALTHY] * 2
    assert pool.life("n0") is NodeState.VERIFYING
    assert "not on the chain of the agreed one" in shown(pool, "n0")["reason"]


def test_a_node_that_never_shows_the_genesis_is_healthy_late_and_it_is_said() -> None:
    pool = Ticking(settings_for(THREE))
    chain = replace(pool.settings.chains[0], genesis_hash="0x" + "11" * 32)
    pool.reload(replace(pool.settings, chains=(chain,)))
    pool.rounds(10)
    assert {pool.life(name) for name in pool.nodes} == {NodeState.VERIFYING}
    assert voting(pool) == 3, "who is being verified votes: nobody else could be agreed with"
    pool.rounds(10)
    assert {shown(pool, name)["reason"] for name in pool.nodes} == {"verified, but for what it does not show: genesis"}


def test_a_new_start_verifies_again_and_another_address_begins_anew() -> None:
    pool = pool_of()
    pool.restart()
    assert {pool.life(name) for name in pool.nodes} == {NodeState.VERIFYING}
    pool.rounds(4)
    assert {pool.life(name) for name in pool.nodes} == {NodeState.HEALTHY}
    chain = pool.settings.chains[0]
    moved = replace(chain.nodes[0], endpoint="sim://elsewhere")
    pool.reload(replace(pool.settings, chains=(replace(chain, nodes=(moved, *chain.nodes[1:])),)))
    record = pool.state.chains["sim"].nodes["n0"]
    assert (record.head, record.chain_id, record.polls > 0) == (None, None, True)
    assert [pool.life(name) for name in pool.nodes] == [NodeState.VERIFYING, NodeState.HEALTHY, NodeState.HEALTHY]
    pool.rounds(4)
    assert pool.life("n0") is NodeState.HEALTHY
    assert pool.alerts == []


# -- doubt


def corrupted(*numbers: int) -> Answer:
    """Change a field of the latest header, or of those of some heights; answers by hash are left alone."""

    def answer(node: SimNode, request: bytes) -> bytes:
        if b"eth_getBlockByHash" in request:
            return node.answer(request)
        answers = orjson.loads(node.answer(request))
        for entry in answers:
            result = entry.get("result")
            if (
                isinstance(result, dict)
                and "parentHash" in result
                and (not numbers or int(result["number"], 16) in numbers)
            ):
                result["gasUsed"] = hex(int(result["gasUsed"], 16) ^ 1)
        return orjson.dumps(answers)

    return answer


def test_a_wrong_copy_on_the_way_is_no_accusation() -> None:
    pool = pool_of()
    pool.chain.halt("main")
    pool.answers["n0"] = corrupted()
    pool.round()
    assert voting(pool) == 2, "it has no vote from the first one on"
    pool.answers["n0"] = healthy
    pool.rounds(6)
    assert pool.alerts == []
    assert pool.life("n0") is NodeState.HEALTHY
    assert pool.state.chains["sim"].doubts == {}


@pytest.mark.parametrize("by_hash", ["sound", "null", "fault"])
def test_who_goes_on_showing_a_wrong_header_and_backs_it_with_nothing_is_believed_to_be_what_he_looks_like(
    by_hash: str,
) -> None:
    pool = pool_of()
    pool.chain.halt("main")
    pool.answers["n0"] = corrupted()
    asked: list[Fetched] = []

    def answer(event: Fetched) -> Fetched:
        if event.node == "n0" and hash_of(event.call) is not None:
            asked.append(event)
            if by_hash == "null":
                return replace(event, part=Part(call=event.call, result=b"null"))
            if by_hash == "fault":
                return replace(event, part=None)
        return event

    pool.answers_fetch = answer
    pool.rounds(12)
    assert ("node.corrupt_header", "n0", "critical") in pool.fired()
    assert len(asked) == TRIES
    assert pool.life("n0") is NodeState.CORRUPT


def test_two_different_wrong_headers_confirm_each_other() -> None:
    pool = Ticking(settings_for(THREE, slot_s=2), spec=ChainSpec(slot_ns=2 * NS))
    pool.rounds(20)
    pool.answers["n0"] = corrupted()
    pool.answers_fetch = lambda event: replace(event, part=Part(call=event.call, result=b"null"))
    pool.rounds(2)
    assert ("node.corrupt_header", "n0", "critical") in pool.fired()


def test_a_corrupt_node_has_no_vote_until_somebody_has_looked_and_its_last_good_head_is_kept() -> None:
    pool = pool_of()
    good = pool.state.chains["sim"].nodes["n0"].head
    pool.answers["n0"] = corrupted()
    pool.rounds(8)
    assert pool.life("n0") is NodeState.CORRUPT
    kept = pool.state.chains["sim"].nodes["n0"].head
    assert good is not None
    assert kept is not None
    assert kept.number >= good.number
    pool.answers["n0"] = healthy
    pool.rounds(60)
    assert (pool.life("n0"), voting(pool)) == (NodeState.CORRUPT, 2)
    ack(pool, "node.corrupt_header")
    pool.rounds(2)
    assert (pool.life("n0"), voting(pool)) == (NodeState.PROBATION, 3)
    pool.alerts.clear()
    pool.chain.halt("main")
    pool.rounds(2)
    pool.answers["n0"] = corrupted()
    pool.round()
    pool.answers["n0"] = healthy
    pool.rounds(3)
    assert [alert.detector for alert in pool.alerts if alert.detector == "node.corrupt_header"] == [], "doubted anew"


# -- wrong chain


def test_another_block_0_never_clears_by_itself() -> None:
    pool = Ticking(settings_for(THREE))
    genesis = "0x" + "11" * 32
    pool.reload(replace(pool.settings, chains=(replace(pool.settings.chains[0], genesis_hash=genesis),)))
    pool.rounds(20)

    def shows(number: str) -> Answer:
        def answer(node: SimNode, request: bytes) -> bytes:
            answers = orjson.loads(node.answer(request))
            latest = next(one["result"] for one in answers if isinstance(one["result"], dict))
            block = {**latest, "number": "0x0", "hash": "0x" + number * 32, "extraField": "0x1"}
            return orjson.dumps([*answers[:-1], {**answers[-1], "result": block}])

        return answer

    original = pool._poll
    pool._poll = lambda name, calls: original(name, (*calls, "genesis") if name == "n0" else calls)  # type: ignore[method-assign]
    pool.answers["n0"] = shows("22")
    pool.rounds(3)
    assert ("node.wrong_chain", "n0", "critical") in pool.fired()
    pool.answers["n0"] = shows("11")
    pool.rounds(100)
    assert (pool.life("n0"), voting(pool)) == (NodeState.WRONG_CHAIN, 2)
    ack(pool, "node.wrong_chain")
    pool.rounds(2)
    assert (pool.life("n0"), voting(pool)) == (NodeState.PROBATION, 3)


# -- maintenance


def test_maintenance_ends_the_alerts_and_the_vote_and_says_so_everywhere() -> None:
    pool = pool_of(("a", "b", "c", "d"))
    pool.nodes["n0"].view.freeze()
    pool.rounds(50)
    assert pool.open() == {("node.lag", "n0"), ("node.stale", "n0")}
    pool.alerts.clear()
    effects = maintenance(pool)
    assert [(alert.detector, alert.state, alert.reason) for alert in pool.alerts] == [
        (alert.detector, AlertState.RESOLVED, "maintenance") for alert in pool.alerts
    ]
    assert {alert.detector for alert in pool.alerts} == {"node.lag", "node.stale"}
    [told] = [effect for effect in effects if isinstance(effect, StateChanged)]
    assert (told.topic, told.document["state"]) == ("node/sim/n0", "maintenance")  # type: ignore[index]
    assert told.document["reason"] == "maintenance by alice: disk"  # type: ignore[index]
    pool.alerts.clear()
    pool.answers["n0"] = fails()
    pool.rounds(100)
    assert pool.alerts == []
    assert voting(pool) == 3
    assert pool.state.chains["sim"].head.groups == 4, "the pool is as large as it was"
    row = shown(pool, "n0")
    assert (row["state"], row["reasons"], row.get("flags", [])) == (
        "maintenance",
        ["maintenance by alice: disk"],
        [],
    )
    assert row["maintenance"]["by"] == "alice"
    assert row["maintenance"]["until_wall_ns"] - row["maintenance"]["since_wall_ns"] == 600 * NS
    assert status(pool.state, pool.now)["level"] == "ok"


def test_at_its_end_a_node_is_verified_and_what_is_still_wrong_fires_anew() -> None:
    pool = pool_of(("a", "b", "c", "d"))
    pool.answers["n0"] = fails()
    pool.rounds(10)
    maintenance(pool, for_s=60)
    pool.alerts.clear()
    pool.rounds(28)
    assert (pool.life("n0"), pool.alerts) == (NodeState.MAINTENANCE, [])
    pool.rounds(4)
    assert [(alert.detector, alert.reason, alert.activation) for alert in pool.alerts] == [
        ("node.unreachable", "fired", 2)
    ]
    assert pool.life("n0") is NodeState.UNREACHABLE
    maintenance(pool, for_s=3600)
    pool.answers["n0"] = healthy
    pool.rounds(10)
    command(pool, "maintenance", chain="sim", node="n0", for_ns="0", why="")
    pool.tick()
    assert pool.life("n0") is NodeState.VERIFYING
    assert shown(pool, "n0")["maintenance"] is None
    pool.rounds(4)
    assert (pool.life("n0"), voting(pool)) == (NodeState.HEALTHY, 4)


def test_a_node_that_a_quorum_needs_is_missed_in_maintenance_too() -> None:
    pool = pool_of(("a", "b"))
    maintenance(pool, for_s=3600)
    pool.rounds(40)
    assert pool.state.chains["sim"].head.grade is Grade.UNCORROBORATED
    assert pool.fired() == {("pool.quorum_lost", "sim", "warning")}


def test_maintenance_explains_no_lie() -> None:
    pool = pool_of()
    pool.answers["n0"] = corrupted()
    pool.rounds(10)
    assert pool.open() == {("node.corrupt_header", "n0")}
    maintenance(pool)
    pool.answers["n0"] = healthy
    pool.rounds(20)
    assert [alert.reason for alert in pool.alerts if alert.detector == "node.corrupt_header"] == [
        "fired",
        "data-missing",
    ]
    assert pool.life("n0") is NodeState.MAINTENANCE
    command(pool, "maintenance", chain="sim", node="n0", for_ns="0", why="")
    pool.rounds(10)
    assert pool.life("n0") is NodeState.CORRUPT
    ack(pool, "node.corrupt_header")
    pool.rounds(2)
    assert pool.open() == set()


def test_a_window_outlives_a_restart_and_a_reload_and_ends_with_its_node() -> None:
    pool = pool_of()
    maintenance(pool, for_s=3600)
    pool.restart(down_s=600)
    pool.rounds(10)
    assert pool.life("n0") is NodeState.MAINTENANCE
    pool.reload(pool.settings)
    pool.rounds(2)
    assert pool.life("n0") is NodeState.MAINTENANCE
    pool.restart(down_s=3600)
    pool.rounds(5)
    assert pool.life("n0") is NodeState.HEALTHY
    maintenance(pool, for_s=3600)
    chain = pool.settings.chains[0]
    fewer = replace(pool.settings, chains=(replace(chain, nodes=chain.nodes[1:]),))
    whole = pool.settings
    pool.reload(fewer)
    assert pool.state.chains["sim"].maintenance == {}
    pool.reload(whole)
    pool.rounds(5)
    assert pool.life("n0") is NodeState.HEALTHY


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"chain": "sim", "node": "n0"},
        {"chain": "sim", "node": "n9", "for_ns": "5"},
        {"chain": "no", "node": "n0", "for_ns": "5"},
        {"chain": "sim", "node": "n0", "for_ns": "-5"},
        {"chain": "sim", "node": "n0", "for_ns": str(10**30)},
        {"chain": "sim", "node": "n0", "for_ns": "much"},
        {"chain": "sim", "node": "n0", "for_ns": "0"},
    ],
)
def test_a_command_that_means_nothing_changes_nothing(args: dict[str, str]) -> None:
    pool = pool_of()
    before = pool.state
    assert command(pool, "maintenance", **args) == ()
    assert encode_state(pool.state) == encode_state(replace(before, wall_ns=pool.state.wall_ns, t_ns=pool.state.t_ns))


# -- the end, and what must not be


def test_a_node_that_is_gone_is_shown_for_a_day_and_is_no_better_when_it_comes_back() -> None:
    pool = pool_of()
    pool.nodes["n0"].view.freeze()
    pool.rounds(60)
    pool.nodes["n0"].view.thaw()
    while pool.life("n0") is not NodeState.PROBATION:
        pool.round()
    pool.answers["n0"] = fails()
    pool.rounds(8)
    relapses = pool.state.chains["sim"].lives["n0"].relapses
    assert relapses
    chain, whole = pool.settings.chains[0], pool.settings
    pool.reload(replace(whole, chains=(replace(chain, nodes=chain.nodes[1:]),)))
    [row] = status(pool.state, pool.now)["chains"]  # type: ignore[misc]
    assert [(one["name"], one["reason"]) for one in row["closed"]] == [("n0", "configured no longer")]  # type: ignore[index]
    gone = pool.nodes.pop("n0")
    pool.rounds(5)
    pool.reload(whole)
    assert pool.state.chains["sim"].lives["n0"] == nodelife.NodeLife(since_ns=pool.state.t_ns, relapses=relapses)
    assert pool.state.chains["sim"].closed == {}
    pool.nodes["n0"] = gone
    pool.reload(replace(whole, chains=(replace(chain, nodes=chain.nodes[1:]),)))
    pool.nodes.pop("n0")
    pool.suspend(0)
    pool.clock.advance(s=90_000)
    pool.reload(replace(whole, chains=(replace(chain, nodes=chain.nodes[1:]),)))
    assert pool.state.chains["sim"].closed == {}, "after a day it is forgotten"


def test_what_no_rule_allows_is_done_and_told_until_somebody_has_seen_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of()
    pool.allows_illegal = True
    rules: Callable[..., Any] = lambda: {**nodelife.LEGAL, NodeState.HEALTHY: ()}  # noqa: E731 - one line says it
    monkeypatch.setattr(nodelife, "LEGAL", rules())
    pool.nodes["n0"].view.freeze()
    pool.rounds(40)
    assert pool.life("n0") in (NodeState.LAGGING, NodeState.STALE)
    assert [move.node for move in pool.state.chains["sim"].illegal] == ["sim/n0"]

    def own_tick() -> None:
        pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))
        pool.clock.advance(s=1)

    own_tick()
    [alert] = [alert for alert in pool.alerts if alert.detector == "self.illegal_transition"]
    assert (alert.state, alert.severity.value) == (AlertState.FIRING, "warning")
    assert "sim/n0 went from healthy to" in alert.summary
    pool.state = decode_state(encode_state(pool.state))
    ack(pool, "self.illegal_transition")
    own_tick()
    assert [one.reason for one in pool.alerts if one.detector == "self.illegal_transition"][-1] == "acked"
    assert pool.alerts[-1].state is AlertState.RESOLVED
    assert pool.state.chains["sim"].illegal == ()


def test_the_effects_of_a_command_are_numbered_like_all_others() -> None:
    pool = pool_of(("a", "b", "c", "d"))
    pool.answers["n0"] = fails()
    pool.rounds(10)
    seq = pool.state.seq
    numbers = [effect.seq for effect in maintenance(pool) if isinstance(effect, AlertChanged)]
    assert numbers == list(range(seq + 1, pool.state.seq + 1))


def test_a_beacon_node_can_be_worked_on_too() -> None:
    pool = BeaconPool(with_beacons(("a", "b", "c"), ("a", "b", "c")), spec=ChainSpec(history=300))
    pool.rounds(12)
    pool.faults["b0"] = Fault(kind=FaultKind.TIMEOUT, detail="x")
    pool.rounds(10)
    assert pool.said() == [("beacon.unreachable", "b0", "firing")]
    args = (("chain", "sim"), ("for_ns", str(60 * NS)), ("node", "b0"), ("why", "disk"))
    pool.take(Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb="maintenance", args=args, by="alice"))
    assert [alert.reason for alert in pool.alerts] == ["fired", "maintenance"]
    pool.rounds(20)
    [row] = [row for row in status(pool.state, pool.now)["chains"][0]["beacons"] if row["name"] == "b0"]  # type: ignore[index]
    assert (row["state"], row["reasons"]) == ("maintenance", ["maintenance by alice: disk"])
    assert len(pool.alerts) == 2
    pool.rounds(15)
    assert [alert.reason for alert in pool.alerts] == ["fired", "maintenance", "fired"]
