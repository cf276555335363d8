"""Which blocks above the finalized one are kept, and which are final."""

import pytest

from tocsin.chain.logindex import Tally, Touched, merged
from tocsin.chain.logtail import TailBlock, final, is_linked, is_on, kept, total, worst
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef

NOBODY = Tally()


def ref(number: int, branch: str = "") -> BlockRef:
    return BlockRef(number=number, hash=f"0x{number}{branch}")


def block(
    number: int, branch: str = "", *, after: str = "", tally: Tally = NOBODY, grade: Grade = Grade.QUORUM
) -> TailBlock:
    return TailBlock(
        block=ref(number, branch), parent_hash=ref(number - 1, after or branch).hash, tally=tally, grade=grade
    )


TAIL = tuple(block(number) for number in range(10, 15))


def test_what_is_final_is_all_that_leads_from_the_index_to_the_finalized_block() -> None:
    assert final(TAIL, ref(9), ref(12)) == TAIL[:3]
    assert final(TAIL, BlockRef(number=9, hash=""), ref(14)) == TAIL
    assert final(TAIL, ref(11), ref(12)) == TAIL[2:3]


@pytest.mark.parametrize(
    ("tail", "through", "finalized"),
    [
        (TAIL, ref(9), ref(12, "other")),
        (TAIL, ref(9, "other"), ref(12)),
        (TAIL, ref(8), ref(12)),
        (TAIL, ref(9), ref(15)),
        (TAIL, ref(14), ref(14)),
        ((), ref(9), ref(10)),
        ((TAIL[0], TAIL[2]), ref(9), ref(12)),
        ((TAIL[0], block(11, after="other"), TAIL[2]), ref(9), ref(12)),
    ],
)
def test_a_tail_that_does_not_lead_there_gives_nothing(
    tail: tuple[TailBlock, ...], through: BlockRef, finalized: BlockRef
) -> None:
    assert final(tail, through, finalized) is None


def test_what_stands_above_the_block_that_the_chain_goes_on_from_is_dropped() -> None:
    assert kept(TAIL, ref(12)) == TAIL[:3]
    assert kept(TAIL, ref(9)) == ()
    assert is_on(TAIL, ref(12))
    assert not is_on(TAIL, ref(12, "other"))
    assert not is_on(TAIL, ref(15))
    assert not is_on((), ref(12))
    assert is_linked(TAIL)
    assert not is_linked((TAIL[0], TAIL[2]))


def test_what_blocks_add_does_not_depend_on_their_order_and_the_worst_grade_counts() -> None:
    early = Tally(touched={(0, b"a"): Touched(3, 5)}, unreadable={1: 2}, logs=4)
    late = Tally(touched={(0, b"a"): Touched(9, 9), (1, b"b"): Touched(9, 9)}, unreadable={1: 1, 2: 1}, logs=3)
    both = merged(early, late)
    assert both == merged(late, early)
    assert both == Tally(touched={(0, b"a"): Touched(3, 9), (1, b"b"): Touched(9, 9)}, unreadable={1: 3, 2: 1}, logs=7)
    blocks = (block(10, tally=early, grade=Grade.PROVEN), block(11, tally=late, grade=Grade.MAJORITY))
    assert total(blocks) == (both, Grade.MAJORITY)
    assert worst(()) is Grade.PROVEN
    assert worst((Grade.QUORUM, Grade.UNCORROBORATED, Grade.PROVEN)) is Grade.UNCORROBORATED
