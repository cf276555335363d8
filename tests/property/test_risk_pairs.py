"""Isolated markets by search: the same counts as the kernels', pair by pair, near the line and at prices of zero."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.books import column, columns
from tests.support.kernels import KERNELS

from tocsin.risk.book import Book
from tocsin.risk.columns import Band
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import Kernel
from tocsin.risk.pairs import pair_index, stress_pairs
from tocsin.risk.plain import PLAIN
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.stress import stress
from tocsin.risk.table import Legs

MARKETS = 3
NAMES = [name for at in range(MARKETS) for name in (f"coin{at}/m{at}", f"usd/m{at}")]


def market(seed: int, accounts: int, step: int = 1) -> tuple[Book, Factors]:
    """Accounts of three pair markets, a tenth of them on the line at one of the scenarios, and some of other shapes."""
    random = np.random.default_rng(seed)
    made = []
    for at in range(MARKETS):
        price = Fraction(random.lognormal(3, 1))
        made += [
            column(NAMES[2 * at], price * Fraction(4, 5), price, 0, step),
            column(NAMES[2 * at + 1], 0, 1, 1, step),
        ]
    all_ = {}
    for at in range(accounts):
        one = 2 * int(random.integers(MARKETS))
        collateral = int(random.lognormal(25, 3)) + 1
        on_line = made[one].collateral or Fraction(0)
        at_ratio = Fraction(9, 10) if at % 10 == 0 else Fraction(random.uniform(0.2, 1.05))
        debt = int(collateral * on_line * at_ratio) + 1
        legs = Legs(collateral={one: collateral}, debt={one + 1: debt})
        if at % 23 == 0:
            legs = Legs(collateral={one: collateral, (one + 2) % 6: 1000}, debt={one + 1: debt})
        all_[at.to_bytes(20)] = legs if at % 29 else Legs(collateral={}, debt={one + 1: debt})
    return Book.of(NAMES, all_), Factors.of(columns(made, Band(constant=Fraction(2))))


def same(book: Book, factors: Factors, scenarios: Scenarios, kernel: Kernel) -> int:
    index = pair_index(book, factors, kernel)
    found, expected = stress_pairs(index, scenarios, kernel), stress(book, factors, scenarios, kernel)
    for name in ("liquidatable", "unsure", "hits", "unjudged", "pairs"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    for name in ("collateral", "debt"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, err_msg=name)
    limit = 1e-9 * (expected.debt + 1)
    assert (abs(found.bad_debt - expected.bad_debt) <= limit).all()
    return sum(len(pair.rows) for pair in index.pairs)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_a_search_counts_what_the_kernel_counts(kernel: Kernel) -> None:
    book, factors = market(1, 2000)
    random = np.random.default_rng(2)
    multiples = np.exp(random.normal(0, 0.3, (300, len(factors.assets))))
    multiples[:5] = [[0.9, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert same(book, factors, Scenarios(multiples=multiples, assets=factors.assets), kernel) > 1500


@given(
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 10**6]),
    st.lists(st.lists(st.sampled_from([0.0, 1e-9, 0.5, 0.9, 1.0, 1.1, 1e9]), min_size=4, max_size=4), max_size=6),
)
def test_odd_prices_and_wide_bands_change_nothing(seed: int, step: int, rows: list[list[float]]) -> None:
    book, factors = market(seed, 40, step)
    same(book, factors, Scenarios(multiples=np.array(rows).reshape(-1, 4), assets=factors.assets), PLAIN)


def test_accounts_planted_on_the_line_of_a_scenario_are_unsure_there_and_nowhere_else() -> None:
    made = [column("coin", Fraction(1, 2), 1, 0), column("usd", 0, 1, 1)]
    all_ = {at.to_bytes(20): Legs(collateral={0: 2 * 10**12}, debt={1: 5 * 10**11 + at - 50}) for at in range(100)}
    book, factors = Book.of(("coin", "usd"), all_), Factors.of(columns(made))
    scenarios = Scenarios.of(factors, [{"coin": 0.5}, {"coin": 0.5 + 1e-9}, {"coin": 0.5 - 1e-9}])
    found = stress_pairs(pair_index(book, factors), scenarios)
    assert found.liquidatable.tolist() == [49, 0, 100]
    assert found.unsure.tolist() == [5, 0, 0]
    assert found.evaluated == 0
