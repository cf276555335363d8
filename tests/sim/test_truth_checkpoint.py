"""What beacon nodes call finalized breaks a tie among execution clients, and makes no quorum of it."""

from dataclasses import replace

from tests.support.beacons import BeaconPool, with_beacons

from tocsin.clock import NS
from tocsin.model.alert import Grade
from tocsin.testing import ChainSpec

SPEC = ChainSpec(slot_ns=2 * NS, history=300)


def parted(*layer: str, **chain: object) -> BeaconPool:
    """Two against two for longer than finality takes; the beacon nodes follow the first two."""
    settings = with_beacons(("a", "b", "c", "d"), layer, slot_s=2)
    settings = replace(settings, chains=(replace(settings.chains[0], **chain),))
    pool = BeaconPool(settings, spec=SPEC)
    pool.rounds(12)
    pool.chain.fork("bad")
    for name in ("n2", "n3"):
        pool.nodes[name].view.branch = "bad"
    pool.rounds(130)
    return pool


def test_a_branch_without_the_finalized_block_of_the_beacon_nodes_is_ruled_out() -> None:
    pool = parted("x", "y", "z")
    head = pool.state.chains["sim"].head
    assert (head.grade, head.voting_groups, head.groups) == (Grade.MAJORITY, 2, 4)
    assert "beacon nodes' finalized block" in head.explanation
    assert head.block is not None
    assert head.block.hash in {block.hash for block in pool.chain.branch().blocks}
    assert set(pool.state.chains["sim"].ruled_out) == {"n2", "n3"}


def test_without_the_tie_breaker_the_pool_stays_split() -> None:
    assert parted("x", "y", "z", tie_break=("validity",)).state.chains["sim"].head.grade is Grade.SPLIT
