"""Several time servers: a minority that lies moves nothing, a majority decides, and a draw decides nothing."""

from hypothesis import given
from hypothesis import strategies as st

from tocsin.clock import MS, NS
from tocsin.engine.timesources import agree_on_time
from tocsin.model.host import ClockSample


def said(server: str, offset_ms: int, distance_ms: int = 10) -> ClockSample:
    return ClockSample(server=server, offset_ns=offset_ms * MS, distance_ns=distance_ms * MS, stratum=2)


def test_no_server_no_time() -> None:
    assert agree_on_time([]).offset_ns is None
    assert agree_on_time([ClockSample(server="a", problem="x")]).offset_ns is None


def test_one_server_is_believed_and_two_that_contradict_each_other_are_not() -> None:
    assert agree_on_time([said("a", 700)]).offset_ns == 700 * MS
    assert agree_on_time([said("a", 700), said("b", 0)]).offset_ns is None
    assert agree_on_time([said("a", 700), said("b", 710)]).offset_ns == 705 * MS


def test_a_falseticker_is_named_and_counts_for_nothing() -> None:
    verdict = agree_on_time([said("a", 2), said("b", 4_000), said("c", 6), ClockSample(server="d", problem="x")])
    assert (verdict.offset_ns, verdict.false) == (4 * MS, ("b",))


def test_a_server_that_claims_nothing_hides_nobody() -> None:
    """An interval of a second covers everything: the majority still lies where the sharp ones agree."""
    verdict = agree_on_time([said("wide", 500, 1_000), said("a", 0, 1), said("b", 1, 1)])
    assert verdict.offset_ns is not None
    assert verdict.distance_ns == MS
    assert verdict.false == ()


@given(
    true_ns=st.integers(-(10**12), 10**12),
    noise=st.lists(st.integers(-20, 20), min_size=2, max_size=6),
    lies=st.lists(st.integers(1_000, 10**6), max_size=5),
)
def test_a_minority_of_liars_moves_the_time_by_no_more_than_the_honest_doubt(
    true_ns: int, noise: list[int], lies: list[int]
) -> None:
    honest = [
        ClockSample(server=f"h{at}", offset_ns=true_ns + each * MS, distance_ns=20 * MS)
        for at, each in enumerate(noise)
    ]
    liars = [
        ClockSample(server=f"l{at}", offset_ns=true_ns + each * MS, distance_ns=20 * MS)
        for at, each in enumerate(lies[: len(honest) - 1])
    ]
    verdict = agree_on_time([*honest, *liars])
    assert verdict.offset_ns is not None
    assert abs(verdict.offset_ns - true_ns) <= 20 * MS
    assert set(verdict.false) == {one.server for one in liars}


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 2_000)), max_size=9))
def test_the_order_of_the_servers_is_no_matter(pairs: list[tuple[int, int]]) -> None:
    samples = [said(f"s{at}", offset, distance) for at, (offset, distance) in enumerate(pairs)]
    assert agree_on_time(samples) == agree_on_time(samples[::-1])
    verdict = agree_on_time(samples)
    if verdict.offset_ns is not None:
        true = [one for one in samples if one.server not in verdict.false]
        assert 2 * len(true) > len(samples)
        assert min(one.offset_ns for one in true) <= verdict.offset_ns <= max(one.offset_ns for one in true)
        assert abs(verdict.offset_ns) < 10**6 * NS
