"""Where values are read beside the polls, and of whom: what the core knows of the chain and its nodes decides it."""

import pytest
from tests.support.statepool import MALLORY, TOKEN, VAULT, StatePool, about, lying, swapped, world

from tocsin.model.block import BlockRef
from tocsin.runtime.ground import CoreGround
from tocsin.state.ground import Lane
from tocsin.testing import ChainSpec


def ground_of(pool: StatePool, chain: str = "sim") -> CoreGround:
    pool.rounds(8)
    return CoreGround(chain, state=lambda: pool.state, now_ns=lambda: pool.now)


def test_it_is_read_below_the_agreed_head_and_at_the_finalized_block_from_the_start_on() -> None:
    pool = StatePool()
    ground = ground_of(pool)
    chain = pool.state.chains["sim"]
    head, final = ground.place(Lane.HEAD), ground.place(Lane.FINAL)
    assert head is not None
    assert final is not None
    assert chain.head.block is not None
    assert head.block.hash == chain.tree.headers[chain.head.block.hash].parent_hash
    assert final.block == chain.finalized.block
    for place in (head, final):
        block = pool.chain.at(place.block.number, pool.chain.head())
        assert block is not None
        assert block.world is not None
        assert place.root == f"0x{block.world.trie.root.hex()}"
        assert ground.holds(place.block)
        assert ground.means("n1", place) is not None


def test_what_was_final_holds_though_another_block_is_final_by_now() -> None:
    pool = StatePool()
    ground = ground_of(pool)
    final = ground.place(Lane.FINAL)
    assert final is not None
    pool.rounds(12)
    now = ground.place(Lane.FINAL)
    assert now is not None
    assert now.block.number > final.block.number
    assert ground.holds(final.block)
    assert not ground.holds(BlockRef(number=now.block.number + 1, hash="0x" + "11" * 32))


def test_a_block_that_was_replaced_does_not_hold() -> None:
    pool = StatePool()
    ground = ground_of(pool)
    pool.rounds(3)
    head = ground.place(Lane.HEAD)
    assert head is not None
    pool.chain.reorg(3)
    pool.rounds(8)
    assert not ground.holds(head.block)


def test_a_block_that_was_replaced_does_not_hold_either_once_others_are_final_above_it() -> None:
    pool = StatePool(spec=ChainSpec(history=200, world=world(), finalized_after=8))
    ground = ground_of(pool)
    pool.rounds(60)
    head = ground.place(Lane.HEAD)
    assert head is not None
    pool.chain.reorg(3)
    final = head
    while final.block.number <= head.block.number + 1:
        pool.rounds(6)
        final = ground.place(Lane.FINAL) or head
    assert head.block.hash in pool.state.chains["sim"].tree.headers
    assert not ground.holds(head.block)


@pytest.mark.parametrize(
    ("method", "lie", "address"),
    [("eth_call", lambda _: f"0x{MALLORY:064x}", TOKEN), ("eth_getProof", swapped(MALLORY), VAULT)],
)
def test_who_was_caught_with_something_wrong_is_not_asked(method: str, lie: object, address: bytes) -> None:
    pool = StatePool()
    ground = ground_of(pool)
    place = ground.place(Lane.HEAD)
    assert place is not None
    assert ground.means("n2", place) is not None
    pool.answers["n2"] = lying(method, lie, about(address))  # type: ignore[arg-type]
    pool.rounds(8)
    place = ground.place(Lane.HEAD)
    assert place is not None
    assert ground.means("n2", place) is None
    assert ground.means("n1", place) is not None


def test_nothing_is_known_of_a_chain_or_a_node_that_is_not_configured() -> None:
    pool = StatePool()
    ground = ground_of(pool)
    place = ground.place(Lane.HEAD)
    assert place is not None
    assert ground.means("n9", place) is None
    other = ground_of(pool, "other")
    assert other.place(Lane.HEAD) is None
    assert other.means("n1", place) is None
    assert not other.holds(place.block)
