"""What becomes liquidatable when prices fall: the at-risk curve, and which prices fall in it.

All prices move but those that stand for the base that values are in: the base's own token, and where that is the US
dollar every token that is named as one. An asset moves on both sides, collateral and debt: who holds staked ether and
owes ether loses nothing, as it would be. Who owes dollars for ether does.
"""

from collections.abc import Sequence

import numpy as np

from tocsin.model.market import AtRisk
from tocsin.protocols.places import Base, Parts
from tocsin.risk.book import Book
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import Kernel
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.stress import StressReport, stress

_BPS = 10_000
_DOLLAR = "USD"
_DOLLARS = ("USD", "DAI", "GHO", "FRAX", "DOLA", "FEI", "MIMATIC")
"""A token whose name has one of these in it is meant to be worth a dollar."""


def is_steady(name: str, base: Base) -> bool:
    """Tell whether an asset of this name keeps its price in the base's units when all prices move."""
    told = name.upper()
    return told == base.name.upper() or (base.name == _DOLLAR and any(one in told for one in _DOLLARS))


def moving(assets: Sequence[str], parts: Parts, base: Base) -> tuple[bool, ...]:
    """Return of each asset, as columns name them, whether its price moves."""
    return tuple(not is_steady(named(parts, asset), base) for asset in assets)


def named(parts: Parts, asset: str) -> str:
    """Return what people call the asset of a column."""
    try:
        return parts.name(bytes.fromhex(asset.removeprefix("0x")))
    except ValueError:
        return asset


def scenarios(factors: Factors, moves: Sequence[bool], shocks_bps: Sequence[int]) -> Scenarios:
    """Return a scenario for each shock. No price falls below zero."""
    multiples = np.ones((len(shocks_bps), len(factors.assets)))
    for row, shock in zip(multiples, shocks_bps, strict=True):
        row[np.array(moves, dtype=np.bool_)] = max(0, _BPS + shock) / _BPS
    return Scenarios(multiples=multiples, assets=factors.assets)


def at_risk(
    book: Book, factors: Factors, moves: Sequence[bool], shocks_bps: Sequence[int], kernel: Kernel
) -> tuple[AtRisk, ...]:
    """Return one point for each shock, in their order."""
    if not shocks_bps:
        return ()
    report = stress(book, factors, scenarios(factors, moves, shocks_bps), kernel)
    return tuple(point(report, at, shock) for at, shock in enumerate(shocks_bps))


def point(report: StressReport, at: int, shock_bps: int) -> AtRisk:
    """Return what one scenario of a report comes to. Whom floats do not judge at all is unsure in each."""
    return AtRisk(
        shock_bps=shock_bps,
        accounts=int(report.liquidatable[at]),
        unsure=int(report.unsure[at]) + len(report.unjudged),
        collateral=whole(float(report.collateral[at])),
        debt=whole(float(report.debt[at])),
        bad_debt=whole(float(report.bad_debt[at])),
    )


def whole(value: float) -> str:
    """Return a float that is a number of base units as decimal text; what is no number is none: zero."""
    return str(int(value)) if np.isfinite(value) and value > 0 else "0"
