"""Prices as exact numbers: as they are kept, compared and told."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.price import BPS, FAREST, bps, decimal, exact, fraction, median, percent, rounded


@given(number=st.integers(-(10**40), 10**40), decimals=st.integers(0, 36))
def test_an_integer_with_decimals_is_told_exactly_and_read_back(number: int, decimals: int) -> None:
    text = exact(number, decimals)
    assert fraction(text) == Fraction(number, 10**decimals)
    assert decimal(text) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2297.50", "2297.5"),
        ("1e-7", "0.0000001"),
        ("1.50E2", "150"),
        ("-0.0", "0"),
        ("0.1", "0.1"),
        ("12.", None),
        (".5", None),
        ("01", None),
        ("1_000", None),
        ("NaN", None),
        ("", None),
        (" 1", None),
        ("1e99", None),
        ("9" * 200, None),
        ("\u0661", None),
    ],
)
def test_a_number_is_kept_in_one_way_and_nothing_else_is_one(text: str, kept: str | None) -> None:
    assert decimal(text) == kept


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="no decimal number"):
        fraction("0x10")


@given(top=st.integers(1, 10**30), bottom=st.integers(1, 10**30))
def test_a_ratio_is_rounded_down_and_off_by_less_than_what_anybody_means(top: int, bottom: int) -> None:
    ratio = Fraction(top, bottom)
    kept = fraction(rounded(ratio))
    assert kept <= ratio
    assert (ratio - kept) / ratio < Fraction(1, 10**16)


@given(part=st.fractions(0, 10**9), whole=st.fractions(Fraction(1, 10**6), 10**9))
def test_basis_points_are_hundredths_of_a_per_cent_of_the_second_rounded_down(part: Fraction, whole: Fraction) -> None:
    points = bps(part, whole)
    assert points <= abs(part - whole) * BPS / whole
    assert points == FAREST or abs(part - whole) * BPS / whole < points + 1


def test_a_price_of_nothing_is_as_far_off_as_can_be_told() -> None:
    assert bps(Fraction(1), Fraction(0)) == FAREST
    assert bps(Fraction(0), Fraction(0)) == 0


@pytest.mark.parametrize(("points", "text"), [(50, "0.5 %"), (7, "0.07 %"), (1219, "12.19 %"), (300, "3 %")])
def test_basis_points_are_told_as_per_cent(points: int, text: str) -> None:
    assert percent(points) == text


@given(st.lists(st.fractions(1, 100), min_size=1, max_size=9))
def test_the_median_has_as_many_above_as_below(numbers: list[Fraction]) -> None:
    middle = median(numbers)
    assert abs(sum(one > middle for one in numbers) - sum(one < middle for one in numbers)) <= sum(
        one == middle for one in numbers
    )
