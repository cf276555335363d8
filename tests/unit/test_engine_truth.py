"""The truth rule through the whole core: gaps that were known, ties, leads, finality, tags and what is kept."""

from dataclasses import replace

import orjson
import pytest
from tests.support.pool import Answer, settings_for
from tests.support.ticking import Ticking, stranger

from tocsin.clock import NS
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.status import status
from tocsin.engine.truth import near_fork
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.settings import BaseFeeRule, Settings
from tocsin.model.trust import Trust
from tocsin.testing import ChainSpec, SimChain, SimNode
from tocsin.testing.headers import header_hash


def on_chain(settings: Settings, **changes: object) -> Settings:
    return replace(settings, chains=(replace(settings.chains[0], **changes),))


def grade(pool: Ticking) -> Grade:
    return pool.state.chains["sim"].head.grade


def detectors(pool: Ticking) -> set[str]:
    return {detector for detector, _, _ in pool.fired()}


# -- the first start


@pytest.mark.parametrize("says_so", [True, False])
def test_two_groups_of_which_one_syncs_from_far_behind_are_no_split_at_the_first_start(says_so: bool) -> None:  # noqa: FBT001
    pool = Ticking(settings_for(("a", "b"), own=(0, 1)), spec=ChainSpec(history=400))
    far = SimNode(pool.chain, name="n1", delay_ns=300 * 12 * NS)
    if says_so:
        far.syncing = {"currentBlock": "0x3"}
    pool.answers["n1"] = lambda _node, request: far.answer(request)
    pool.rounds(30)
    assert Grade.SPLIT not in pool.grades
    assert grade(pool) is Grade.UNCORROBORATED
    # An hour old: enough to contradict nothing, too little to be told by age alone.
    assert pool.fired() == ({("node.syncing", "n1", "warning")} if says_so else set())


def test_a_node_at_block_0_is_no_split_at_the_first_start() -> None:
    pool = Ticking(settings_for(("a", "b"), own=(0, 1)), spec=ChainSpec(history=400))
    empty = SimNode(pool.chain, name="n1", delay_ns=10**9 * NS)
    pool.answers["n1"] = lambda _node, request: empty.answer(request)
    pool.rounds(30)
    head = pool.state.chains["sim"].nodes["n1"].head
    assert head is not None
    assert head.number == 0
    assert Grade.SPLIT not in pool.grades
    assert pool.fired() == {("node.syncing", "n1", "warning")}


# -- divergence inside every group


def test_the_same_divergence_inside_every_group_ends_in_a_split() -> None:
    pool = Ticking(settings_for(("a", "a", "b", "b")))
    pool.rounds(20)
    pool.chain.fork("bad")
    for name in ("n1", "n3"):
        pool.nodes[name].view.branch = "bad"
    pool.rounds(40)
    assert grade(pool) is Grade.SPLIT
    assert pool.fired() == {("pool.split", "sim", "critical")}


# -- a foreign chain that gives no ancestors


@pytest.mark.parametrize("ahead", [0, 1, 2, 3])
def test_a_node_a_little_ahead_on_a_foreign_chain_without_ancestors_is_forked(ahead: int) -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    pool.answers["n2"] = stranger(pool, ahead=ahead)
    pool.rounds(60)
    # At the same height it has finalized another block as well, and that is told apart.
    finality = {("chain.finality_violation", "sim", "warning")} if ahead == 0 else set()
    assert pool.fired() == {("node.fork", "n2", "warning")} | finality
    assert grade(pool) is Grade.QUORUM
    pool.answers["n2"] = pool.answers["n0"]
    pool.rounds(230)
    assert pool.open() == set()


# -- ties


def parted(**chain: object) -> Ticking:
    """Two against two: n2 and n3 leave at a fork."""
    pool = Ticking(on_chain(settings_for(("a", "b", "c", "d")), **chain))
    pool.rounds(20)
    pool.chain.fork("bad")
    for name in ("n2", "n3"):
        pool.nodes[name].view.branch = "bad"
    return pool


def test_two_against_two_without_a_tie_breaker_is_frozen() -> None:
    pool = parted()
    pool.rounds(40)
    assert grade(pool) is Grade.SPLIT
    assert detectors(pool) == {"pool.split"}


