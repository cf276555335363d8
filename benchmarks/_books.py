"""Books of made-up markets for measuring: as many accounts as wanted, drawn by a seed, without a loop over accounts.

Assets are held by Zipf's law, an account has three legs of collateral and one and a half of debt in the mean, and is
over the line by a lognormal factor. A third of the assets is stable. Real books were not measured.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import LIMBS
from tocsin.risk.book import ADDRESS_BYTES, Book
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.factors import Factors
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.table import Side, Table
from tocsin.wire.multicall import Words

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ASSETS: Final = 50
STABLE: Final = 3
"""One asset in so many is stable."""
COMMON: Final = 0.7
"""The share of the variance of an asset's price that all have in common: assumed, not measured."""
_BASE: Final = 10**8


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A book and its factors."""

    book: Book
    factors: Factors


def market(rows: int, seed: int) -> Market:
    """Draw a market of many assets."""
    rng = np.random.default_rng(seed)
    columns = _columns(rng)
    factors = Factors.of(columns)
    has, owes = _legs(rng, rows, 3.0), _legs(rng, rows, 1.5)
    weight = rng.lognormal(8, 2, len(has[1])) * _BASE
    left = np.bincount(has[0], weights=weight * factors.collateral[has[1]] / factors.raw[has[1]], minlength=rows)
    share = rng.uniform(0.2, 1, len(owes[1]))
    whole = np.bincount(owes[0], weights=share, minlength=rows)
    owed = (left / (1.005 + rng.lognormal(-0.6, 1.1, rows)))[owes[0]] * share / whole[owes[0]]
    table = Table(
        collateral=_side(rows, has, weight / factors.raw[has[1]]),
        debt=_side(rows, owes, owed / factors.debt[owes[1]]),
        always_exact=np.zeros(rows, dtype=np.bool_),
    )
    return Market(book=Book.of_table(columns.names, _ids(rng, rows), table), factors=factors)


def pair_market(rows: int, markets: int, seed: int) -> Market:
    """Draw isolated markets of one collateral and one debt each."""
    rng = np.random.default_rng(seed)
    all_ = []
    for at in range(markets):
        raw = Fraction(rng.lognormal(3, 2)) / 10**12
        all_.append(_column(f"coin{at}/m{at}", raw, Fraction(int(rng.integers(70, 95)), 100)))
        all_.append(_column(f"usd/m{at}", Fraction(1), Fraction(0)))
    columns = Columns(all=tuple(all_), band=Band(), block_number=1, block_hash="0x01", time_s=0)
    factors = Factors.of(columns)
    which = 2 * rng.integers(markets, size=rows)
    row = np.arange(rows)
    worth = rng.lognormal(22, 2, rows)
    owed = worth / (1.005 + rng.lognormal(-0.6, 1.1, rows))
    table = Table(
        collateral=_side(rows, (row, which), worth / factors.collateral[which]),
        debt=_side(rows, (row, which + 1), owed),
        always_exact=np.zeros(rows, dtype=np.bool_),
    )
    return Market(book=Book.of_table(columns.names, _ids(rng, rows), table), factors=factors)


def scenarios(factors: Factors, count: int, volatility: float, seed: int, *, common: float = COMMON) -> Scenarios:
    """Draw prices: lognormal, with a common part; stable assets move a hundredth of it."""
    rng = np.random.default_rng(seed)
    shape = (count, len(factors.assets))
    moves = np.sqrt(common) * rng.normal(size=(count, 1)) + np.sqrt(1 - common) * rng.normal(size=shape)
    is_stable = [asset.startswith("usd") for asset in factors.assets]
    moves[:, is_stable] /= 100
    return Scenarios(multiples=np.exp(volatility * moves), assets=factors.assets)


def _columns(rng: np.random.Generator) -> Columns:
    all_ = []
    for at in range(ASSETS):
        is_stable = at % STABLE == 1
        price = 1.0 if is_stable else rng.lognormal(3, 2)
        raw = Fraction(price) * _BASE / 10 ** int(rng.choice([6, 8, 18]))
        name = f"usd{at}" if is_stable else f"coin{at}"
        all_.append(_column(name, raw, Fraction(int(rng.integers(60, 90)), 100)))
    return Columns(all=tuple(all_), band=Band(constant=Fraction(2)), block_number=1, block_hash="0x01", time_s=0)


def _column(name: str, raw: Fraction, threshold: Fraction) -> Column:
    asset, _, parameters = name.partition("/")
    return Column(
        asset=asset,
        parameters=parameters,
        collateral=raw * threshold,
        raw=raw,
        debt=raw,
        collateral_step=raw + 1,
        debt_step=raw + 1,
    )


def _legs(rng: np.random.Generator, rows: int, mean: float) -> tuple[Ints, Ints]:
    """Return rows and columns of legs, sorted; no row has a column twice."""
    popular = 1 / np.arange(1, ASSETS + 1)
    row = np.repeat(np.arange(rows), np.clip(rng.poisson(mean, rows), 1, 12))
    column = rng.choice(ASSETS, size=len(row), p=popular / popular.sum())
    keys = np.unique(row * ASSETS + column)
    return keys // ASSETS, keys % ASSETS


def _side(rows: int, legs: tuple[Ints, Ints], amounts: Floats) -> Side:
    ptr = np.zeros(rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(legs[0], minlength=rows), out=ptr[1:])
    return Side.of(ptr, legs[1].astype(np.uint16), _words(np.maximum(np.floor(amounts), 1.0)))


def _words(amounts: Floats) -> Words:
    found = np.zeros((len(amounts), LIMBS), dtype=np.uint64)
    high = np.floor(amounts / 2.0**64)
    found[:, 2] = high.astype(np.uint64)
    found[:, 3] = (amounts - high * 2.0**64).astype(np.uint64)
    return found


def _ids(rng: np.random.Generator, rows: int) -> npt.NDArray[np.uint8]:
    found = np.zeros((rows, ADDRESS_BYTES), dtype=np.uint8)
    found[:, :8] = rng.permutation(rows).astype(">u8").view(np.uint8).reshape(-1, 8)
    return found
