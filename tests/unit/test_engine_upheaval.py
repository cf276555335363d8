"""What shakes a whole chain: reorgs deeper than anybody looks back, and splits that an upgrade began."""

from dataclasses import replace

import pytest
from tests.support.pool import settings_for
from tests.support.ticking import Ticking

from tocsin.chain.tree import BACKFILL
from tocsin.clock import NS
from tocsin.model.alert import Alert, AlertState, Grade, Severity
from tocsin.testing import ChainSpec

SLOT_NS = 2 * NS


def pool_of(providers: tuple[str, ...] = ("a", "b", "c"), *, upgrade_in_s: int | None = None) -> Ticking:
    """Nodes on a chain of two seconds, polled as often; an upgrade, if any, some time after the start."""
    settings = settings_for(providers, slot_s=2)
    if upgrade_in_s is not None:
        wall_s = Ticking(settings, spec=ChainSpec(slot_ns=SLOT_NS)).clock.wall_ns() // NS
        chain = replace(settings.chains[0], forks=(("upgrade", wall_s + upgrade_in_s),), epoch_slots=16)
        settings = replace(settings, chains=(chain,))
    return Ticking(settings, spec=ChainSpec(slot_ns=SLOT_NS, seed=5, history=400))


def reorgs(pool: Ticking) -> list[Alert]:
    return [one for one in pool.alerts if one.detector == "chain.reorg" and one.state is AlertState.FIRING]


def follow(pool: Ticking, branch: str, *nodes: str) -> None:
    for name in nodes:
        pool.nodes[name].view.branch = branch


@pytest.mark.parametrize("depth", [3, BACKFILL - 4, BACKFILL + 4, 200])
def test_a_reorg_of_any_depth_is_told_with_what_is_known_of_it(depth: int) -> None:
    pool = pool_of()
    pool.rounds(100)
    pool.chain.fork("new", depth=depth)
    follow(pool, "new", "n0", "n1", "n2")
    pool.rounds(60)
    [told] = {one.fingerprint: one for one in reorgs(pool)}.values()
    assert told.severity is (Severity.CRITICAL if depth >= 7 else Severity.WARNING)
    reorg = pool.state.chains["sim"].reorg
    assert reorg is not None
    # The head may have advanced by a block or two on the old branch's side of the count.
    assert min(depth, BACKFILL) - 2 <= reorg.depth <= depth + 2
    assert (reorg.ancestor is None) is (depth > BACKFILL)
    assert ("at least" in told.summary) is (depth > BACKFILL)


@pytest.mark.parametrize("missed_slots", [10, 70, 300])
def test_a_gap_that_was_not_watched_is_no_reorg(missed_slots: int) -> None:
    pool = pool_of()
    pool.rounds(40)
    pool.clock.advance(ns=missed_slots * SLOT_NS)
    pool.rounds(60)
    assert reorgs(pool) == []
    assert pool.state.chains["sim"].reorg is None


def grades_after_upgrade(*, split_at: int, upgrade_in_s: int | None) -> list[Grade]:
    """Two of three follow a wrong branch from a round on; return the grades of the last rounds, an hour later."""
    pool = pool_of(upgrade_in_s=upgrade_in_s)
    pool.rounds(split_at)
    pool.chain.fork("wrong", depth=1)
    follow(pool, "wrong", "n1", "n2")
    pool.rounds(300)
    return pool.grades[-100:]


def test_a_split_that_an_upgrade_began_outlasts_the_upgrade() -> None:
    # 32 slots of 2 s before and after it: the window is over long before the end.
    assert set(grades_after_upgrade(split_at=40, upgrade_in_s=60)) == {Grade.SPLIT}


def test_without_an_upgrade_near_two_of_three_are_a_quorum() -> None:
    assert set(grades_after_upgrade(split_at=40, upgrade_in_s=None)) == {Grade.QUORUM}
    assert set(grades_after_upgrade(split_at=150, upgrade_in_s=60)) == {Grade.QUORUM}


def test_a_split_of_an_upgrade_that_heals_leaves_nothing_raised_for_ever() -> None:
    pool = pool_of(upgrade_in_s=60)
    pool.rounds(40)
    pool.chain.fork("wrong", depth=1)
    follow(pool, "wrong", "n1", "n2")
    pool.rounds(60)
    assert pool.grades[-1] is Grade.SPLIT
    follow(pool, "main", "n1", "n2")
    pool.rounds(200)
    assert set(pool.grades[-20:]) == {Grade.QUORUM}
    pool.chain.fork("later", depth=1)
    follow(pool, "later", "n1", "n2")
    pool.rounds(60)
    assert pool.grades[-1] is Grade.QUORUM
