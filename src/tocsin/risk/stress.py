"""A whole book under many prices: how many accounts fall, what they owe and hold, and how much of it nobody would pay.

Scenarios are sorted by what they do to the book and cut into blocks of similar ones. In most accounts, a block's
lowest and highest prices then decide for all of it; their margin is the account's band, so that they decide as each
scenario by itself would. Counts are the same whatever the backend, block size, order of scenarios or number of threads.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import Counts, Floats
from tocsin.risk.book import Book
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import Banded, Kernel, Swept
from tocsin.risk.plain import PLAIN
from tocsin.risk.scenarios import LANES, Scenarios, block_of, cut_up
from tocsin.risk.stopping import Stop, never
from tocsin.risk.table import Rows, Table

S = TypeVar("S")
T = TypeVar("T")
A = TypeVar("A", bound=np.generic)


class Mapper(Protocol):
    """The built-in `map`, or the method of a thread pool: results in the order of what is asked for."""

    def __call__(self, function: Callable[[S], T], values: Iterable[S], /) -> Iterator[T]: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StressReport:
    """What becomes of a book, by scenario in the order in which they were given, shape (scenarios,). Base units.

    Of a run that was stopped only scenarios that were computed are in it, for all accounts each: see `places`.
    """

    places: Rows
    """Which scenarios these are, rising; all that were asked for, unless the run was stopped."""
    asked: int
    """How many were asked for."""
    liquidatable: Counts
    """How many accounts are below the line in real numbers."""
    unsure: Counts
    """How many are so near to it, on either side, that exact rules could say otherwise."""
    collateral: Floats
    """What all collateral of the liquidatable ones is worth at the scenario's prices."""
    debt: Floats
    """What they owe."""
    bad_debt: Floats
    """What they owe above all that they have."""
    hits: Counts
    """Of each row of the book, in how many scenarios it is liquidatable."""
    unjudged: Rows
    """Rows of accounts in debt that floats do not judge (no known price, say): they are in nothing else of this."""
    pairs: int
    """Judged accounts in debt, by scenarios."""
    evaluated: int
    """Of these, how many were valued one by one."""

    @property
    def is_whole(self) -> bool:
        """Tell whether every scenario was computed."""
        return len(self.places) == self.asked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """Accounts of a book that go through scenarios: their rows in the book, and those rows with bands."""

    rows: Rows
    banded: Banded
    unjudged: Rows
    size: int
    """Rows of the book."""


def chosen(book: Book, factors: Factors, kernel: Kernel = PLAIN) -> Chosen:
    """Return the accounts of a book that are in debt and that floats judge. Raises ValueError as `evaluate` does."""
    health = evaluate(book, factors, kernel)
    judged = np.isfinite(health.band)
    rows = np.flatnonzero(health.is_indebted & judged)
    table = book.table() if len(rows) == len(book) else book.table(rows)
    banded = Banded(table=table, above=health.band_above()[rows], below=health.band[rows])
    return Chosen(rows=rows, banded=banded, unjudged=np.flatnonzero(health.is_indebted & ~judged), size=len(book))


def stress(
    book: Book,
    factors: Factors,
    scenarios: Scenarios,
    kernel: Kernel = PLAIN,
    *,
    lanes: int = LANES,
    mapper: Mapper = map,
    stop: Stop = never,
) -> StressReport:
    """Return what becomes of a book under scenarios; bands grow with the prices.

    `mapper` spreads blocks over threads; `stop` is asked before each block and ends the run when it says so. Raises
    ValueError for factors or scenarios of other columns or assets.
    """
    return swept(chosen(book, factors, kernel), factors, scenarios, kernel, lanes=lanes, mapper=mapper, stop=stop)


