"""The comparison of head rules: ours is right by hand, never wrong at random, and the page shows what is measured."""

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks._headrules import RULES, Verdict, group_quorum
from benchmarks._pools import BY_HAND, Pool, random_pools
from benchmarks.head_rules import COUNT, SEED, Outcome, hand_table, judge, random_table, scores

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "head-rules.md").read_text()
OURS = "tree and group quorum (Tocsin)"
OTHERS = [name for name in RULES if name != OURS]


def section(name: str) -> str:
    return PAGE.split(f"<!-- {name}: begin -->\n")[1].split(f"\n<!-- {name}: end -->")[0]


@pytest.mark.parametrize("name", BY_HAND)
def test_ours_is_right_about_each_pool_by_hand(name: str) -> None:
    assert judge(BY_HAND[name], group_quorum(BY_HAND[name])) is Outcome.RIGHT


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_rule_is_right_about_all_of_them(name: str) -> None:
    assert any(judge(pool, RULES[name](pool)) is not Outcome.RIGHT for pool in BY_HAND.values())


def everybody_stands(pool: Pool) -> bool:
    return not pool.healthy


def test_ours_is_never_wrong_at_random_and_misses_only_what_no_snapshot_shows() -> None:
    missed = []
    for pool in random_pools(1_500, 7):
        outcome = judge(pool, group_quorum(pool))
        assert outcome in (Outcome.RIGHT, Outcome.MISSED)
        missed += [pool] * (outcome is Outcome.MISSED)
    assert [pool for pool in missed if not everybody_stands(pool)] == []


def test_random_pools_are_a_function_of_their_seed_and_hold_every_kind_of_node() -> None:
    pools = list(random_pools(300, 1))
    assert [pool.heads for pool in pools] == [pool.heads for pool in random_pools(300, 1)]
    assert [pool.heads for pool in pools] != [pool.heads for pool in random_pools(300, 2)]
    for kind in ("liars", "stuck", "healthy"):
        assert sum(bool(getattr(pool, kind)) for pool in pools) > 30
    assert any(len(pool.heads) < len(pool.nodes) for pool in pools)


def test_all_liars_of_a_pool_are_in_one_group_and_show_what_is_not_honest() -> None:
    for pool in random_pools(300, 3):
        assert sum(bool(pool.liars & set(group.nodes)) for group in pool.groups.groups) <= 1
        for name, head in pool.heads.items():
            assert (head.hash in pool.honest) is (name not in pool.liars)


THREE = BY_HAND["1 of 3 forked at the same height"]
GOOD, BAD = THREE.heads["A"].hash, THREE.heads["C"].hash


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict(heads=frozenset({GOOD}), evicted=frozenset("C")), Outcome.RIGHT),
        (Verdict(heads=frozenset({GOOD}), says="split"), Outcome.RIGHT),
        (Verdict(says="no head"), Outcome.RIGHT),
        (Verdict(heads=frozenset({GOOD})), Outcome.MISSED),
        (Verdict(heads=frozenset({GOOD}), evicted=frozenset("AC")), Outcome.EVICTS),
        (Verdict(heads=frozenset({GOOD, BAD}), evicted=frozenset("C"), says="split"), Outcome.LIE),
        (Verdict(heads=frozenset({BAD}), evicted=frozenset("AB")), Outcome.LIE),
    ],
)
def test_a_verdict_is_judged_by_the_worst_of_it(verdict: Verdict, outcome: Outcome) -> None:
    assert judge(THREE, verdict) is outcome


def test_a_pool_without_a_fault_needs_no_word() -> None:
    pool = BY_HAND["normal skew"]
    head = frozenset({pool.heads["A"].hash})
    assert judge(pool, Verdict(heads=head)) is Outcome.RIGHT
    assert judge(pool, Verdict(heads=head, evicted=frozenset("C"))) is Outcome.EVICTS
    assert judge(replace(pool, stuck=frozenset("C")), Verdict(heads=head)) is Outcome.MISSED


def test_the_page_shows_the_pools_by_hand_as_they_are_judged() -> None:
    assert section("by hand") == hand_table(), "run: python -m benchmarks.head_rules --markdown"


def test_the_page_gives_its_random_pools_in_full_and_ours_none_wrong() -> None:
    rows = [line.split(" | ") for line in section("random").splitlines()[2:]]
    assert [row[0].removeprefix("| ") for row in rows] == list(RULES)
    for row in rows:
        assert sum(int(cell.split(" ")[0].replace(",", "")) for cell in row[1:]) == COUNT
    assert rows[-1][3:] == ["0 (0.0%)", "0 (0.0%) |"]


@pytest.mark.slow
def test_the_page_shows_the_random_pools_as_they_are_judged() -> None:
    assert section("random") == random_table(scores(random_pools(COUNT, SEED)))
