"""How many blocks are asked about at once finds what a node takes, and stays within bounds whatever it says."""

from hypothesis import given
from hypothesis import strategies as st

from tocsin.chain.logspan import Span, refused, served


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9_000))), st.integers(1, 10_000))
def test_a_span_is_never_below_one_nor_above_the_most(answers: list[tuple[bool, int]], size: int) -> None:
    span = Span(size=size)
    for good, logs in answers:
        asked = span.size
        span = served(span, asked, logs) if good else refused(span, asked)
        assert 1 <= span.size <= span.most
        assert span.size >= asked if good and logs <= 2_000 else span.size <= asked
        if (not good or logs > 2_000) and asked > 1:
            assert span.size <= asked // 2


@given(st.integers(1, 12_000), st.integers(1, 10_000))
def test_a_limit_is_found_and_seldom_tried_again(limit: int, size: int) -> None:
    span, refusals = Span(size=size), 0
    for turn in range(400):
        if span.size > limit:
            refusals += turn >= 100
            span = refused(span, span.size)
        else:
            span = served(span, span.size, 10)
    assert span.size * 4 >= min(limit, span.most)
    assert refusals <= 300 / 9


def test_a_range_with_many_logs_does_not_grow_and_a_short_rest_of_a_range_teaches_nothing() -> None:
    span = Span(size=100)
    assert served(span, 100, 1_000).size == 200
    assert served(span, 100, 1_001).size == served(span, 100, 2_000).size == 100
    assert served(span, 100, 2_001).size == 50
    assert served(span, 100, 2_001).refused is None
    assert served(Span(size=1), 1, 9_000).size == 1
    assert served(span, 100, 100).size == 200
    assert served(span, 99, 0) == span


def test_what_was_refused_is_not_asked_again_at_once() -> None:
    span = refused(Span(size=1_000), 1_000)
    sizes = []
    for _ in range(10):
        sizes.append(span.size)
        span = served(span, span.size, 0)
    assert max(sizes) < 1_000
    assert sizes[-1] > 800
