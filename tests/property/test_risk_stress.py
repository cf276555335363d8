"""Sweeps count what real numbers say, whichever backend, block size, order of scenarios or number of threads."""

import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.books import NAMES, accounts, column, columns, columns_of_any_price, deltas, exact_sums, shocked
from tests.support.kernels import KERNELS, NEEDS_NUMBA, compiled

from tocsin.risk.backend import Backend, Wanted, backend, may_make_code
from tocsin.risk.book import Book, Deltas, apply
from tocsin.risk.columns import Columns
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import Kernel
from tocsin.risk.plain import PLAIN
from tocsin.risk.scenarios import LANES, LEAF, Scenarios
from tocsin.risk.stress import StressReport, stress, worst
from tocsin.risk.table import Legs

MULTIPLES = st.sampled_from([0.0, 0.5, 0.8, 0.9, 0.99, 1.0, 1.01, 1.2, 2.0]) | st.floats(0, 4)
TOTALS = ("collateral", "debt", "bad_debt")


def scenarios_of(width: int = 3, most: int = 6) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(MULTIPLES, min_size=width, max_size=width), min_size=1, max_size=most)


def of(factors: Factors, rows: list[list[float]]) -> Scenarios:
    return Scenarios(multiples=np.array(rows), assets=factors.assets)


def same(one: StressReport, other: StressReport) -> None:
    for name in ("liquidatable", "unsure", "hits", "unjudged"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in TOTALS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-9)


def wide_book(seed: int, rows: int = 400, width: int = 256) -> tuple[Book, Factors]:
    random = np.random.default_rng(seed)

    def side() -> dict[int, int]:
        held = random.choice(width, size=int(random.integers(0, 9)), replace=False)
        return {int(at): int(random.lognormal(20, 2)) for at in held}

    names = [f"asset{at % 40}/set{at}" for at in range(width)]
    all_ = {at.to_bytes(20): Legs(collateral=side(), debt=side(), always_exact=at % 97 == 0) for at in range(rows)}
    raw = [Fraction(random.lognormal(0, 1)) for _ in names]
    made = [column(name, one * Fraction(4, 5), one, one) for name, one in zip(names, raw, strict=True)]
    return Book.of(names, all_), Factors.of(columns(made))