def test_a_trusted_block_breaks_a_tie_and_says_so() -> None:
    pool = parted()
    pool.rounds(12)
    block = pool.chain.branch().blocks[-2]
    pinned = BlockRef(number=block.number, hash=block.hash)
    pool.reload(on_chain(pool.settings, trusted=pinned))
    pool.rounds(20)
    head = pool.state.chains["sim"].head
    assert (head.grade, head.voting_groups, head.groups) == (Grade.MAJORITY, 2, 4)
    assert f"trusted block {pinned.number}" in head.explanation
    assert head.block is not None
    assert head.block.hash in {one.hash for one in pool.chain.branch().blocks}
    assert {node for detector, node, _ in pool.fired() if detector == "node.fork"} == {"n2", "n3"}
    row = status(pool.state, pool.now)["chains"][0]  # type: ignore[index]
    assert row["explanation"] == head.explanation


def test_own_nodes_break_a_tie_only_where_they_are_told_to() -> None:
    pool = parted(tie_break=("own",))
    pool.rounds(20)
    head = pool.state.chains["sim"].head
    assert head.grade is Grade.MAJORITY
    assert "own node" in head.explanation


def test_one_group_that_is_left_by_a_tie_break_never_moves_the_head() -> None:
    pool = Ticking(on_chain(settings_for(("a", "b")), tie_break=("own",)))
    pool.rounds(20)
    before = pool.state.chains["sim"].head.block
    pool.chain.fork("bad")
    pool.nodes["n1"].view.branch = "bad"
    pool.rounds(60)
    head = pool.state.chains["sim"].head
    assert head.grade is Grade.UNCORROBORATED
    assert before is not None
    assert head.block is not None
    assert head.block.number - before.number <= 1
    assert detectors(pool) == {"node.fork", "pool.quorum_lost"}
    assert {node for detector, node, _ in pool.fired() if detector == "node.fork"} == {"n1"}


def test_a_snapshot_in_the_middle_of_a_tie_break_decides_on_alike() -> None:
    pool = parted(tie_break=("own",))
    pool.rounds(20)
    copy = decode_state(encode_state(pool.state))
    assert encode_state(copy) == encode_state(pool.state)
    pool.state = copy
    pool.rounds(5)
    assert grade(pool) is Grade.MAJORITY


# -- around forks


@pytest.mark.parametrize(("minutes", "expected"), [(-13, None), (-12, "next"), (0, "next"), (12, "next"), (13, None)])
def test_a_fork_is_near_for_two_epochs_before_and_after(minutes: int, expected: str | None) -> None:
    at_s = 1_800_000_000
    chain = replace(settings_for(("a", "b")).chains[0], forks=(("old", 7), ("next", at_s)))
    assert near_fork(chain, (at_s + 60 * minutes) * NS) == expected


