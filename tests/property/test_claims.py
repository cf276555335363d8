"""What one lying group can do to a chain whose headers nobody can verify, though the chain's headers should."""

from collections import deque
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.support.chains import chain, name

from tocsin.chain.tree import HeaderTree, credible, insert, parent, relation, settled
from tocsin.model.block import Header, Verification

FIRST = 100
HONEST = [replace(block, verification=Verification.CANNOT_VERIFY) for block in chain(FIRST, FIRST + 5)]
RING = 1


def child(block: Header, salt: int) -> Header:
    made_up = replace(block, number=block.number + 1, parent_hash=block.hash, hash=name(f"child {salt} {block.hash}"))
    return replace(made_up, verification=Verification.MATCH)


def retold(block: Header, salt: int) -> Header:
    changes = ({"parent_hash": name(f"x{salt}")}, {"number": block.number - 3}, {"state_root": name("y")})
    return replace(block, **changes[salt % 3])  # type: ignore[arg-type]


class World:
    """Three honest groups and a lying one, and what each has shown lately."""

    def __init__(self) -> None:
        self.tree = replace(insert(HeaderTree(), HONEST[0]), verifies=True)
        self.rings: list[deque[Header]] = [deque(maxlen=RING) for _ in range(4)]
        self.sure: set[str] = set()
        self.heads = [HONEST[0]] * 3

    def show(self, who: int, head: Header) -> None:
        self.tree = insert(self.tree, head)
        if head.verification is not Verification.MATCH:
            self.rings[who].append(head)
        self.tree = settled(self.tree, [[tuple(ring)] for ring in self.rings])

    def honest(self, who: int, at: int) -> None:
        self.heads[who] = HONEST[at]
        self.show(who, HONEST[at])
        if sum(HONEST[at] in ring for ring in self.rings[:3]) > 1:
            self.sure.add(HONEST[at].hash)

    def answer(self, header: Header) -> None:
        if credible(self.tree, header):
            self.tree = insert(self.tree, header)


places = st.integers(0, 5)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("honest"), st.integers(0, 2), places),
        st.tuples(st.just("fetched"), st.integers(0, 2), places),
        st.tuples(st.just("child"), st.integers(0, 9), places),
        st.tuples(st.just("answer"), st.integers(0, 9), places),
        st.tuples(st.just("retold"), st.integers(0, 9), places),
    ),
    min_size=20,
    max_size=60,
)


def play(script: list[tuple[str, int, int]], kinds: set[str]) -> World:
    world = World()
    for kind, salt, at in script:
        if kind not in kinds:
            continue
        match kind:
            case "honest":
                world.honest(salt, at)
            case "fetched":
                world.answer(HONEST[at])
            case "child":
                world.show(3, child(HONEST[at], salt))
            case "retold":
                world.show(3, retold(HONEST[at], salt))
            case _ if HONEST[at].hash in world.tree.headers:
                world.answer(retold(HONEST[at], salt))
    return world


@given(moves)
def test_nothing_that_one_builds_on_others_blocks_or_answers_for_them_changes_how_they_stand(
    script: list[tuple[str, int, int]],
) -> None:
    alone, attacked = play(script, {"honest", "fetched"}), play(script, {"honest", "fetched", "child", "answer"})
    for one in alone.heads:
        for other in alone.heads:
            assert relation(attacked.tree, one, other) == relation(alone.tree, one, other)


@given(moves)
def test_what_two_groups_have_shown_lately_links_whatever_one_says_of_it_before_or_after(
    script: list[tuple[str, int, int]],
) -> None:
    world = play(script, {"honest", "fetched", "child", "answer", "retold"})
    for below, block in pairwise(HONEST):
        if block.hash in world.sure:
            assert (world.tree.headers[block.hash], block.hash in world.tree.contested) == (block, False)
            if below.hash in world.sure:
                assert parent(world.tree, block) == below