@NEEDS_NUMBA
@given(accounts(), deltas(), columns_of_any_price() | columns_of_any_price(broken=True))
def test_backends_give_the_same_bits(all_: dict[bytes, Legs], what: Deltas, at_block: Columns) -> None:
    book, factors = apply(Book.of(NAMES, all_), what), Factors.of(at_block)
    one, other = (evaluate(book, factors, kernel) for kernel in (PLAIN, compiled()))
    for name in ("collateral", "raw", "debt", "band"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


@NEEDS_NUMBA
@given(accounts(), deltas(), columns_of_any_price() | columns_of_any_price(broken=True), scenarios_of())
def test_backends_count_the_same(
    all_: dict[bytes, Legs], what: Deltas, at_block: Columns, rows: list[list[float]]
) -> None:
    book, factors = apply(Book.of(NAMES, all_), what), Factors.of(at_block)
    scenarios = of(factors, rows)
    same(stress(book, factors, scenarios), stress(book, factors, scenarios, compiled()))
    one, other = (worst(book, factors, scenarios, kernel) for kernel in (PLAIN, compiled()))
    assert np.array_equal(one.ratio, other.ratio, equal_nan=True)
    assert np.array_equal(one.scenario, other.scenario)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("volatility", [0.001, 0.05, 0.5])
def test_neither_block_size_nor_order_nor_threads_change_a_count(kernel: Kernel, volatility: float) -> None:
    book, factors = wide_book(1)
    random = np.random.default_rng(2)
    rows = np.exp(random.normal(0, volatility, (LANES + 2 * LEAF + 5, len(factors.assets))))
    scenarios = Scenarios(multiples=rows, assets=factors.assets)
    found = stress(book, factors, scenarios, PLAIN, lanes=3)
    assert found.evaluated < found.pairs
    assert found.liquidatable.sum() > 0
    for lanes in (7, LEAF + 1, LANES):
        same(found, stress(book, factors, scenarios, kernel, lanes=lanes))
    with ThreadPoolExecutor(2) as pool:
        same(found, stress(book, factors, scenarios, kernel, mapper=pool.map))
    order = random.permutation(len(rows))
    shuffled = stress(book, factors, Scenarios(multiples=rows[order], assets=factors.assets), kernel)
    assert np.array_equal(shuffled.liquidatable, found.liquidatable[order])
    assert np.array_equal(shuffled.unsure, found.unsure[order])
    assert np.array_equal(shuffled.hits, found.hits)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@given(all_=accounts(most=10), at_block=columns_of_any_price(), rows=scenarios_of(most=4))
def test_counts_are_those_of_real_numbers(
    kernel: Kernel, all_: dict[bytes, Legs], at_block: Columns, rows: list[list[float]]
) -> None:
    book, factors = Book.of(NAMES, all_), Factors.of(at_block)
    found = stress(book, factors, of(factors, rows), kernel)
    judged = [row for row in range(len(book)) if (book.legs(row).debt or book.legs(row).always_exact)]
    judged = [row for row in judged if row not in set(found.unjudged.tolist())]
    for at, row in enumerate(rows):
        then = shocked(at_block, row)
        sums = [exact_sums(book.legs(one), then) for one in judged]
        under = [one for one in sums if one is not None and one[0] < one[2]]
        assert abs(found.liquidatable[at] - len(under)) <= found.unsure[at]
        if not found.unsure[at]:
            assert math.isclose(found.debt[at], sum(one[2] for one in under), rel_tol=1e-9)
            assert math.isclose(found.collateral[at], sum(one[1] for one in under), rel_tol=1e-9)
            bad = sum(max(one[2] - one[1], Fraction(0)) for one in under)
            assert math.isclose(found.bad_debt[at], bad, rel_tol=1e-6, abs_tol=1e-9 * found.debt[at])
    assert found.hits.sum() == found.liquidatable.sum()


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_today_is_a_scenario_like_any_other(kernel: Kernel) -> None:
    book, factors = wide_book(3)
    found = stress(book, factors, Scenarios.of(factors, [{}]), kernel)
    health = evaluate(book, factors, kernel)
    judged = np.isfinite(health.band) & health.is_indebted
    under = judged & (health.collateral < health.debt)
    assert found.liquidatable.tolist() == [under.sum()]
    assert found.debt == pytest.approx([health.debt[under].sum()])
    assert found.unjudged.tolist() == np.flatnonzero(health.is_indebted & ~judged).tolist()


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_the_worst_is_the_lowest_ratio_and_the_first_scenario_that_has_it(kernel: Kernel) -> None:
    book, factors = wide_book(4)
    multiples = np.exp(np.random.default_rng(5).normal(0, 0.2, (100, len(factors.assets))))
    multiples[70] = multiples[20]
    scenarios = Scenarios(multiples=multiples, assets=factors.assets)
    found = worst(book, factors, scenarios, kernel, lanes=30)
    ratios = []
    for row in multiples:
        one = columns_at(factors, row)
        ratios.append(evaluate(book, one, kernel).ratio())
    every = np.array(ratios)
    health = evaluate(book, factors, kernel)
    for at in range(len(book)):
        if not health.is_indebted[at]:
            assert math.isinf(found.ratio[at])
            assert found.scenario[at] == -1
        elif math.isinf(health.band[at]):
            assert math.isnan(found.ratio[at])
        else:
            assert found.ratio[at] == every[:, at].min()
            assert found.scenario[at] == every[:, at].argmin()


def columns_at(factors: Factors, multiples: np.ndarray) -> Factors:
    by_column = multiples[factors.asset]
    vectors = {name: getattr(factors, name) * by_column for name in ("collateral", "raw", "debt")}
    return Factors(**{name: vectors.get(name, getattr(factors, name)) for name in Factors.__slots__})


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_an_empty_book_and_no_scenarios_are_fine(kernel: Kernel) -> None:
    factors = Factors.of(columns([column("a", 1, 1, 1)]))
    empty = Book.of(("a",), {})
    found = stress(empty, factors, Scenarios.of(factors, [{"a": 0.5}]), kernel)
    assert found.liquidatable.tolist() == [0]
    one = Book.of(("a",), {b"\1" * 20: Legs(collateral={}, debt={0: 10})})
    assert stress(one, factors, Scenarios.of(factors, []), kernel).liquidatable.tolist() == []
    assert stress(one, factors, Scenarios.of(factors, [{"a": 0.5}]), kernel).bad_debt.tolist() == [5.0]
    assert not len(evaluate(empty, factors, kernel))


def test_scenarios_that_cannot_be_are_refused() -> None:
    factors = Factors.of(columns([column("a", 1, 1, 1)]))
    with pytest.raises(ValueError, match="no column is of the asset 'b'; there are a"):
        Scenarios.of(factors, [{"b": 1.0}])
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="not within 0"):
            Scenarios.of(factors, [{"a": wrong}])
    with pytest.raises(ValueError, match="scenarios of b for factors of a"):
        stress(Book.of(("a",), {}), factors, Scenarios(multiples=np.ones((1, 1)), assets=("b",)))
    with pytest.raises(ValueError, match=f"{LANES + 1} scenarios in a block"):
        stress(Book.of(("a",), {}), factors, Scenarios.of(factors, [{}]), lanes=LANES + 1)


@NEEDS_NUMBA
def test_the_backend_is_the_compiled_one_unless_it_may_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend() == Backend(kernel=compiled())
    assert backend(Wanted.NUMPY) == Backend(kernel=PLAIN, why="numpy was asked for")
    assert may_make_code()
    monkeypatch.setattr("tocsin.risk.backend.may_make_code", lambda: False)
    assert backend().kernel is PLAIN
    assert "MemoryDenyWriteExecute" in backend().why
