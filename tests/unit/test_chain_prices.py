"""Uniswap's own arithmetic, what several sources say of one price, and which rounds can follow which."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.chain import pools, rounds
from tocsin.chain.consensus import agreed
from tocsin.model.block import BlockRef
from tocsin.model.evolve import evolve
from tocsin.model.feed import FeedRecord, Quote, Role, Round
from tocsin.model.price import fraction

# -- pools


@given(st.integers(-pools.MAX_TICK, pools.MAX_TICK))
def test_the_root_of_a_price_is_that_of_the_tick(tick: int) -> None:
    with localcontext() as context:
        context.prec = 100
        right = (Decimal("1.0001") ** tick).sqrt() * 2**96
        # The contract rounds up, and its steps are rounded.
        assert abs(Decimal(pools.sqrt_ratio(tick)) - right) <= right / 10**18 + 1


def test_the_ends_of_the_ticks_are_those_of_the_contract() -> None:
    # As TickMath.sol has them, MIN_SQRT_RATIO and MAX_SQRT_RATIO.
    assert pools.sqrt_ratio(-pools.MAX_TICK) == pools.MIN_SQRT == 4295128739
    assert pools.sqrt_ratio(pools.MAX_TICK) == 1461446703485210103287273052203988822378723970342
    with pytest.raises(ValueError, match="beyond"):
        pools.sqrt_ratio(pools.MAX_TICK + 1)


def test_roots_near_a_price_of_one_are_exact_and_rounded_up() -> None:
    # 2^96 times the root of 1.0001, and of its inverse, each rounded up, in the arithmetic of the contract.
    assert [pools.sqrt_ratio(tick) for tick in (-1, 0, 1)] == [
        79224201403219477170569942574,
        2**96,
        79232123823359799118286999568,
    ]


def test_a_mean_tick_is_rounded_down_as_the_library_does() -> None:
    assert (pools.mean_tick(-7, 2), pools.mean_tick(7, 2), pools.mean_tick(-8, 2)) == (-4, 3, -4)


def test_the_mean_liquidity_is_harmonic() -> None:
    # A tenth of the time with a tenth of the liquidity: OracleLibrary.consult
    crowd = (90 << 128) // 10**20 + (10 << 128) // 10**19
    assert pools.mean_liquidity(100, crowd) == pytest.approx(100 * 10**20 // 190, rel=1e-9)
    assert pools.mean_liquidity(100, 0) == 0
    assert pools.mean_liquidity(1, 1) == (2**160 - 1) // 2**32
    assert isinstance(pools.mean_liquidity(3, 7 << 128), int)
    assert pools.mean_liquidity(2**32, 1) == 2**160 - 1


def test_a_price_is_of_whole_tokens_whatever_their_decimals() -> None:
    assert pools.price(2**96, 18, 18) == 1
    assert pools.price(2**96, 18, 6) == 10**12
    assert pools.reserve_price(2 * 10**18, 6_000 * 10**6, 18, 6) == 3_000
    assert pools.reserve_price(0, 5, 18, 6) is None
    assert pools.reserve_liquidity(4, 9) == 6


# -- several sources


def quote(source: str, value: str, provider: str = "", role: Role = Role.MARKET, **more: bool) -> Quote:
    return Quote(
        source=source,
        prices="a/b",
        provider=provider or source,
        role=role,
        value=value,
        **{"is_usable": True, **more},
    )


def test_two_voices_agree_on_nothing_however_many_sources_they_are() -> None:
    found = agreed([quote("a", "1"), quote("b", "2", "x"), quote("c", "3", "x"), quote("d", "9", "x")], "a/b")
    assert (found.value, found.voices) == (None, 2)
    assert found.off_bps("1") is None


def test_sources_of_one_provider_are_one_voice_their_median() -> None:
    found = agreed([quote("a", "1"), quote("b", "1.1"), *(quote(f"c{at}", "9", "x") for at in range(7))], "a/b")
    assert (found.value, found.voices) == ("1.1", 3)


def test_it_is_told_how_far_a_price_is_off_and_how_far_the_voices_are_apart() -> None:
    found = agreed([quote("a", "100"), quote("b", "101"), quote("c", "98")], "a/b")
    assert (found.prices, found.value, found.voices, found.spread_bps) == ("a/b", "100", 3, 200)
    assert (found.off_bps("105"), found.off_bps("90"), found.off_bps("100")) == (500, 1_000, 0)
    none = agreed([], "a/b")
    assert (none.prices, none.value, none.voices, none.spread_bps) == ("a/b", None, 0, 0)


def test_what_cannot_be_used_or_prices_something_else_has_no_voice() -> None:
    quotes = [quote("a", "1"), quote("b", "1"), quote("c", "1", is_usable=False)]
    assert agreed(quotes, "a/b").voices == 2
    assert agreed(quotes, "c/d").voices == 0


def test_of_a_role_only_those_that_have_it_are_asked() -> None:
    quotes = [*(quote(str(at), "1") for at in range(3)), quote("o", "2", role=Role.ORACLE)]
    assert agreed(quotes, "a/b", Role.MARKET).value == "1"
    assert agreed(quotes, "a/b").voices == 4


@given(
    honest=st.lists(st.integers(990, 1010), min_size=2, max_size=8),
    lie=st.integers(1, 10**12),
)
def test_one_voice_never_moves_the_median_out_of_what_the_others_say(honest: list[int], lie: int) -> None:
    quotes = [quote(f"h{at}", str(value)) for at, value in enumerate(honest)] + [quote("liar", str(lie))]
    value = agreed(quotes, "a/b").value
    assert value is not None
    assert min(honest) <= fraction(value) <= max(honest)


# -- rounds

BLOCK = BlockRef(number=1, hash="0x" + "00" * 32)
PHASE = 1 << 64


def one(number: int, answer: str = "2000", updated_s: int = 100) -> Round:
    return Round(number=str(number), answer=answer, updated_s=updated_s, started_s=updated_s, block=BLOCK)


def after(*each: Round) -> FeedRecord:
    return rounds.followed(FeedRecord(identity="x"), *each)


def reason(*each: Round) -> str:
    found = after(*each).regress
    return "" if found is None else found.reason


def test_rounds_follow_by_rising_number_and_each_tells_how_far_it_moved() -> None:
    record = after(one(PHASE + 1), one(PHASE + 2, "2100", 200), one(PHASE + 9, "1050", 300))
    assert [each.moved_bps for each in record.rounds] == [0, 500, 5_000]
    assert record.regress is None


def test_the_same_round_read_again_is_no_other_one() -> None:
    record = after(one(1), one(1))
    assert (len(record.rounds), record.regress) == (1, None)


@pytest.mark.parametrize(
    ("fresh", "said"),
    [
        (one(PHASE + 4), "round 4 of phase 1 came after round 5 of phase 1"),
        (one(5), "round 5 came after round 5 of phase 1"),
        (one(PHASE + 5, "2001"), "round 5 of phase 1 says 2001 and said 2000 before"),
        (one(PHASE + 5, updated_s=101), "round 5 of phase 1 is of 101 and was of 100 before"),
        (one(PHASE + 6, updated_s=93), "round 6 of phase 1 is older than round 5 of phase 1, by 7 s"),
        (one(PHASE + 6, updated_s=100), ""),
        (one(2 * PHASE + 1, updated_s=50), ""),
    ],
)
def test_what_cannot_follow_is_told_with_why(fresh: Round, said: str) -> None:
    assert reason(one(PHASE + 5), fresh) == said


def test_what_cannot_follow_is_not_remembered_as_if_it_had_and_stands_until_one_follows() -> None:
    record = after(one(5), one(4), one(3))
    assert [each.number for each in record.rounds] == ["5"]
    assert record.regress is not None
    assert (record.regress.before.number, record.regress.after.number) == ("5", "4")
    assert rounds.followed(record, one(5)).regress is record.regress
    assert rounds.followed(record, one(6)).regress is None


def test_once_all_rounds_are_gone_with_their_blocks_any_round_is_the_first() -> None:
    gone = evolve(after(one(5), one(4)), rounds=())
    assert rounds.followed(gone, one(3)).regress is None


def test_so_many_rounds_are_kept_and_no_more() -> None:
    record = after(*(one(number, updated_s=number) for number in range(1, 60)))
    assert [int(each.number) for each in record.rounds] == list(range(60 - rounds.KEPT, 60))


def test_rounds_between_two_readings_are_named_the_newest_of_them_and_none_across_phases() -> None:
    record = after(one(PHASE + 5))
    assert rounds.missing(record, PHASE + 5, 8) == rounds.missing(record, PHASE + 6, 8) == ()
    assert rounds.missing(record, PHASE + 9, 8) == (PHASE + 6, PHASE + 7, PHASE + 8)
    assert rounds.missing(record, PHASE + 99, 2) == (PHASE + 97, PHASE + 98)
    assert rounds.missing(record, 2 * PHASE + 3, 8) == ()
    assert rounds.missing(FeedRecord(identity="x"), PHASE + 9, 8) == ()


def test_a_rate_is_kept_once_an_hour_for_a_day() -> None:
    record = FeedRecord(identity="x")
    for at_s in range(0, 60 * 3_600, 1_800):
        record = rounds.sampled(record, one(at_s, updated_s=at_s))
    kept = [each.updated_s for each in record.rounds]
    assert kept == list(range(kept[0], 60 * 3_600, 3_600))
    assert len(kept) == 26
    day = rounds.day_before(record.rounds, kept[-1])
    assert [each.updated_s for each in day] == [each for each in kept if kept[-1] - each <= 86_400]


def test_the_phase_is_what_stands_above_the_lower_64_bits() -> None:
    assert (rounds.phase_of(PHASE - 1), rounds.phase_of(6 * PHASE + 21_154)) == (0, 6)
    assert rounds.moved_bps("99", "100") == 100


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3), st.integers(0, 5)), max_size=12))
def test_whatever_comes_what_is_remembered_rises_and_never_changes(told: list[tuple[int, int, int]]) -> None:
    record = FeedRecord(identity="x")
    for number, answer, updated_s in told:
        before = record.rounds
        record = rounds.followed(record, one(number, str(answer), updated_s))
        assert record.rounds[: len(before)] == before or len(before) == rounds.KEPT
    numbers = [int(each.number) for each in record.rounds]
    assert numbers == sorted(set(numbers))
