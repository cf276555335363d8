"""A search of how far back a node answers ends, in few questions, at what the node really has."""

from hypothesis import given
from hypothesis import strategies as st

from tocsin.engine.reach import FIRST_BLOCK, Verdict, depth_at, ended, is_news, narrowed, next_depth
from tocsin.model.traits import Reach

heads = st.integers(2, 30_000_000)
MOST_QUESTIONS = 40


def search(kept: int | None, head: int, reach: Reach | None = None, claimed: int | None = None) -> tuple[Reach, int]:
    """Search a node that keeps `kept` blocks below its head; None keeps all. Return the result and the questions."""
    found, questions = reach or Reach(), 0
    while (depth := next_depth(found, head, claimed)) is not None:
        questions += 1
        assert questions <= MOST_QUESTIONS, (kept, head, found)
        good = kept is None or depth <= kept
        whole = head - depth <= FIRST_BLOCK
        found = narrowed(found, depth, Verdict.GOOD if good else Verdict.REFUSED, whole=whole)
    return found, questions


@given(head=heads, kept=st.integers(0, 40_000_000))
def test_the_depth_is_found_to_an_eighth_and_never_too_deep(head: int, kept: int) -> None:
    found, _ = search(kept, head)
    top = head - FIRST_BLOCK
    assert found.depth is not None
    assert found.depth <= min(kept, top)
    assert found.whole == (kept >= top)
    if not found.whole:
        assert kept - found.depth <= max(1, found.depth // 8)


@given(head=heads, kept=st.integers(0, 40_000_000), most=st.integers(0, 1000))
def test_nothing_deeper_than_the_most_is_ever_tried(head: int, kept: int, most: int) -> None:
    found = Reach()
    while (depth := next_depth(found, head, claimed=head, most=most)) is not None:
        assert depth <= most
        verdict = Verdict.GOOD if depth <= kept else Verdict.REFUSED
        found = narrowed(found, depth, verdict, whole=head - depth <= FIRST_BLOCK)
    assert found.depth is not None
    assert found.depth <= min(most, kept)


@given(head=heads)
def test_an_archive_is_whole_and_a_stateless_node_has_nothing(head: int) -> None:
    assert search(None, head)[0].whole
    assert search(-1, head)[0] == Reach(limit=0)


@given(head=heads, kept=st.integers(0, 40_000_000), claimed=st.integers(0, 40_000_000))
def test_a_claim_helps_where_it_is_true_and_misleads_nobody_where_it_is_not(head: int, kept: int, claimed: int) -> None:
    top = head - FIRST_BLOCK
    claimed = min(claimed, top)
    found, questions = search(kept, head, claimed=claimed)
    assert found.depth is not None
    assert found.depth <= min(kept, top)
    if claimed <= kept:
        assert found.depth >= claimed
        assert questions <= 2


@given(head=heads, kept=st.integers(0, 10_000), now_kept=st.integers(-1, 10_000))
def test_a_result_that_does_not_hold_is_searched_anew_below_it(head: int, kept: int, now_kept: int) -> None:
    first, _ = search(kept, head)
    if first.depth is None or now_kept >= first.depth:
        return
    failed = narrowed(Reach(best=first.depth), first.depth, Verdict.REFUSED, whole=False)
    again, _ = search(now_kept, head, failed)
    assert (again.depth if again.depth is not None else -1) <= now_kept
    result = ended(again, Reach(depth=first.depth, best=first.depth), t_ns=7)
    assert result.best == first.depth
    if result.depth is None or result.depth < first.depth - first.depth // 8:
        assert result.lost_ns == 7


@given(
    verdicts=st.lists(st.tuples(st.integers(0, 10**7), st.sampled_from(list(Verdict)), st.booleans()), max_size=30),
    head=heads,
)
def test_any_sequence_of_answers_leaves_a_sound_result(verdicts: list[tuple[int, Verdict, bool]], head: int) -> None:
    reach = Reach()
    for depth, verdict, whole in verdicts:
        reach = narrowed(reach, depth, verdict, whole=whole)
        assert reach.depth is None or reach.limit is None or reach.depth < reach.limit
        asked = next_depth(reach, head)
        assert asked is None or 0 <= asked <= max(0, head - FIRST_BLOCK) or reach.limit is not None


@given(best=st.integers(0, 10**6), depth=st.none() | st.integers(0, 10**6))
def test_after_a_day_what_is_left_is_what_the_node_has(best: int, depth: int | None) -> None:
    before = Reach(depth=best, best=best)
    lost = ended(Reach(depth=depth), before, t_ns=0)
    later = ended(Reach(depth=depth), lost, t_ns=86_400 * 10**9)
    assert later.lost_ns is None
    assert later.best == (depth if lost.lost_ns is not None else max(best, depth or 0))


def test_news_is_more_than_inexactness() -> None:
    assert not is_news(Reach(depth=127), Reach(depth=112))
    assert is_news(Reach(depth=127), Reach(depth=64))
    assert is_news(Reach(depth=127), Reach())
    assert is_news(Reach(missing=True), Reach(depth=5))
    assert not is_news(Reach(depth=5000, whole=True), Reach(depth=100, whole=True))


def test_depths_count_down_from_the_head_and_never_below_zero() -> None:
    assert depth_at(100, 90) == 10
    assert depth_at(100, 105) == 0


def test_a_reach_is_short_when_it_lost_more_than_it_is_exact() -> None:
    before = Reach(depth=128, best=128, tries=4)
    assert ended(Reach(depth=112), before, t_ns=9) == Reach(depth=112, best=128, tries=5)
    assert ended(Reach(depth=111), before, t_ns=9).lost_ns == 9
    assert ended(Reach(), before, t_ns=9).lost_ns == 9
    assert ended(Reach(), Reach(), t_ns=9) == Reach(tries=1)
    assert ended(Reach(depth=111), Reach(depth=111, best=128, lost_ns=3), t_ns=9).lost_ns == 3
