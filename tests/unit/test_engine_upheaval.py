"""What shakes a whole chain: reorgs deeper than anybody looks back, and splits that an upgrade began."""

from dataclasses import replace

import pytest
from orjson import dumps
from tests.support.pool import settings_for
from tests.support.ticking import Ticking, at_pace

from tocsin.chain.tree import BACKFILL
from tocsin.clock import NS
from tocsin.model.alert import Alert, AlertState, Grade, Severity
from tocsin.model.event import Fetched
from tocsin.model.observation import singles
from tocsin.testing import ChainSpec, SimChain

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


# -- a whole pool that leaves its branch for one whose tip is lower


def to_lower_branch(depth: int, lower: int, *movers: str, watched: int = 200) -> Ticking:
    """Three groups watch a chain; there is a branch that parts `depth` below its head and ends `lower` below it."""
    pool = Ticking(
        settings_for(("a", "b", "c"), slot_s=2),
        spec=ChainSpec(slot_ns=SLOT_NS, seed=5, history=400, finalized_after=256),
    )
    pool.rounds(watched)
    pool.chain.fork("new", depth=depth)
    pool.chain.rollback(lower, branch="new")
    follow(pool, "new", *movers)
    return pool


def is_on_new(pool: Ticking) -> bool:
    head = pool.state.chains["sim"].head.block
    return head is not None and head.hash in {block.hash for block in pool.chain.branch("new").blocks}


@pytest.mark.parametrize(("depth", "lower"), [(10, 3), (40, 10), (60, 30), (150, 60), (150, 90)])
def test_a_quorum_that_moves_to_a_lower_branch_takes_the_agreed_head_with_it_at_once(depth: int, lower: int) -> None:
    pool = to_lower_branch(depth, lower, "n0", "n1")
    asked = len(pool.asked)
    pool.rounds(3)
    assert is_on_new(pool)
    [told] = {one.fingerprint: one for one in reorgs(pool)}.values()
    assert told.severity is Severity.CRITICAL
    reorg = pool.state.chains["sim"].reorg
    assert reorg is not None
    assert min(depth, lower + BACKFILL) - 2 <= reorg.depth <= depth
    assert len(pool.asked) - asked <= 12, "questions"
    assert sum(len(singles(one.call)) for one in pool.asked[asked:]) <= BACKFILL + 16, "headers"
    pool.rounds(12)
    # Who stayed behind is on another branch, for as long as it stays there; nobody is behind.
    assert pool.fired() == {("chain.reorg", "sim", "critical"), ("node.fork", "n2", "critical")}
    follow(pool, "new", "n2")
    pool.rounds(100)
    assert pool.open() == set()
    assert pool.fired() == {("chain.reorg", "sim", "critical"), ("node.fork", "n2", "critical")}


def test_one_group_on_a_lower_branch_moves_nothing_and_is_no_laggard() -> None:
    pool = to_lower_branch(150, 90, "n0")
    pool.rounds(30)
    assert not is_on_new(pool)
    assert reorgs(pool) == []
    assert pool.fired() == {("node.fork", "n0", "critical")}


@pytest.mark.parametrize("fault", ["another chain by height", "the top alone", "nothing"])
def test_a_run_is_believed_as_far_as_it_links(fault: str) -> None:
    pool = to_lower_branch(40, 10, "n0", "n1")
    strangers = SimChain(pool.clock, replace(pool.chain.spec, seed=99))
    others = strangers.branch().blocks[-1:-20:-1]

    def bent(event: Fetched) -> Fetched:
        if fault == "another chain by height" and event.run:
            wrong = [replace(part, result=dumps(block.head())) for part, block in zip(event.run, others, strict=False)]
            return replace(event, run=(event.run[0], *wrong[1:]))
        if event.run:
            return replace(event, run=event.run[:1] if fault == "the top alone" else ())
        return event

    pool.answers_fetch = bent
    pool.rounds(30)
    known = pool.state.chains["sim"].tree.headers
    assert not {block.hash for block in strangers.branch().blocks} & known.keys()
    assert is_on_new(pool)
    reorg = pool.state.chains["sim"].reorg
    assert reorg is not None
    assert reorg.ancestor is not None
    assert ("node.lag", "n0") not in pool.open()


@pytest.mark.parametrize("slot_ns", [NS // 4, NS])
def test_a_quorum_on_a_lower_branch_of_a_fast_chain_is_not_behind_either(slot_ns: int) -> None:
    settings = at_pace(settings_for(("a", "b", "c")), slot_ns)
    pool = Ticking(settings, spec=ChainSpec(slot_ns=slot_ns, seed=5, history=400, finalized_after=256))
    pool.rounds(60)
    pool.chain.fork("new", depth=100)
    pool.chain.rollback(60, branch="new")
    follow(pool, "new", "n0", "n1", "n2")
    pool.rounds(60)
    assert is_on_new(pool)
    assert {detector for detector, _, _ in pool.fired()} == {"chain.reorg"}
