"""Kernels made ready before they are needed: compiled, or loaded from where they were kept, and called once each.

To compile takes some ten seconds once on a machine, to load one or two; what was compiled is kept beside the code or,
where that may not be written, in the directory `NUMBA_CACHE_DIR`. Whoever serves others does this before saying that it
is ready.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tocsin.risk.backend import Backend, Wanted, backend
from tocsin.risk.book import ADDRESS_BYTES, Book
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import screen
from tocsin.risk.pairs import pair_index, stress_pairs
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.stress import stress, worst
from tocsin.risk.table import Legs

_ACCOUNT: Final = bytes(ADDRESS_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """A backend of which every kernel has run, and how long that took."""

    backend: Backend
    taken_ns: int


def warm_up(now_ns: Callable[[], int], wanted: Wanted = Wanted.AUTO) -> Warm:
    """Choose a backend and run all of its kernels on a book of one account."""
    begun = now_ns()
    found = backend(wanted)
    factors = Factors.of(_columns())
    book = Book.of(factors.names, {_ACCOUNT: Legs(collateral={0: 1000}, debt={0: 500})})
    scenarios = Scenarios.of(factors, [{}, {"any": 0.5}])
    screen(evaluate(book, factors, found.kernel))
    stress(book, factors, scenarios, found.kernel)
    worst(book, factors, scenarios, found.kernel)
    stress_pairs(pair_index(book, factors, found.kernel), scenarios, found.kernel)
    return Warm(backend=found, taken_ns=now_ns() - begun)


def _columns() -> Columns:
    one = Fraction(1)
    column = Column(asset="any", collateral=one, raw=one, debt=one, collateral_step=Fraction(0), debt_step=Fraction(0))
    return Columns(all=(column,), band=Band(), block_number=0, block_hash="0x", time_s=0)
