"""The situations that the truth rule was written for, row by row: the grade, and all that is said."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from tests.support.pool import settings_for
from tests.support.ticking import Ticking, fails

from tocsin.clock import NS
from tocsin.model.alert import Grade

Said = set[tuple[str, str, str]]


def nothing_happens(_pool: Ticking) -> None:
    return


def leave(*names: str) -> Callable[[Ticking], None]:
    """Let nodes follow another branch."""

    def happen(pool: Ticking) -> None:
        pool.chain.fork("bad")
        for name in names:
            pool.nodes[name].view.branch = "bad"

    return happen


def fall_silent(*names: str) -> Callable[[Ticking], None]:
    def happen(pool: Ticking) -> None:
        for name in names:
            pool.answers[name] = fails()

    return happen


def leave_at_a_fork(*names: str) -> Callable[[Ticking], None]:
    """Let nodes follow another branch in the hour of a scheduled fork."""

    def happen(pool: Ticking) -> None:
        chain = replace(pool.settings.chains[0], forks=(("next", pool.clock.wall_ns() // NS),))
        pool.reload(replace(pool.settings, chains=(chain,)))
        leave(*names)(pool)

    return happen


@dataclass(frozen=True, kw_only=True)
class Row:
    pool: str
    """The provider of each node n0, n1, ... in order."""
    happens: Callable[[Ticking], None] = nothing_happens
    grade: Grade
    said: Said
    own: tuple[int, ...] = (0,)


SPLIT: Said = {("pool.split", "sim", "critical")}
TABLE = {
    "three groups, two against one": Row(
        pool="abc", happens=leave("n2"), grade=Grade.QUORUM, said={("node.fork", "n2", "warning")}
    ),
    "three nodes of two providers, one against one": Row(
        pool="abb", happens=leave("n1", "n2"), grade=Grade.SPLIT, said=SPLIT
    ),
    "three nodes of two providers, two against one of the same": Row(
        pool="abb", happens=leave("n2"), grade=Grade.SPLIT, said=SPLIT
    ),
    "two groups agree": Row(pool="ab", grade=Grade.QUORUM, said=set()),
    "two groups disagree": Row(pool="ab", happens=leave("n1"), grade=Grade.SPLIT, said=SPLIT),
    "two groups, one silent": Row(
        pool="ab",
        happens=fall_silent("n1"),
        grade=Grade.UNCORROBORATED,
        said={("node.unreachable", "n1", "info"), ("pool.quorum_lost", "sim", "warning")},
    ),
    "one group": Row(pool="aa", grade=Grade.UNCORROBORATED, said=set()),
    "one group, one of its nodes silent": Row(
        pool="aaa", happens=fall_silent("n2"), grade=Grade.UNCORROBORATED, said={("node.unreachable", "n2", "info")}
    ),
    "all unreachable at once": Row(
        pool="abc",
        happens=fall_silent("n0", "n1", "n2"),
        grade=Grade.BLIND,
        said={("pool.blind", "sim", "critical")},
    ),
    "two against one at a scheduled fork": Row(
        pool="abc", happens=leave_at_a_fork("n2"), grade=Grade.SPLIT, said=SPLIT
    ),
    "three against two at a scheduled fork": Row(
        pool="abcde", happens=leave_at_a_fork("n3", "n4"), grade=Grade.SPLIT, said=SPLIT
    ),
    "four against one at a scheduled fork": Row(
        pool="abcde", happens=leave_at_a_fork("n4"), grade=Grade.QUORUM, said={("node.fork", "n4", "warning")}
    ),
}


@pytest.mark.parametrize("situation", TABLE)
def test_each_situation_has_its_grade_and_all_its_alerts(situation: str) -> None:
    row = TABLE[situation]
    pool = Ticking(settings_for(tuple(row.pool), own=row.own))
    pool.rounds(20)
    before = pool.state.chains["sim"].head.block
    row.happens(pool)
    pool.rounds(36)
    head = pool.state.chains["sim"].head
    assert (head.grade, pool.fired()) == (row.grade, row.said)
    assert before is not None
    assert head.block is not None
    moves = row.grade is Grade.QUORUM or len(set(row.pool)) == 1
    assert (head.block.number - before.number > 3) == moves, "what is not agreed is frozen"


def test_a_silence_and_a_disagreement_are_told_apart() -> None:
    assert TABLE["two groups, one silent"].said.isdisjoint(TABLE["two groups disagree"].said)
