"""A run that is stopped tells the truth about the scenarios it computed, and names them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from tests.support.books import column, columns
from tests.support.kernels import KERNELS, NEEDS_NUMBA, compiled

from tocsin.risk import pairs, warmup
from tocsin.risk.backend import Backend, Wanted
from tocsin.risk.book import Book
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import Kernel
from tocsin.risk.pairs import pair_index, stress_pairs
from tocsin.risk.plain import PLAIN
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.stopping import Switch, deadline, never
from tocsin.risk.stress import StressReport, stress, worst
from tocsin.risk.table import Legs

BY_EACH = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
SCENARIOS = 100
LANES = 16
BY_SCENARIO = ("liquidatable", "unsure", "collateral", "debt", "bad_debt")


def market(accounts: int = 60) -> tuple[Book, Factors]:
    made = [column("coin", Fraction(4, 5), 1, 1), column("usd", Fraction(9, 10), 1, 1)]
    all_ = {
        at.to_bytes(20): Legs(collateral={0: (1000 + at) * 10**9, 1: at % 3}, debt={1: (500 + 7 * at) * 10**9})
        for at in range(accounts)
    }
    return Book.of(("coin", "usd"), all_), Factors.of(columns(made))


def falls(factors: Factors) -> Scenarios:
    multiples = np.exp(np.random.default_rng(1).normal(0, 0.3, (SCENARIOS, len(factors.assets))))
    return Scenarios(multiples=multiples, assets=factors.assets)


def after(asks: int) -> Callable[[], bool]:
    """Return a stop that says so when it was asked so often."""
    asked = iter(range(10**6))
    return lambda: next(asked) >= asks


def is_part_of(part: StressReport, whole: StressReport) -> None:
    assert not part.is_whole
    assert part.asked == len(whole.places) == whole.asked
    assert part.places.tolist() == sorted(set(part.places.tolist()))
    for name in BY_SCENARIO:
        assert np.array_equal(getattr(part, name), getattr(whole, name)[part.places]), name
    assert part.hits.sum() == part.liquidatable.sum()


@BY_EACH
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_a_stopped_sweep_holds_what_it_computed_and_says_of_which_scenarios(kernel: Kernel, blocks: int) -> None:
    book, factors = market()
    whole = stress(book, factors, falls(factors), kernel, lanes=LANES)
    assert whole.is_whole
    assert whole.places.tolist() == list(range(SCENARIOS))
    part = stress(book, factors, falls(factors), kernel, lanes=LANES, stop=after(blocks))
    assert len(part.places) == blocks * LANES
    assert part.pairs == blocks * LANES * len(book)
    assert not blocks or part.liquidatable.sum() > 0
    is_part_of(part, whole)


@BY_EACH
def test_a_switch_ends_what_other_threads_compute(kernel: Kernel) -> None:
    book, factors = market()
    switch = Switch()

    def stop() -> bool:
        asked.append(switch())
        if len(asked) == 3:
            switch.set()
        return asked[-1]

    asked: list[bool] = []
    with ThreadPoolExecutor(2) as pool:
        part = stress(book, factors, falls(factors), kernel, lanes=LANES, mapper=pool.map, stop=stop)
    assert 0 < len(part.places) < SCENARIOS
    is_part_of(part, stress(book, factors, falls(factors), kernel, lanes=LANES))


@BY_EACH
def test_the_worst_of_a_stopped_run_is_that_of_what_was_computed(kernel: Kernel) -> None:
    book, factors = market()
    found = worst(book, factors, falls(factors), kernel, lanes=LANES, stop=after(2))
    first = worst(book, factors, falls(factors).part(0, 2 * LANES), kernel)
    assert (found.computed, found.asked) == (2 * LANES, SCENARIOS)
    assert (first.computed, first.asked) == (2 * LANES, 2 * LANES)
    assert np.array_equal(found.ratio, first.ratio)
    assert np.array_equal(found.scenario, first.scenario)


@BY_EACH
@pytest.mark.parametrize("few", [0, 2**15])
@pytest.mark.parametrize("asks", [0, 1, 4, 9])
def test_a_stopped_search_holds_whole_scenarios_alone(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel, few: int, asks: int
) -> None:
    monkeypatch.setattr(pairs, "SEARCHED", 30)
    monkeypatch.setattr(pairs, "_FEW", few)
    book, factors = market()
    index = pair_index(book, factors, kernel)
    assert index.pairs
    assert len(index.others.rows)
    whole = stress_pairs(index, falls(factors), kernel, lanes=LANES)
    assert np.array_equal(whole.liquidatable, stress(book, factors, falls(factors), kernel).liquidatable)
    part = stress_pairs(index, falls(factors), kernel, lanes=LANES, stop=after(asks))
    assert len(part.places) == (min(asks * 30, SCENARIOS) if few else min(asks // 3 * 30, SCENARIOS))
    if part.is_whole:
        assert np.array_equal(part.hits, whole.hits)
    else:
        is_part_of(part, whole)


def test_a_deadline_is_over_at_its_instant_or_when_another_stop_says_so() -> None:
    now = [10]
    switch = Switch()
    stop = deadline(12, lambda: now[0], switch)
    assert not never()
    assert not stop()
    now[0] = 12
    assert stop()
    now[0] = 0
    assert not stop()
    switch.set()
    assert stop()


@NEEDS_NUMBA
def test_compiled_loops_let_other_threads_run() -> None:
    from tocsin.risk import compiled as values  # noqa: PLC0415 - not there without numba
    from tocsin.risk import searching, sweeping  # noqa: PLC0415 - as above

    assert compiled().name == "numba"
    for loop in (values._values, sweeping.sweep, sweeping.worst, searching.search):
        assert loop.targetoptions["nogil"] is True
        assert len(loop.signatures) == 1, "compiled when imported, and never again"


class _Recording:
    """The numpy kernel, with the names of what was called."""

    name = "recording"

    def __init__(self) -> None:
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> object:
        self.called.add(name)
        return getattr(PLAIN, name)


def test_warming_up_runs_every_kernel_once_and_says_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _Recording()
    monkeypatch.setattr(warmup, "backend", lambda wanted: Backend(kernel=kernel, why=wanted.value))
    times = iter([1_000, 8_000])
    found = warmup.warm_up(lambda: next(times), Wanted.NUMPY)
    assert found.taken_ns == 7_000
    assert found.backend.why == "numpy"
    public = {name for name in vars(Kernel) if not name.startswith("_")} - {"name"}
    assert kernel.called == public == {"values", "sweep", "worst", "search"}