def test_a_wrong_majority_at_a_fork_is_frozen_as_a_split() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    pool.reload(on_chain(pool.settings, forks=(("next", pool.clock.wall_ns() // NS),)))
    pool.chain.fork("bad")
    for name in ("n1", "n2"):
        pool.nodes[name].view.branch = "bad"
    pool.rounds(40)
    assert grade(pool) is Grade.SPLIT
    assert detectors(pool) == {"pool.split"}


# -- stalled majorities


def frozen(*names: str, providers: str = "abcde") -> Ticking:
    pool = Ticking(settings_for(tuple(providers)))
    pool.rounds(20)
    for name in names:
        pool.nodes[name].view.freeze()
    return pool


def test_a_majority_that_stands_while_two_groups_go_on_is_critical_and_no_halt() -> None:
    pool = frozen("n0", "n1", "n2")
    pool.rounds(130)
    assert pool.fired() == {("pool.majority_stalled", "sim", "critical")}
    chain = pool.state.chains["sim"]
    assert chain.fresh is not None
    assert chain.head.block is not None
    assert chain.fresh.number > chain.head.block.number + 10
    for name in ("n0", "n1", "n2"):
        pool.nodes[name].view.thaw()
    pool.rounds(60)
    assert pool.open() == set()
    assert pool.state.chains["sim"].fresh is None


def test_one_group_that_goes_on_alone_warns_and_hides_no_halt() -> None:
    pool = frozen("n0", "n1", providers="abc")
    pool.rounds(30)
    assert pool.fired() == {("pool.majority_stalled", "sim", "warning")}
    pool.rounds(80)
    assert ("chain.halt", "sim", "critical") in pool.fired()
    assert pool.state.chains["sim"].fresh is None


# -- finality, time, fees


def test_another_finalized_block_of_two_groups_is_a_violation_until_somebody_acknowledges_it() -> None:
    pool = Ticking(settings_for(("a", "b", "c", "d", "e")))
    pool.rounds(20)
    assert pool.state.chains["sim"].conflicts == ()
    other_spec = replace(pool.chain.spec, seed=5, history=pool.chain.branch().head.number)
    fork = SimNode(SimChain(pool.clock, other_spec), name="x", delay_ns=600_000_000)

    def lies(node: SimNode, request: bytes) -> bytes:
        honest, other = orjson.loads(node.answer(request)), orjson.loads(fork.answer(request))
        asked = orjson.loads(request)
        if not isinstance(asked, list):
            return node.answer(request)
        mixed = [
            wrong if "finalized" in str(call.get("params")) else right
            for call, right, wrong in zip(asked, honest, other, strict=True)
        ]
        return orjson.dumps(mixed)

    pool.answers["n2"] = pool.answers["n3"] = lies
    pool.rounds(14)
    assert ("chain.finality_violation", "sim", "critical") in pool.fired()
    assert {conflict.node for conflict in pool.state.chains["sim"].conflicts} == {"n2", "n3"}
    pool.answers["n2"] = pool.answers["n3"] = pool.answers["n0"]
    pool.rounds(40)
    assert ("chain.finality_violation", "sim") in pool.open(), "only a person lets it go"


def test_a_healthy_chain_with_every_fact_known_raises_nothing() -> None:
    spec = ChainSpec(seed=7, missed=0.02)
    pool = Ticking(settings_for(("a", "b", "c")), spec=spec)
    genesis = pool.chain.branch().blocks[0].timestamp
    pool.reload(
        on_chain(
            pool.settings,
            genesis_time_s=genesis,
            base_fee=BaseFeeRule(denominator=8, elasticity=2),
            finality_slots=95,
            epoch_slots=32,
        )
    )
    pool.rounds(300)
    assert pool.alerts == []
    assert pool.state.chains["sim"].breaches == {}
    assert pool.state.chains["sim"].fee_median is not None
    assert len(pool.state.chains["sim"].fees) <= 121


# -- headers that hash rightly and are wrong


def overpriced(pool: Ticking) -> Answer:
    """A node whose newest block has a base fee that does not follow, and the hash that goes with it."""

    def answer(_node: SimNode, request: bytes) -> bytes:
        answers = orjson.loads(pool.nodes["n0"].answer(request))
        for entry in answers if isinstance(answers, list) else []:
            block = entry.get("result")
            if isinstance(block, dict) and entry["id"] == 2:  # `latest` comes second in every poll
                block["baseFeePerGas"] = hex(int(block["baseFeePerGas"], 16) + 1)
                fields = {name: block[name] for name in pool.chain.branch().head.header}
                block["hash"] = header_hash(fields)
        return orjson.dumps(answers)

    return answer


RULES = {
    "base_fee": BaseFeeRule(denominator=8, elasticity=2),
    "trust": {"chain.basefee": Trust.ENFORCE},
}


def test_blocks_with_a_wrong_fee_break_a_tie_against_those_who_follow_them() -> None:
    pool = Ticking(on_chain(settings_for(("a", "b", "c", "d")), **RULES))
    pool.rounds(20)
    pool.answers["n2"] = pool.answers["n3"] = overpriced(pool)
    pool.rounds(20)
    head = pool.state.chains["sim"].head
    assert head.grade is Grade.MAJORITY
    assert "rules of the chain" in head.explanation
    assert head.block is not None
    assert head.block.hash in {block.hash for block in pool.chain.branch().blocks}
    assert {who for detector, who, _ in pool.fired() if detector == "chain.basefee"} == {"n2", "n3"}


def test_one_node_with_a_wrong_fee_is_named_and_moves_nothing() -> None:
    pool = Ticking(on_chain(settings_for(("a", "b", "c")), **RULES))
    pool.rounds(20)
    pool.answers["n2"] = overpriced(pool)
    pool.rounds(20)
    assert grade(pool) is Grade.QUORUM
    assert ("chain.basefee", "n2", "critical") in pool.fired()
    assert {who for _, who, _ in pool.fired()} == {"n2"}


def test_a_tag_that_falls_is_noted_until_it_is_asked_for_again() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    late = SimNode(pool.chain, name="n2", delay_ns=240 * NS)
    pool.answers["n2"] = lambda _node, request: late.answer(request)
    pool.rounds(6)
    assert pool.state.chains["sim"].nodes["n2"].tag_fall > 0
    assert pool.state.chains["sim"].nodes["n1"].tag_fall == 0
    pool.rounds(14)
    assert pool.state.chains["sim"].nodes["n2"].tag_fall == 0