def swept(
    what: Chosen,
    factors: Factors,
    scenarios: Scenarios,
    kernel: Kernel,
    *,
    lanes: int = LANES,
    mapper: Mapper = map,
    stop: Stop = never,
) -> StressReport:
    """Return what becomes of accounts under scenarios, block by block."""
    check_assets(factors, scenarios)

    def run(places: Rows) -> Swept:
        return kernel.sweep(what.banded, block_of(factors, scenarios, places))

    order = by_weight(what.banded.table, factors, scenarios)
    cut, parts = _until(stop, run, cut_up(order, lanes), mapper)
    hits = np.zeros(what.size, dtype=np.int64)
    for part in parts:
        hits[what.rows] += part.hits
    places = np.concatenate([np.empty(0, dtype=np.intp), *cut])
    back = np.argsort(places)
    return StressReport(
        places=places[back],
        asked=len(scenarios),
        liquidatable=_in_order([part.liquidatable for part in parts], back, np.int64),
        unsure=_in_order([part.unsure for part in parts], back, np.int64),
        collateral=_in_order([part.collateral for part in parts], back, np.float64),
        debt=_in_order([part.debt for part in parts], back, np.float64),
        bad_debt=_in_order([part.bad_debt for part in parts], back, np.float64),
        hits=hits,
        unjudged=what.unjudged,
        pairs=len(what.rows) * len(places),
        evaluated=sum(part.evaluated for part in parts),
    )


def _until(stop: Stop, run: Callable[[Rows], T], cut: list[Rows], mapper: Mapper) -> tuple[list[Rows], list[T]]:
    """Run blocks until told to stop; return those that were run, and what became of them."""
    results = mapper(lambda places: None if stop() else run(places), cut)
    done = [(places, result) for places, result in zip(cut, results, strict=True) if result is not None]
    return [places for places, _ in done], [result for _, result in done]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worst:
    """Of each row of a book its lowest ratio over scenarios, and the first scenario that has it; shape (rows,).

    Without debt the ratio is infinite; of a row that floats do not judge it is NaN. Neither has a scenario: -1.
    """

    ratio: Floats
    scenario: Counts
    computed: int
    """Over how many scenarios; fewer than asked for where the run was stopped."""
    asked: int


def worst(
    book: Book,
    factors: Factors,
    scenarios: Scenarios,
    kernel: Kernel = PLAIN,
    *,
    lanes: int = LANES,
    mapper: Mapper = map,
    stop: Stop = never,
) -> Worst:
    """Return the worst that scenarios do to each account; stopped and spread as `stress` is. Raises as it does."""
    check_assets(factors, scenarios)
    what = chosen(book, factors, kernel)

    def run(places: Rows) -> tuple[Floats, Counts]:
        return kernel.worst(what.banded.table, block_of(factors, scenarios, places))

    cut, parts = _until(stop, run, cut_up(np.arange(len(scenarios)), lanes), mapper)
    lowest = np.full(len(what.rows), np.inf)
    place = np.full(len(what.rows), -1, dtype=np.int64)
    for places, (ratio, lane) in zip(cut, parts, strict=True):
        is_lower = ratio < lowest
        lowest[is_lower], place[is_lower] = ratio[is_lower], places[lane[is_lower]]
    ratios, scenario = np.full(what.size, np.inf), np.full(what.size, -1, dtype=np.int64)
    ratios[what.unjudged] = np.nan
    ratios[what.rows], scenario[what.rows] = lowest, place
    return Worst(ratio=ratios, scenario=scenario, computed=sum(map(len, cut)), asked=len(scenarios))


def check_assets(factors: Factors, scenarios: Scenarios) -> None:
    """Raise ValueError unless scenarios are of the factors' assets."""
    if scenarios.assets != factors.assets:
        raise ValueError(f"scenarios of {', '.join(scenarios.assets)} for factors of {', '.join(factors.assets)}")


def by_weight(table: Table, factors: Factors, scenarios: Scenarios) -> Rows:
    """Return the scenarios in the order of what they leave of the book's margin, so that neighbours are alike."""
    weights = np.zeros(len(factors.assets))
    for side, factor, sign in ((table.collateral, factors.collateral, 1.0), (table.debt, factors.debt, -1.0)):
        worth = np.bincount(side.place, weights=side.amount, minlength=factors.width)
        used = np.flatnonzero(worth)
        np.add.at(weights, factors.asset[used], sign * worth[used] * factor[used])
    return np.argsort(scenarios.multiples @ weights, kind="stable")


def _in_order(parts: list[npt.NDArray[A]], back: Rows, kind: type[A]) -> npt.NDArray[A]:
    return np.concatenate([np.empty(0, dtype=kind), *parts])[back]
