"""Watched contracts on a simulated chain: who lies is named, who is honest never is, lies are not published."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from orjson import dumps, loads
from tests.support.pool import healthy
from tests.support.statepool import (
    ALICE,
    CODE,
    IMPLEMENTATION,
    MALLORY,
    OTHER_CODE,
    OWNER_SLOT,
    PAUSED_SLOT,
    PLAIN,
    PROXY,
    TOKEN,
    VAULT,
    StatePool,
    about,
    lying,
    swapped,
    watching,
)

from tocsin.chain.keccak import keccak256
from tocsin.chain.proof import Claim, Refuted, claim_of, verify
from tocsin.clock import NS
from tocsin.detect import contract_owner_changed
from tocsin.engine import contractdocs, readplan
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.pinning import READING_NS
from tocsin.engine.step import step
from tocsin.model.alert import AlertState, Grade, Severity
from tocsin.model.block import BlockRef
from tocsin.model.contract import Layout, Watch
from tocsin.model.effect import Fetch, Notify, StateChanged
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.observation import CHAIN_ID, LATEST, Part
from tocsin.model.reading import READ, Pin, ProofOf, parse
from tocsin.model.settings import ChannelSettings, Settings
from tocsin.testing import SimNode
from tocsin.testing.headers import header_hash
from tocsin.testing.simstate import Change, SimAccount, word

BLOCK_AND_A_POLL = 7
"""Polls of 2 s in a slot of 12 s, and one."""

OWNER = f"0x{ALICE:040x}"
LIE = f"0x{MALLORY:064x}"
NOBODY = f"0x{0:040x}"


def well(pool: StatePool) -> StatePool:
    pool.rounds(8)
    assert pool.values() == {
        "code": (f"0x{keccak256(CODE).hex()}", "proven"),
        "implementation": (f"0x{0x111:040x}", "proven"),
        "owner": (OWNER, "proven"),
    }
    assert pool.values("token") == {"owner": (OWNER, "quorum"), "paused": ("false", "quorum")}
    assert pool.seen().problem == pool.seen("token").problem == ""
    return pool


def no_proofs(pool: StatePool, *names: str) -> None:
    for name in names:
        pool.nodes[name].data.missing.add("eth_getProof")


def with_contracts(settings: Settings, *contracts: Any) -> Settings:
    return replace(settings, chains=(replace(settings.chains[0], contracts=contracts),))


# -- who lies is named, and changes nothing


@pytest.mark.parametrize(
    ("detector", "method", "lie", "wanted"),
    [
        ("node.proof_invalid", "eth_getProof", swapped(MALLORY), about(VAULT)),
        ("node.call_mismatch", "eth_getStorageAt", lambda _: LIE, about(VAULT)),
        ("node.call_mismatch", "eth_call", lambda _: LIE, about(TOKEN)),
        ("node.call_mismatch", "eth_call", lambda _: LIE, about(VAULT)),
        ("node.call_mismatch", "eth_getCode", lambda said: said[:-2] + "00", about(VAULT)),
    ],
)
@pytest.mark.parametrize("liar", ["n0", "n2"])
def test_who_lies_about_one_thing_is_named_within_a_block_and_a_poll(
    detector: str, method: str, lie: Callable[[Any], Any], wanted: Any, liar: str
) -> None:
    pool = well(StatePool())
    values = (pool.values(), pool.values("token"))
    pool.answers[liar] = lying(method, lie, wanted)
    for _ in range(BLOCK_AND_A_POLL):
        pool.round()
        assert (pool.values(), pool.values("token")) == values
    assert pool.open() == {(detector, liar)}
    [alert] = pool.alerts
    assert (alert.severity, alert.state) == (Severity.CRITICAL, AlertState.FIRING)
    assert alert.block is not None
    assert header_hash(alert.evidence["header"]) == alert.block.hash  # type: ignore[arg-type]  # as it is written
    assert parse(alert.evidence["question"]) is not None  # type: ignore[arg-type]


def test_anybody_can_check_the_evidence_of_a_wrong_proof_with_nothing_else_at_hand() -> None:
    pool = well(StatePool())
    pool.answers["n1"] = lying("eth_getProof", swapped(MALLORY), about(VAULT))
    pool.rounds(BLOCK_AND_A_POLL)
    evidence: Any = loads(dumps(dict(pool.about("node.proof_invalid")[0].evidence)))
    assert header_hash(evidence["header"]) == evidence["block"]["hash"]
    address = bytes.fromhex(evidence["claim"]["address"][2:])
    slots = [bytes.fromhex(slot[2:]) for slot in evidence["claim"]["slots"]]
    claim = claim_of(dumps(evidence["answer"]), address, slots)
    assert isinstance(claim, Claim)
    assert isinstance(verify(bytes.fromhex(evidence["header"]["stateRoot"][2:]), claim), Refuted)


def test_a_node_with_a_wrong_proof_is_corrupt_and_its_word_counts_for_nothing() -> None:
    pool = well(StatePool())
    pool.answers["n1"] = lying("eth_getProof", swapped(MALLORY), about(VAULT))
    pool.rounds(BLOCK_AND_A_POLL)
    assert pool.life("n1").value == "corrupt"
    pool.ack("node.proof_invalid")
    pool.answers["n1"] = healthy
    pool.rounds(4)
    assert pool.open() == set()


def test_a_wrong_proof_is_forgotten_after_a_hundred_sound_ones_and_an_hour() -> None:
    settings = watching(slot_s=60, poll_s=30)
    pool = StatePool(replace(settings, chains=(replace(settings.chains[0], tick_ns=10 * NS),)))
    pool.rounds(8)
    pool.answers["n1"] = lying("eth_getProof", swapped(MALLORY), about(VAULT))
    pool.until(lambda: ("node.proof_invalid", "n1") in pool.open())
    pool.answers["n1"] = healthy
    pool.rounds(90)
    assert ("node.proof_invalid", "n1") in pool.open()
    pool.until(lambda: ("node.proof_invalid", "n1") not in pool.open(), 60)
    assert pool.state.chains["sim"].contracts.accused["proof/n1"].clean >= 100


def test_a_wrong_result_is_forgotten_after_twenty_that_are_right() -> None:
    pool = well(StatePool())
    pool.answers["n1"] = lying("eth_call", lambda _: LIE, about(TOKEN))
    pool.until(lambda: ("node.call_mismatch", "n1") in pool.open())
    pool.answers["n1"] = healthy
    pool.until(lambda: ("node.call_mismatch", "n1") not in pool.open())
    assert pool.state.chains["sim"].contracts.accused["value/n1"].clean >= 20


def test_what_was_wrong_once_accuses_nobody() -> None:
    pool = well(StatePool())
    left = [2]

    def glitch(result: Any) -> Any:
        left[0] -= 1
        return swapped(MALLORY)(result) if left[0] == 0 else result

    pool.answers["n1"] = lying("eth_getProof", glitch, about(VAULT))
    pool.rounds(30)
    assert left[0] < 0
    assert pool.alerts == []


def test_where_nobody_proves_a_quorum_says_and_names_who_differs() -> None:
    pool = StatePool()
    no_proofs(pool, "n0", "n1", "n2")
    pool.rounds(20)
    assert {grade for _, grade in pool.values().values()} == {"quorum"}
    values = pool.values()
    pool.answers["n2"] = lying("eth_getStorageAt", lambda _: LIE, about(VAULT))
    pool.rounds(BLOCK_AND_A_POLL)
    assert pool.open() == {("node.call_mismatch", "n2")}
    assert pool.values() == values


def test_where_groups_contradict_each_other_the_last_value_stands_and_the_status_says_why() -> None:
    pool = well(StatePool(watching(("self", "b"))))
    pool.answers["n1"] = lying("eth_call", lambda _: LIE, about(TOKEN))
    pool.rounds(30)
    assert pool.values("token") == {"owner": (OWNER, "quorum"), "paused": ("false", "quorum")}
    assert "owner: groups contradict each other" in pool.seen("token").problem
    assert pool.alerts == []


def test_a_slot_that_is_not_where_the_owner_lies_accuses_nobody_and_is_told() -> None:
    wrong = replace(PROXY, layouts={"owner": Layout(slot=f"0x{99:064x}")})
    pool = StatePool(watching(contracts=(wrong,)))
    pool.until(lambda: bool(pool.alerts), 14)
    pool.rounds(20)
    assert "check the slot in the configuration" in pool.seen().problem
    [alert] = pool.alerts
    said = f"owner() returns {OWNER}, and the slot holds {NOBODY}: check the slot in the configuration"
    assert (alert.detector, alert.severity) == ("contract.misconfigured", Severity.WARNING)
    assert alert.summary == f"vault is not what the configuration says: {said}"
    assert alert.evidence["contradictions"][0]["said"] == said
    pool.reload(watching())
    pool.rounds(20)
    assert pool.open() == set()
    assert pool.seen().baseline["owner"].value == OWNER


def test_a_lone_group_tells_as_well_of_a_slot_that_is_not_where_the_owner_lies() -> None:
    wrong = replace(PROXY, layouts={"owner": Layout(slot=f"0x{99:064x}")})
    pool = StatePool(watching(("self",), contracts=(wrong,)))
    pool.until(lambda: bool(pool.about("contract.misconfigured")), 14)
    assert pool.about("contract.misconfigured")[0].grade is Grade.UNCORROBORATED


def test_what_one_of_several_groups_alone_says_contradicts_no_configuration() -> None:
    pool = well(StatePool())
    pool.answers["b"] = lying("eth_call", lambda _: f"0x{MALLORY:064x}")
    pool.rounds(20)
    assert pool.seen().wrong == {}
    assert pool.about("contract.misconfigured") == []


def test_what_has_changed_since_it_was_pinned_is_told_as_that_alone() -> None:
    pool = well(StatePool())
    pool.write(VAULT, OWNER_SLOT, 0xBAD)
    pool.chain.programs[CODE] = lambda *_: word(ALICE)
    pool.until(lambda: bool(pool.about("contract.owner_changed")), 14)
    pool.rounds(6)
    assert "check the slot in the configuration" in pool.seen().problem
    assert pool.about("contract.misconfigured") == []


def test_an_address_without_code_is_told_and_pins_nothing() -> None:
    nobody = replace(PROXY, address="0x" + "99" * 20, layouts={})
    pool = StatePool(watching(contracts=(nobody,)))
    pool.rounds(10)
    said = f"there is no code at {nobody.address} on this chain: check the address"
    assert pool.seen().problem == said
    assert pool.seen().baseline == {}
    assert [alert.summary for alert in pool.alerts] == [f"vault is not what the configuration says: {said}"]


def test_a_node_that_gives_nothing_a_question_is_about_is_no_liar() -> None:
    pool = well(StatePool())
    pool.answers["n1"] = lying("eth_getProof", lambda _: {"nothing": True})
    pool.answers["n2"] = lying("eth_call", lambda _: 7)
    pool.rounds(20)
    assert pool.alerts == []


# -- what is right changes


@pytest.mark.parametrize(
    ("detector", "change", "watch", "now"),
    [
        (
            "contract.proxy_upgraded",
            Change(slots={(VAULT, IMPLEMENTATION): 0xBAD}),
            "implementation",
            f"0x{0xBAD:040x}",
        ),
        ("contract.owner_changed", Change(slots={(VAULT, OWNER_SLOT): MALLORY}), "owner", f"0x{MALLORY:040x}"),
        ("contract.owner_changed", Change(slots={(TOKEN, OWNER_SLOT): MALLORY}), "owner", f"0x{MALLORY:040x}"),
        ("contract.paused", Change(slots={(TOKEN, PAUSED_SLOT): 1}), "paused", "true"),
        (
            "contract.code_changed",
            Change(accounts={VAULT: SimAccount(code=OTHER_CODE, slots={IMPLEMENTATION: 0x111, OWNER_SLOT: ALICE})}),
            "code",
            f"0x{keccak256(OTHER_CODE).hex()}",
        ),
    ],
)
def test_a_change_is_told_and_an_ack_makes_it_the_baseline(detector: str, change: Change, watch: str, now: str) -> None:
    pool = well(StatePool())
    pool.chain.send(change)
    pool.until(lambda: bool(pool.alerts), 14)
    [alert] = pool.alerts
    assert (alert.detector, alert.severity) == (detector, Severity.CRITICAL)
    [row] = alert.evidence["changes"]  # type: ignore[misc]
    name = str(alert.evidence["contract"])
    assert (row["watch"], row["now"]) == (watch, now)
    assert alert.grade is (Grade.PROVEN if name == "vault" else Grade.QUORUM)
    pool.ack(detector)
    assert pool.alerts[-1].state is AlertState.RESOLVED
    pinned = pool.seen(name).baseline[watch]
    assert (pinned.value, pinned.by, pinned.why) == (now, "alice", "planned")
    pool.rounds(20)
    assert pool.open() == set()
    assert len(pool.alerts) == 3


def test_an_ack_accepts_what_was_told_and_as_it_was_known_then() -> None:
    pool = well(StatePool())
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    pool.until(lambda: bool(pool.alerts), 14)
    [told] = pool.alerts
    before = pool.seen().latest["implementation"]
    # Nobody proves any more what it is, so that it is known otherwise than when it was told.
    for name in pool.nodes:
        pool.answers[name] = lying("eth_getProof", lambda _: None)
    pool.rounds(14)
    assert len(pool.alerts) == 1
    now = pool.seen().latest["implementation"]
    assert (now.grade, now.block.number > before.block.number) == (Grade.QUORUM, True)
    pool.restart()
    pool.ack("contract.proxy_upgraded")
    pool.rounds(1)
    pinned = pool.seen().baseline["implementation"]
    assert (pinned.value, pinned.grade, pinned.block) == (f"0x{0xBAD:040x}", told.grade, told.block)
    assert [alert.reason for alert in pool.alerts] == ["fired", "acked", "acked"]


def test_a_value_that_has_become_another_one_since_the_last_word_is_not_accepted_and_fires_at_once() -> None:
    pool = well(StatePool())
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    pool.until(lambda: bool(pool.alerts), 14)
    [told] = pool.alerts
    assert told.block is not None
    pool.write(VAULT, IMPLEMENTATION, 0xBAD2)
    # As it is for a moment: the reading is there, and nobody has been told of it.
    chain = pool.state.chains["sim"]
    seen = chain.contracts.watched["vault"]
    at = BlockRef(number=told.block.number + 1, hash=f"0x{1:064x}")
    newer = evolve(seen.latest["implementation"], value=f"0x{0xBAD2:040x}", block=at)
    seen = evolve(seen, latest={**seen.latest, "implementation": newer}, block=at)
    chain = evolve(chain, contracts=evolve(chain.contracts, watched={**chain.contracts.watched, "vault": seen}))
    pool.state = evolve(pool.state, chains={"sim": chain})
    pool.ack("contract.proxy_upgraded")
    pinned = pool.seen().baseline["implementation"]
    assert (pinned.value, pinned.grade, pinned.block) == (f"0x{0xBAD:040x}", told.grade, told.block)
    pool.tick()
    assert [alert.reason for alert in pool.alerts] == ["fired", "acked", "acked", "fired"]
    assert f"implementation was 0x{0xBAD:040x}, is 0x{0xBAD2:040x}" in pool.alerts[-1].summary


def test_a_second_change_is_told_at_once_and_is_what_an_ack_accepts() -> None:
    pool = well(StatePool())
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    pool.until(lambda: bool(pool.alerts), 14)
    pool.rounds(7)
    pool.write(VAULT, IMPLEMENTATION, 0xBAD2)
    pool.until(lambda: len(pool.alerts) > 1, 14)
    first, second = pool.alerts
    assert (second.reason, second.state, second.activation) == ("changed", AlertState.FIRING, first.activation)
    assert (first.fingerprint, first.count + 1) == (second.fingerprint, second.count)
    assert f"implementation was 0x{0x111:040x}, is 0x{0xBAD2:040x}" in second.summary
    pool.rounds(30)
    assert len(pool.alerts) == 2, "it is said once"
    pool.restart()
    pool.rounds(4)
    assert len(pool.alerts) == 2, "also of another life"
    pool.ack("contract.proxy_upgraded")
    pinned = pool.seen().baseline["implementation"]
    assert (pinned.value, pinned.block) == (f"0x{0xBAD2:040x}", second.block)
    pool.write(VAULT, IMPLEMENTATION, 0xBAD3)
    pool.rounds(14)
    assert [alert.reason for alert in pool.alerts] == ["fired", "changed", "acked", "acked", "fired"]


def test_an_ack_that_comes_just_after_another_change_accepts_what_was_told_before_it() -> None:
    pool = well(StatePool())
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    pool.until(lambda: bool(pool.alerts), 14)
    [first] = pool.alerts
    for value in (0xBAD2, 0xBAD3):  # whoever makes them waits for somebody who types
        pool.write(VAULT, IMPLEMENTATION, value)
        count = len(pool.alerts)
        pool.until(lambda count=count: len(pool.alerts) > count, 14)
    assert [alert.reason for alert in pool.alerts] == ["fired", "changed", "changed"]
    pool.restart()
    pool.ack("contract.proxy_upgraded")
    pinned = pool.seen().baseline["implementation"]
    assert (pinned.value, pinned.block) == (f"0x{0xBAD:040x}", first.block)
    pool.rounds(4)
    assert pool.alerts[-1].reason == "fired"
    assert f"implementation was 0x{0xBAD:040x}, is 0x{0xBAD3:040x}" in pool.alerts[-1].summary
    pool.ack("contract.proxy_upgraded")
    assert pool.seen().baseline["implementation"].value == f"0x{0xBAD3:040x}", "that is all that this one told"
    left = pool.seen()
    assert (left.told, left.kept, left.told_ns) == ({}, {}, {})


def test_a_change_that_was_told_for_a_minute_is_what_people_have_read() -> None:
    pool = well(StatePool())
    for value in (0xBAD, 0xBAD2, 0xBAD3):
        pool.write(VAULT, IMPLEMENTATION, value)
        pool.rounds(1 + READING_NS // pool.settings.chains[0].poll_ns // (3 if value == 0xBAD3 else 1))
    assert [alert.reason for alert in pool.alerts] == ["fired", "changed", "changed"]
    pool.ack("contract.proxy_upgraded")
    assert pool.seen().baseline["implementation"].value == f"0x{0xBAD2:040x}"


def test_people_who_know_of_the_first_change_are_told_of_the_second() -> None:
    pager = ChannelSettings(name="pager", match="detector=contract.*", gathers=False)
    pool = well(StatePool(replace(watching(), channels=(pager,)), keep_events=True))
    for value in (0xBAD, 0xBAD2):
        pool.write(VAULT, IMPLEMENTATION, value)
        pool.rounds(14)
    told = [one for effect in pool.effects if isinstance(effect, Notify) for one in effect.notice.told]
    assert [one.reason for one in told] == ["fired", "changed"]
    assert f"0x{0xBAD2:040x}" in told[-1].summary


def test_another_value_that_changes_beside_it_is_told_at_once_and_one_that_changes_back_is_not() -> None:
    pool = well(StatePool())
    pool.write(VAULT, OWNER_SLOT, MALLORY)
    pool.until(lambda: bool(pool.alerts), 14)
    pool.write(VAULT, OWNER_SLOT, ALICE)
    pool.rounds(20)
    assert [alert.reason for alert in pool.alerts] == ["fired"]
    pool.write(VAULT, OWNER_SLOT, MALLORY)
    pool.rounds(20)
    assert [alert.reason for alert in pool.alerts] == ["fired"], "that was told"
    pool.write(VAULT, OWNER_SLOT, MALLORY + 1)
    pool.rounds(20)
    assert [alert.reason for alert in pool.alerts] == ["fired", "changed"]


def test_what_changes_back_stays_until_somebody_has_seen_it_and_keeps_its_baseline() -> None:
    pool = well(StatePool())
    pool.write(VAULT, OWNER_SLOT, MALLORY)
    pool.until(lambda: bool(pool.alerts), 14)
    pool.write(VAULT, OWNER_SLOT, ALICE)
    pool.rounds(20)
    assert pool.open() == {("contract.owner_changed", "sim")}
    pool.ack("contract.owner_changed")
    pool.rounds(20)
    assert pool.open() == set()
    assert pool.seen().baseline["owner"].value == OWNER


def test_a_pause_ends_by_itself_and_the_next_one_is_told_also_of_who_was_paused_at_first_sight() -> None:
    pool = StatePool()
    pool.write(TOKEN, PAUSED_SLOT, 1)
    pool.clock.advance(s=36)
    pool.rounds(10)
    assert pool.values("token")["paused"] == ("true", "quorum")
    assert pool.alerts == []
    for value, count in ((0, 0), (1, 1), (0, 2), (1, 3)):
        pool.write(TOKEN, PAUSED_SLOT, value)
        pool.rounds(14)
        assert len(pool.about("contract.paused")) == count


def test_one_alone_of_several_groups_changes_nothing() -> None:
    pool = well(StatePool())
    pool.write(TOKEN, OWNER_SLOT, MALLORY)
    pool.answers["n1"] = pool.answers["n2"] = lying("eth_call", lambda _: None)
    pool.rounds(20)
    assert pool.values("token")["owner"][0] == OWNER
    assert pool.alerts == []
    assert "owner: 1 of 3 groups, 2 are needed" in pool.seen("token").problem


def test_in_a_pool_of_one_group_values_are_uncorroborated_and_a_change_is_told() -> None:
    pool = StatePool(watching(("self",)))
    pool.rounds(10)
    assert {grade for _, grade in pool.values().values()} == {"uncorroborated"}
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    pool.until(lambda: bool(pool.about("contract.proxy_upgraded")), 14)
    assert pool.about("contract.proxy_upgraded")[0].grade is Grade.UNCORROBORATED


# -- how it is asked


def readings(pool: StatePool, node: str) -> list[Fetch]:
    return [one for one in pool.asked if one.node == node and one.call.startswith(READ)]


def test_each_node_is_asked_once_a_block_about_all_contracts() -> None:
    pool = well(StatePool())
    before = {name: len(readings(pool, name)) for name in pool.nodes}
    pool.rounds(60)
    asked = {name: [one.call for one in readings(pool, name)[before[name] :]] for name in pool.nodes}
    new, final = 10, 10  # on this chain a block becomes final with each that comes
    assert {name: len(calls) for name, calls in asked.items()} == dict.fromkeys(pool.nodes, new + final)
    assert all(len({parse(call).block for call in calls}) == new + final for calls in asked.values())  # type: ignore[union-attr]


def test_a_node_that_takes_no_hashes_is_asked_by_number_between_two_looks_at_the_block() -> None:
    pool = StatePool()
    pool.nodes["n1"].data.pins_object = False
    pool.rounds(40)
    found = parse(readings(pool, "n1")[-1].call)
    assert found is not None
    assert found.pin is Pin.NUMBER
    assert pool.alerts == []
    pool.answers["n1"] = lying("eth_getProof", swapped(MALLORY), about(VAULT))
    pool.rounds(BLOCK_AND_A_POLL)
    assert pool.open() == {("node.proof_invalid", "n1")}


def test_a_node_without_proofs_is_soon_asked_for_none() -> None:
    pool = StatePool()
    no_proofs(pool, "n1")
    pool.rounds(20)
    found = parse(readings(pool, "n1")[-1].call)
    assert found is not None
    assert not any(isinstance(item, ProofOf) for item in found.items)
    assert pool.alerts == []


def test_nodes_are_compared_at_each_finalized_block() -> None:
    pool = well(StatePool())
    pool.until(lambda: pool.seen().audited is not None, 20)
    assert pool.state.chains["sim"].finalized.block.hash not in pool.state.chains["sim"].tree.headers  # type: ignore[union-attr]
    audited = pool.seen().audited
    assert audited is not None
    assert audited.number == pool.state.chains["sim"].finalized.block.number  # type: ignore[union-attr]
    assert pool.alerts == []


@pytest.mark.parametrize("method", ["eth_getProof", "eth_call"])
def test_who_lies_about_a_finalized_block_is_named_though_nobody_has_seen_the_blocks_above_it(method: str) -> None:
    pool = well(StatePool())
    final = pool.state.chains["sim"].finalized.block
    assert final is not None
    old = [pool.chain.at(final.number + ahead, pool.chain.head()) for ahead in range(20)]
    is_wanted = about(VAULT if method == "eth_getProof" else TOKEN)
    lie = swapped(MALLORY) if method == "eth_getProof" else lambda _: LIE
    asked = {one.hash for one in old if one is not None}
    pool.answers["n1"] = lying(
        method, lie, lambda params: is_wanted(params) and any(one in str(params[-1]) for one in asked)
    )
    pool.rounds(24)
    name = "node.proof_invalid" if method == "eth_getProof" else "node.call_mismatch"
    assert pool.open() == {(name, "n1")}
    [alert] = [one for one in pool.alerts if one.state is AlertState.FIRING]
    assert alert.evidence["block"]["number"] < final.number + 20


def test_without_contracts_nothing_is_asked_or_kept() -> None:
    pool = StatePool(watching(contracts=()))
    pool.rounds(20)
    assert not any(one.call.startswith(READ) for one in pool.asked)
    assert b"contracts" not in encode_state(pool.state).partition(b"\n")[2]


def test_the_topic_is_said_again_only_when_something_changed() -> None:
    pool = StatePool(keep_events=True)
    pool.rounds(40)
    said = [one for one in pool.effects if isinstance(one, StateChanged) and one.kind == "contract"]
    assert [one.topic for one in said] == ["contract/sim/vault", "contract/sim/token"]
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    pool.rounds(14)
    said = [one for one in pool.effects if isinstance(one, StateChanged) and one.kind == "contract"]
    assert [one.topic for one in said][2:] == ["contract/sim/vault"]


def test_a_document_is_made_only_when_it_says_something_new(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = well(StatePool())

    def none(*_: object) -> None:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(contractdocs, "_document", none)
    pool.rounds(6)
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    with pytest.raises(AssertionError, match="nothing has changed"):
        pool.rounds(14)


# -- restart, reload, replay


def test_a_restart_in_the_middle_of_a_question_asks_anew_and_keeps_what_was_pinned() -> None:
    pool = well(StatePool())
    pool.answers["n1"] = lying("eth_getProof", swapped(MALLORY), about(VAULT))
    pool.until(lambda: bool(pool.state.chains["sim"].contracts.suspicions) or bool(pool.alerts), 14)
    state = pool.state
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)
    before = pool.seen().baseline
    pool.restart()
    pool.rounds(BLOCK_AND_A_POLL + 8)
    assert ("node.proof_invalid", "n1") in pool.open()
    assert pool.seen().baseline == before


def test_every_snapshot_reads_back_and_decides_alike() -> None:
    pool = StatePool(keep_events=True)
    pool.answers["n1"] = lying("eth_call", lambda _: LIE, about(TOKEN))
    pool.rounds(20)
    state = decode_state(encode_state(type(pool.state)()))
    for event in pool.events:
        state = step(decode_state(encode_state(state)) if isinstance(event, Fetched) else state, event).state
    assert encode_state(state) == encode_state(pool.state)


def test_a_contract_that_is_removed_ends_its_alerts_and_clears_its_topic() -> None:
    pool = well(StatePool(keep_events=True))
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    pool.until(lambda: bool(pool.alerts), 14)
    pool.effects.clear()
    pool.reload(with_contracts(pool.settings, PLAIN))
    assert [(alert.detector, alert.reason) for alert in pool.alerts[1:]] == [
        ("contract.proxy_upgraded", "unconfigured")
    ]
    cleared = [one.topic for one in pool.effects if isinstance(one, StateChanged) and one.document is None]
    assert cleared == ["contract/sim/vault"]
    assert set(pool.state.chains["sim"].contracts.watched) == {"token"}
    pool.rounds(10)
    assert pool.open() == set()


def test_a_contract_that_moves_is_another_one_and_one_that_stays_keeps_its_baseline() -> None:
    pool = well(StatePool())
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    pool.until(lambda: bool(pool.alerts), 14)
    token = pool.seen("token").baseline
    pool.reload(with_contracts(pool.settings, replace(PROXY, address=PLAIN.address), PLAIN))
    assert pool.alerts[-1].reason == "unconfigured"
    pool.rounds(10)
    assert pool.seen("token").baseline == token
    assert pool.seen().baseline["owner"].value == OWNER
    assert pool.open() == set()


def test_a_watch_that_is_added_is_pinned_and_the_others_stay() -> None:
    pool = well(StatePool())
    before = pool.seen().baseline
    pool.reload(with_contracts(pool.settings, replace(PROXY, watches=(*PROXY.watches, Watch.ADMIN)), PLAIN))
    pool.rounds(10)
    after = pool.seen().baseline
    assert {name: after[name] for name in before} == before
    assert after["admin"].value == "0x" + "00" * 20


# -- who is honest


def test_a_baseline_at_a_block_that_is_replaced_is_pinned_anew() -> None:
    pool = StatePool()
    pool.write(VAULT, IMPLEMENTATION, 0x222)
    pool.clock.advance(s=24)
    pool.rounds(4)
    assert pool.seen().baseline["implementation"].value == f"0x{0x222:040x}"
    pool.chain.reorg(6)
    pool.rounds(20)
    assert pool.seen().baseline["implementation"].value == f"0x{0x111:040x}"
    assert not pool.about("contract.proxy_upgraded")


def test_what_was_read_at_a_block_that_has_left_the_chain_counts_for_nothing() -> None:
    pool = well(StatePool())
    pool.write(VAULT, IMPLEMENTATION, 0xBAD)
    held: list[Fetched] = []

    def late(event: Fetched) -> Fetched:
        if event.call.startswith(READ):
            held.append(event)
            return replace(event, request=-1)
        return event

    pool.clock.advance(s=24)
    pool.answers_fetch = late
    pool.until(lambda: bool(held), 14)
    pool.answers_fetch = None
    pool.chain.reorg(6)
    pool.clock.advance(s=1)
    for name in pool.nodes:
        pool.take(pool._poll(name, (CHAIN_ID, LATEST)))
    pool.tick()
    assert pool.state.chains["sim"].contracts.sittings["head"].asked
    for event in held:
        pool.take(event)
    pool.tick()
    assert pool.state.chains["sim"].contracts.sittings.get("head") is None or pool.pending
    assert pool.values()["implementation"][0] == f"0x{0x111:040x}"
    pool.rounds(20)
    assert not pool.about("contract.proxy_upgraded")


def owned_by_mallory() -> StatePool:
    """A token whose owner is another one at the newest blocks, which are about to be replaced."""
    pool = well(StatePool())
    pool.write(TOKEN, OWNER_SLOT, MALLORY)
    pool.until(lambda: bool(pool.about("contract.owner_changed")), 14)
    assert pool.values("token")["owner"][0] == f"0x{MALLORY:040x}"
    return pool


def owner_shown(pool: StatePool) -> object:
    chain = pool.settings.chains[0]
    rows: Any = {row["name"]: row for row in contractdocs.rows(pool.state.chains["sim"], chain, pool.now)}
    return rows["token"]["values"]["owner"]["value"]


def test_what_was_known_of_a_replaced_block_is_not_shown_once_the_next_reading_does_not_tell_it() -> None:
    pool = owned_by_mallory()
    for name in pool.nodes:
        pool.answers[name] = lying("eth_call", lambda _: None, about(TOKEN))
    pool.rounds(7)
    assert pool.values("token")["owner"][0] == f"0x{MALLORY:040x}", "a block that stands is what was known last"
    pool.chain.reorg(8)
    pool.rounds(10)
    assert "owner" not in pool.values("token")
    assert owner_shown(pool) is None
    assert "known last of a block that was replaced: owner" in pool.seen("token").problem
    assert [alert.reason for alert in pool.alerts] == ["fired", "data-missing"], "what nobody knows ends nothing"
    assert decode_state(encode_state(pool.state)) == pool.state
    for name in pool.nodes:
        pool.answers[name] = healthy
    pool.rounds(10)
    assert pool.values("token")["owner"][0] == OWNER
    assert pool.seen("token").gone == ()
    assert [alert.reason for alert in pool.alerts] == ["fired", "data-missing", "data-back"]


def test_what_was_known_of_a_replaced_block_is_not_shown_for_long_where_nobody_can_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = owned_by_mallory()
    monkeypatch.setattr(readplan, "means", lambda *_: None)
    pool.chain.reorg(6)
    pool.rounds(10)
    assert owner_shown(pool) == f"0x{MALLORY:040x}"
    pool.rounds(30)
    assert owner_shown(pool) is None


def nothing_there(node: SimNode, request: bytes) -> bytes:
    """The answers of a node that says of pruned state that there is none."""
    void = {"eth_getStorageAt": "0x" + "00" * 32, "eth_getCode": "0x", "eth_call": "0x"}
    asked, said = loads(request), loads(node.answer(request))
    methods = {one["id"]: one["method"] for one in asked}
    return dumps([{**one, "result": void.get(methods[one["id"]], one.get("result"))} for one in said])


def test_who_says_of_all_that_there_is_nothing_may_have_no_state_and_is_no_liar() -> None:
    pool = StatePool()
    no_proofs(pool, "n2")
    pool.answers["n2"] = nothing_there
    pool.rounds(14)
    assert not pool.state.chains["sim"].nodes["n2"].capabilities.reach
    assert pool.alerts == []


def test_who_is_known_to_have_the_state_and_says_that_there_is_nothing_is_named() -> None:
    pool = StatePool()
    no_proofs(pool, "n2")
    pool.rounds(60)
    pool.answers["n2"] = nothing_there
    pool.rounds(BLOCK_AND_A_POLL)
    assert pool.open() == {("node.call_mismatch", "n2")}


def test_a_balancer_that_answers_by_number_with_another_machine_accuses_nobody() -> None:
    pool = StatePool()
    pool.nodes["n1"].data.pins_object = False
    pool.rounds(40)
    pool.write(VAULT, IMPLEMENTATION, 0x222)
    pool.nodes["n1"].view.skew = 2
    pool.rounds(60)
    assert not [alert for alert in pool.alerts if alert.detector in ("node.proof_invalid", "node.call_mismatch")]


def test_a_node_that_answers_every_hash_with_its_head_is_no_liar() -> None:
    pool = StatePool()
    pool.nodes["n1"].data.pins_anything = True
    for at in range(30):
        pool.write(VAULT, OWNER_SLOT + 20, at)
        pool.rounds(6)
    assert not [alert for alert in pool.alerts if alert.detector in ("node.proof_invalid", "node.call_mismatch")]


def test_a_chain_whose_states_are_no_such_tries_accuses_nobody() -> None:
    pool = StatePool()
    pool.answers = dict.fromkeys(pool.nodes, lying("eth_getProof", lambda said: {**said, "balance": "0x7"}))
    pool.rounds(30)
    assert pool.alerts == []
    assert {grade for _, grade in pool.values().values()} == {"quorum"}


def test_answers_that_nobody_waits_for_change_nothing() -> None:
    pool = well(StatePool())
    call = readings(pool, "n1")[-1].call
    before = pool.state.chains["sim"].contracts
    stray = Fetched(t_ns=pool.now, chain="sim", node="n1", request=10**6, call=call, part=Part(call=call, result=b"1"))
    pool.take(stray)
    pool.tick()
    assert pool.state.chains["sim"].contracts == before


def test_an_alert_that_is_over_has_told_nothing_that_an_ack_of_the_next_one_could_accept() -> None:
    params = contract_owner_changed.OwnerChangedParams(latched=False)
    pool = well(StatePool(watching(**{"contract.owner_changed": params})))
    pool.write(VAULT, OWNER_SLOT, MALLORY)
    pool.until(lambda: bool(pool.alerts), 14)
    assert pool.seen().told.keys() == {"owner"}
    pool.write(VAULT, OWNER_SLOT, ALICE)
    pool.rounds(20)
    assert pool.open() == set()
    assert pool.seen().told == {}
