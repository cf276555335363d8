"""A book under prices that somebody makes up: what would fall, what it holds and owes, and what nobody would pay.

Counts are made by floats with the bands of the book (`tocsin.risk.stress`); `unsure` says of how many accounts exact
rules could say otherwise. A scenario that names no asset leaves all prices as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tocsin.errors import UsageError
from tocsin.protocols.places import Parts
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import Health
from tocsin.risk.kernel import Kernel
from tocsin.risk.plain import PLAIN
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.stress import stress
from tocsin.valuation.curve import moving, named, whole
from tocsin.valuation.situation import Situation

ALL: Final = "*"
"""Stands for all assets whose prices move in the at-risk curve."""
MOST_SCENARIOS: Final = 2_000
MOST_FALLEN: Final = 20
"""Accounts of the worst scenario that are named, of either side of the line."""
_BPS: Final = 10_000

Shocks = Mapping[str, int]
"""By what an asset is called, or its address: by how many basis points its price moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one scenario comes to. Base units, as decimal text."""

    shocks: tuple[tuple[str, int], ...]
    accounts: int
    unsure: int
    collateral: str
    debt: str
    bad_debt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """An account that can be liquidated in a scenario, by floats: what it then has and owes."""

    account: str
    collateral: str
    debt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stressed:
    """What scenarios come to, in their order; which of them is the worst, and who owes most of those who fall in it."""

    outcomes: tuple[Outcome, ...]
    worst: int
    fallen: tuple[Fallen, ...]
    beside: tuple[str, ...]
    """The accounts that are nearest to the line in the worst scenario and do not fall."""
    unjudged: int
    """Accounts in debt that floats do not judge: they are in nothing else of this but in `unsure`."""


def stressed(of: Situation, shocks: Sequence[Shocks], kernel: Kernel = PLAIN) -> Stressed:
    """Return what scenarios do to a market. Raises UsageError for what is no scenario of it, and what rules raise."""
    if not 1 <= len(shocks) <= MOST_SCENARIOS:
        raise UsageError(f"{len(shocks)} scenarios: between 1 and {MOST_SCENARIOS} can be run at once")
    columns = of.rules.columns(of.market, of.time_s)
    factors = Factors.of(columns)
    moves = moving(factors.assets, of.parts, of.rules.base(of.parts, of.market))
    places = _places(factors, of.parts)
    multiples = np.ones((len(shocks), len(factors.assets)))
    for row, one in zip(multiples, shocks, strict=True):
        # What is named moves as it is told, whatever all others do.
        for name, bps in sorted(one.items(), key=lambda item: item[0] != ALL):
            row[_assets(name, places, moves)] = _multiple(name, bps)
    report = stress(of.book, factors, Scenarios(multiples=multiples, assets=factors.assets), kernel)
    worst = int(np.lexsort((-report.liquidatable, -report.debt, -report.bad_debt))[0])
    outcomes = tuple(
        Outcome(
            shocks=tuple(one.items()),
            accounts=int(report.liquidatable[at]),
            unsure=int(report.unsure[at]) + len(report.unjudged),
            collateral=whole(float(report.collateral[at])),
            debt=whole(float(report.debt[at])),
            bad_debt=whole(float(report.bad_debt[at])),
        )
        for at, one in enumerate(shocks)
    )
    health = evaluate(of.book, _moved(factors, multiples[worst]), kernel)
    return Stressed(
        outcomes=outcomes,
        worst=worst,
        fallen=_fallen(of, health),
        beside=_beside(of, health),
        unjudged=len(report.unjudged),
    )


def _multiple(name: str, bps: int) -> float:
    if not -_BPS <= bps <= 100 * _BPS:
        raise UsageError(f"{name}: a price moves between -100% and +10000%, not by {bps / 100:g}%")
    return (_BPS + bps) / _BPS


def _places(factors: Factors, parts: Parts) -> dict[str, list[int]]:
    """Return the places of assets by their addresses and names, in lower case."""
    found: dict[str, list[int]] = {}
    for at, asset in enumerate(factors.assets):
        for name in {asset.lower(), named(parts, asset).lower()}:
            found.setdefault(name, []).append(at)
    return found


def _assets(name: str, places: Mapping[str, list[int]], moves: Sequence[bool]) -> list[int]:
    if name == ALL:
        return [at for at, does in enumerate(moves) if does]
    found = places.get(name.lower())
    if found is None:
        known = ", ".join(sorted(each for each in places if not each.startswith("0x")))
        raise UsageError(f"no asset of this market is called {name[:64]!r}; there are {known or 'none with a name'}")
    return found


def _moved(factors: Factors, multiples: "np.typing.NDArray[np.float64]") -> Factors:
    by_column = multiples[factors.asset]
    return replace(
        factors,
        collateral=factors.collateral * by_column,
        raw=factors.raw * by_column,
        debt=factors.debt * by_column,
    )


def _beside(of: Situation, health: Health) -> tuple[str, ...]:
    """Return the least healthy of those whom floats surely find healthy."""
    ratio = health.ratio()
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((health.collateral - health.debt > health.band_above()) & health.is_indebted)
    rows = rows[np.argsort(ratio[rows], kind="stable")][:MOST_FALLEN]
    return tuple(f"0x{of.book.account(int(row)).hex()}" for row in rows)


def _fallen(of: Situation, health: Health) -> tuple[Fallen, ...]:
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((health.collateral < health.debt) & health.is_indebted)
    rows = rows[np.argsort(-health.debt[rows], kind="stable")][:MOST_FALLEN]
    return tuple(
        Fallen(
            account=f"0x{of.book.account(int(row)).hex()}",
            collateral=whole(float(health.raw[row])),
            debt=whole(float(health.debt[row])),
        )
        for row in rows
    )
