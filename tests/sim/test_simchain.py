"""The simulated chain: real hashes, repeatable, and every lever does what it says."""

import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.clock import NS
from tocsin.testing import ChainSpec, ManualClock, ScaledClock, SimBlock, SimChain, SimNode, header_hash
from tocsin.testing.simnode import path_between

SLOT_S = 12
SPECS = st.builds(
    ChainSpec,
    seed=st.integers(0, 2**32),
    missed=st.sampled_from([0.0, 0.05, 0.5]),
    jitter_ns=st.integers(0, 11 * NS),
    history=st.integers(0, 30),
    transactions=st.sampled_from([0, 5]),
    genesis_number=st.sampled_from([0, 21_000_000]),
)


def path(block: SimBlock) -> list[SimBlock]:
    found = [block]
    while found[-1].parent is not None:
        found.append(found[-1].parent)
    return found


def assert_sound(chain: SimChain, head: SimBlock) -> None:
    blocks = path(head)
    assert blocks[-1].number == chain.spec.genesis_number
    for child, parent in itertools.pairwise(blocks):
        assert child.number == parent.number + 1
        assert child.timestamp > parent.timestamp
        assert child.header["parentHash"] == parent.hash
    assert all(header_hash(block.head()) == block.hash for block in blocks)


@settings(deadline=None)
@given(spec=SPECS, steps=st.lists(st.integers(1, 200), max_size=6))
def test_the_same_seed_gives_the_same_chain_however_often_one_looks(spec: ChainSpec, steps: list[int]) -> None:
    often, once = ManualClock(), ManualClock()
    looked_at, left_alone = SimChain(often, spec), SimChain(once, spec)
    for step in steps:
        often.advance(s=step)
        looked_at.head()
    once.advance(s=sum(steps))
    assert looked_at.head().hash == left_alone.head().hash
    assert_sound(looked_at, looked_at.head())


def test_another_seed_gives_another_chain() -> None:
    heads = {SimChain(ManualClock(), ChainSpec(seed=seed)).head().hash for seed in range(5)}
    assert len(heads) == 5


def test_one_block_comes_each_slot_and_not_earlier() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=10))
    assert chain.head().number == 10
    clock.advance(s=SLOT_S, ns=-1)
    assert chain.head().number == 10
    clock.advance(ns=1)
    assert chain.head().number == 11
    assert chain.head().timestamp == clock.wall_ns() // NS


def test_jitter_delays_blocks_within_their_slot() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=0, jitter_ns=6 * NS))
    arrivals = []
    for _ in range(40 * SLOT_S):
        before = chain.head().number
        clock.advance(s=1)
        if chain.head().number > before:
            arrivals.append(clock.wall_ns() // NS - chain.head().timestamp)
    assert len(arrivals) >= 39
    assert set(arrivals) <= set(range(7))
    assert len(set(arrivals)) > 3


def test_the_share_of_missed_slots_is_as_asked_for() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=0, missed=0.2))
    clock.advance(s=SLOT_S * 2000)
    assert 1520 <= chain.head().number <= 1680


def test_a_step_of_the_wall_clock_does_not_move_the_chain() -> None:
    clock = ManualClock()
    chain = SimChain(clock)
    head = chain.head()
    clock.step_wall(s=3600)
    assert chain.head() is head


def test_a_scaled_clock_makes_the_chain_run_faster() -> None:
    clock = ManualClock()
    chain = SimChain(ScaledClock(clock, speed=12), ChainSpec(history=0))
    clock.advance(s=10)
    assert chain.head().number == 10


@settings(deadline=None)
@given(spec=SPECS, depth=st.integers(0, 5), slots=st.integers(0, 20))
def test_forks_are_equally_high_part_at_the_depth_and_both_grow(spec: ChainSpec, depth: int, slots: int) -> None:
    clock = ManualClock()
    chain = SimChain(clock, spec)
    depth = min(depth, chain.head().number - spec.genesis_number)
    parted = chain.head()
    chain.fork("b", depth=depth)
    assert chain.head("b").number == parted.number
    clock.advance(s=SLOT_S * slots)
    main, other = chain.head(), chain.head("b")
    assert main.number == other.number
    common = set(path(main)) & set(path(other))
    assert max(block.number for block in common) == parted.number - depth
    assert_sound(chain, other)


@settings(deadline=None)
@given(depths=st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_a_reorg_replaces_exactly_so_many_blocks_and_keeps_the_height(depths: list[int]) -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=20))
    for depth in depths:
        old = chain.head()
        new = chain.reorg(depth)
        assert new.number == old.number
        assert len(set(path(old)) - set(path(new))) == depth
        assert chain.by_hash(old.hash) is old
        clock.advance(s=SLOT_S)
        assert chain.head().parent is new
        assert_sound(chain, chain.head())


