"""The price at which an account can be liquidated, against trying every price."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.protocols.aave_v3.critical import Exposure, region
from tocsin.protocols.aave_v3.revisions import REVISIONS
from tocsin.protocols.base import Reach
from tocsin.protocols.prices import LEAST, MOST, first_true, last_true

ASSET = bytes(20)
TRIED = 3_000
"""Prices that are tried; from the last on nothing may change, which the sizes of examples see to."""


def exposures(revision: str, *, both: bool) -> st.SearchStrategy[Exposure]:
    """Accounts whose lines lie among the first few hundred prices."""

    def made(values: tuple[int, ...]) -> Exposure:
        others, average, owed_else, unit, held, threshold, owed = values
        if not both:
            held, owed = (0, owed) if owed % 2 else (held, 0)
        return Exposure(
            revision=REVISIONS[revision],
            collateral=others,
            weighted=others * average // 10,
            debt=owed_else,
            held=held,
            threshold=threshold,
            owed=owed,
            unit=unit,
        )

    sizes = st.integers(0, 2_000), st.integers(10_000, 95_000), st.integers(0, 3_000), st.integers(1, 9)
    amounts = st.integers(0, 60), st.integers(2, 9_500), st.integers(0, 60)
    return st.tuples(*sizes, *amounts).map(made)


@pytest.mark.parametrize("revision", ["1", "8", "9", "11"])
@given(data=st.data())
def test_the_region_of_an_asset_on_one_side_is_what_trying_every_price_finds(
    revision: str, data: st.DataObject
) -> None:
    of = data.draw(exposures(revision, both=False))
    found = region(ASSET, of)
    assert found.exact
    check(of, found.reach, found.edge, found.solid)


@pytest.mark.parametrize("revision", ["1", "8", "9", "11"])
@given(data=st.data())
def test_the_region_of_an_asset_on_both_sides_is_what_trying_every_price_finds(
    revision: str, data: st.DataObject
) -> None:
    of = data.draw(exposures(revision, both=True))
    found = region(ASSET, of)
    if found.exact:
        check(of, found.reach, found.edge, found.solid)
        return
    # What is not exact is still no lie: beyond the edge no price is one, from `solid` on all are.
    assert (found.edge is None) == (found.solid is None)
    if found.edge is not None and found.solid is not None and found.solid > LEAST:
        is_below = found.reach is Reach.BELOW
        for price in range(1, TRIED):
            if (price > found.edge) if is_below else (price < found.edge):
                assert not of.falls(price)
            if (price <= found.solid) if is_below else (price >= found.solid):
                assert of.falls(price)


def check(of: Exposure, reach: Reach, edge: int | None, solid: int | None) -> None:
    falls = [of.falls(price) for price in range(1, TRIED)]
    match reach:
        case Reach.ALWAYS:
            assert all(falls)
        case Reach.NEVER:
            assert not any(falls)
        case Reach.BELOW:
            assert edge is not None
            assert solid is not None
            assert not any(falls[edge:])
            assert all(falls[:solid])
            assert edge >= TRIED or falls[edge - 1]
            assert solid + 1 >= TRIED or solid == edge or not falls[solid]
        case Reach.ABOVE:
            assert edge is not None
            assert solid is not None
            assert not any(falls[: edge - 1])
            assert all(falls[solid - 1 :])
            assert edge >= TRIED or falls[edge - 1]
            assert solid > TRIED or solid == edge or not falls[solid - 2]


@given(low=st.integers(0, 50), high=st.integers(0, 50), edge=st.integers(-2, 60))
def test_halving_finds_the_last_and_the_first_number_that_a_test_holds_for(low: int, high: int, edge: int) -> None:
    below = [number for number in range(low, high + 1) if number <= edge]
    above = [number for number in range(low, high + 1) if number >= edge]
    assert last_true(lambda number: number <= edge, low, high) == (below[-1] if below else None)
    assert first_true(lambda number: number >= edge, low, high) == (above[0] if above else None)


def test_an_asset_that_an_account_does_not_have_changes_nothing_at_any_price() -> None:
    rest: dict[str, Any] = {"revision": REVISIONS["10"], "collateral": 100, "weighted": 80 * 10_000}
    rest |= {"held": 0, "threshold": 0, "owed": 0, "unit": 1}
    assert region(ASSET, Exposure(debt=80, **rest)).reach is Reach.NEVER
    assert region(ASSET, Exposure(debt=81, **rest)).reach is Reach.ALWAYS
    assert MOST > 10**28


def test_the_price_of_an_asset_is_found_in_half_as_many_tries_as_its_bounds_have_bits() -> None:
    tried: list[int] = []

    def falls(price: int) -> bool:
        tried.append(price)
        return price <= 193_749_999_999

    assert last_true(falls, LEAST, MOST) == 193_749_999_999
    assert len(tried) <= MOST.bit_length() // 2