def test_a_rollback_lowers_the_height_and_the_chain_grows_from_there() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=20))
    old = chain.head()
    assert chain.rollback(5).number == 15
    clock.advance(s=SLOT_S * 5)
    assert chain.head().number == 20
    assert chain.head() is not old
    assert_sound(chain, chain.head())


def test_a_halted_chain_stands_and_its_slots_stay_missed() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=5))
    chain.fork("b")
    chain.halt("b")
    clock.advance(s=SLOT_S * 10)
    assert (chain.head().number, chain.head("b").number) == (15, 5)
    chain.halt()
    clock.advance(s=SLOT_S * 10)
    assert chain.head().number == 15
    chain.resume()
    clock.advance(s=SLOT_S)
    assert (chain.head().number, chain.head("b").number) == (16, 6)
    assert_sound(chain, chain.head("b"))


def test_finality_stands_while_stalled_and_catches_up() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=100))
    node = SimNode(chain)
    chain.stall_finality()
    clock.advance(s=SLOT_S * 50)
    assert [block.number for block in (node.view.finalized(), node.view.safe()) if block] == [36, 118]
    chain.resume_finality()
    assert [block.number for block in (node.view.finalized(), node.view.safe()) if block] == [86, 118]


def test_levers_that_cannot_be_moved_so_far_say_why() -> None:
    chain = SimChain(ManualClock(), ChainSpec(history=3))
    with pytest.raises(ValueError, match="3 blocks after the first"):
        chain.reorg(4)
    chain.fork("b")
    with pytest.raises(ValueError, match="exists"):
        chain.fork("b")
    with pytest.raises(KeyError, match="main, b"):
        chain.head("c")
    with pytest.raises(ValueError, match="jitter"):
        ChainSpec(jitter_ns=12 * NS)


# -- a node's view


def test_a_delayed_node_sees_everything_later_reorgs_included() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=10))
    near, far = SimNode(chain, name="near"), SimNode(chain, name="far", delay_ns=3 * NS)
    clock.advance(s=SLOT_S)
    assert (near.view.head().number, far.view.head().number) == (11, 10)
    clock.advance(s=3)
    assert far.view.head() is near.view.head()
    old = chain.head()
    chain.reorg(2)
    assert near.view.head() is chain.head()
    assert far.view.head() is old
    assert far.view.by_hash(old.hash) is old
    assert near.view.by_hash(old.hash) is None
    clock.advance(s=3)
    assert far.view.head() is chain.head()


def test_a_frozen_node_stands_still_through_a_reorg_and_thaws() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=10))
    node = SimNode(chain)
    node.view.freeze()
    frozen = node.view.head()
    chain.reorg(3)
    clock.advance(s=SLOT_S * 4)
    assert node.view.head() is frozen
    assert node.view.at(9) is frozen.parent
    assert node.view.by_hash(frozen.hash) is frozen
    node.view.thaw()
    assert node.view.head() is chain.head()


def test_a_node_may_change_branches() -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=10))
    node = SimNode(chain)
    chain.fork("b", depth=3)
    node.view.branch = "b"
    assert node.view.head() is chain.head("b")
    assert node.view.at(7) is chain.at(7, chain.head())
    assert node.view.at(8) is not chain.at(8, chain.head())


def test_import_delays_scatter_about_their_median_and_repeat() -> None:
    def delays() -> list[int]:
        clock = ManualClock()
        chain = SimChain(clock, ChainSpec(history=0))
        node = SimNode(chain, name="n", delay_ns=2 * NS, sigma=0.5)
        seen = []
        for _ in range(60 * SLOT_S):
            clock.advance(s=1)
            seen.append(chain.head().number - node.view.head().number)
        return seen

    first = delays()
    assert first == delays()
    assert 60 <= sum(first) <= 300


def test_a_body_is_as_large_as_a_real_one() -> None:
    chain = SimChain(ManualClock(), ChainSpec(history=5, transactions=180, withdrawals=16))
    request = b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",false]}'
    answer = SimNode(chain).answer(request)
    assert 14_000 < len(answer) < 18_000
    block = orjson.loads(answer)["result"]
    assert len(set(block["transactions"])) == 180
    assert header_hash(block) == block["hash"]


@settings(deadline=None)
@given(depth=st.integers(0, 6), slots=st.integers(0, 4))
def test_the_path_between_two_heads_leads_from_where_they_part(depth: int, slots: int) -> None:
    clock = ManualClock()
    chain = SimChain(clock, ChainSpec(history=10))
    old = chain.head()
    chain.reorg(depth)
    clock.advance(s=SLOT_S * slots)
    blocks = list(path_between(old, chain.head()))
    assert [block.number for block in blocks] == list(range(10 - depth + 1, 10 + slots + 1))
    assert not set(blocks) & set(path(old))
