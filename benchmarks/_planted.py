"""Accounts planted within a few quanta of the line, with the rounding of real protocols: where floats go wrong.

Three rules are modelled in integers, each a few lines: Aave v3 as first released (half up, an average threshold cut to
whole bps) and as it is since 3.5 (collateral down, debt up, no average), and Morpho Blue (shares up, values down).
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from tocsin.risk.book import Book
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import Flag, confirm, screen
from tocsin.risk.kernel import Kernel
from tocsin.risk.table import Legs

RAY: Final = 10**27
WAD: Final = 10**18
BPS: Final = 10**4
_ASSETS: Final = 40
_MANY_DOLLARS: Final = 2 * 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A column in integers, as contracts have it."""

    price: int
    unit: int
    supply_index: int
    debt_index: int
    threshold: int

    def down(self, scaled: int) -> int:
        return scaled * self.supply_index // RAY * self.price // self.unit

    def half_up(self, scaled: int, index: int) -> int:
        return (scaled * index + RAY // 2) // RAY * self.price // self.unit

    def up(self, scaled: int) -> int:
        return _up(_up(scaled * self.debt_index, RAY) * self.price, self.unit)


def _up(value: int, divisor: int) -> int:
    return -(-value // divisor)


Line = Callable[[list[Asset], Legs], int]
Owed = Callable[[list[Asset], Legs], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """One rule: what an account may owe, what it owes, both in base units, and whether that is too much."""

    name: str
    line: Line
    owed: Owed
    is_liquidatable: Callable[[int, int], bool]
    band: Band
    column: Callable[[int, Asset], Column]
    most_legs: int


def _first_line(assets: list[Asset], legs: Legs) -> int:
    values = [(assets[at].half_up(scaled, assets[at].supply_index), at) for at, scaled in legs.collateral.items()]
    whole = sum(value for value, _ in values)
    average = sum(value * assets[at].threshold for value, at in values) // whole if whole else 0
    return (whole * average + BPS // 2) // BPS


def _first_owed(assets: list[Asset], legs: Legs) -> int:
    return sum(assets[at].half_up(scaled, assets[at].debt_index) for at, scaled in legs.debt.items())


def _first_falls(line: int, owed: int) -> bool:
    return owed > 0 and (line * WAD + owed // 2) // owed < WAD


def _now_line(assets: list[Asset], legs: Legs) -> int:
    """Return the sum of value by threshold: ten thousand times base units."""
    return sum(assets[at].down(scaled) * assets[at].threshold for at, scaled in legs.collateral.items())


def _now_owed(assets: list[Asset], legs: Legs) -> int:
    return sum(assets[at].up(scaled) for at, scaled in legs.debt.items())


def _now_falls(line: int, owed: int) -> bool:
    return owed > 0 and (line * WAD + owed // 2) // owed // BPS < WAD


def _aave_column(at: int, asset: Asset) -> Column:
    token = Fraction(asset.price, asset.unit)
    raw = token * asset.supply_index / RAY
    return Column(
        asset=f"asset{at}",
        collateral=raw * asset.threshold / BPS,
        raw=raw,
        debt=token * asset.debt_index / RAY,
        collateral_step=token + 1,
        debt_step=token + 1,
    )


def _morpho_line(assets: list[Asset], legs: Legs) -> int:
    ((at, amount),) = legs.collateral.items()
    return amount * assets[at].price // 10**36 * (assets[at].threshold * 10**14) // WAD


def _morpho_owed(assets: list[Asset], legs: Legs) -> int:
    return sum(
        -(-shares * (assets[at].debt_index + 1) // (assets[at].unit + 10**6)) for at, shares in legs.debt.items()
    )


def _morpho_column(at: int, asset: Asset) -> Column:
    raw = Fraction(asset.price, 10**36)
    return Column(
        asset=f"asset{at}",
        collateral=raw * asset.threshold / BPS,
        raw=raw,
        debt=Fraction(asset.debt_index + 1, asset.unit + 10**6),
        collateral_step=Fraction(2),
        debt_step=Fraction(1),
    )


AAVE_FIRST: Final = Rounding(
    name="aave v3.0",
    line=_first_line,
    owed=_first_owed,
    is_liquidatable=_first_falls,
    band=Band(constant=Fraction(2), raw_share=Fraction(1, BPS), limit=Fraction(_MANY_DOLLARS)),
    column=_aave_column,
    most_legs=4,
)
AAVE_NOW: Final = Rounding(
    name="aave v3.5",
    line=_now_line,
    owed=_now_owed,
    is_liquidatable=_now_falls,
    band=Band(constant=Fraction(2), limit=Fraction(_MANY_DOLLARS)),
    column=_aave_column,
    most_legs=4,
)
MORPHO: Final = Rounding(
    name="morpho blue",
    line=_morpho_line,
    owed=_morpho_owed,
    is_liquidatable=lambda line, owed: line < owed,
    band=Band(),
    column=_morpho_column,
    most_legs=1,
)
ROUNDINGS: Final = (AAVE_FIRST, AAVE_NOW, MORPHO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A book of planted accounts, and what its protocol says of each row."""

    book: Book
    factors: Factors
    assets: list[Asset]
    rounding: Rounding

    def exact(self, account: bytes, legs: Legs) -> bool:
        """Return what the protocol says of an account."""
        del account
        return self.rounding.is_liquidatable(
            self.rounding.line(self.assets, legs), self.rounding.owed(self.assets, legs)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How a book was judged: rows in the band, flags wrong with it, and verdicts that floats alone get wrong."""

    rows: int
    in_band: int
    wrong: int
    float_wrong: int


def planted(rounding: Rounding, rows: int, seed: int) -> Planted:
    """Plant accounts around the line of a rule: some on it, some quanta off it, some a little farther."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    assets = [_asset(rng, rounding) for _ in range(_ASSETS)]
    columns = Columns(
        all=tuple(rounding.column(at, asset) for at, asset in enumerate(assets)),
        band=rounding.band,
        block_number=1,
        block_hash="0x01",
        time_s=0,
    )
    accounts = {number.to_bytes(20): _account(rng, rounding, assets, columns) for number in range(rows)}
    return Planted(book=Book.of(columns.names, accounts), factors=Factors.of(columns), assets=assets, rounding=rounding)


def judged(what: Planted, kernel: Kernel) -> Judged:
    """Judge a planted book by floats, band and exact rules, and compare every flag."""
    health = evaluate(what.book, what.factors, kernel)
    flags = screen(health)
    settled = confirm(what.book, flags, what.exact)
    truth = np.array([what.exact(b"", what.book.legs(row)) for row in range(len(what.book))])
    by_float = health.collateral < health.debt
    return Judged(
        rows=len(what.book),
        in_band=int(np.count_nonzero(flags == Flag.UNSURE)),
        wrong=int(np.count_nonzero((settled == Flag.LIQUIDATABLE) != truth)),
        float_wrong=int(np.count_nonzero(by_float != truth)),
    )


def _asset(rng: random.Random, rounding: Rounding) -> Asset:
    decimals = rng.choice([2, 6, 8, 18, 18])
    threshold = rng.randrange(6000, 9700)
    if rounding is MORPHO:
        borrowed = int(10 ** rng.uniform(6, 15))
        loan, coll = rng.choice([6, 18]), rng.choice([6, 8, 18])
        price = int(Fraction(10 ** rng.uniform(-2, 5)) * 10 ** (36 + loan - coll))
        return Asset(
            price=price,
            unit=int(borrowed * 10**6 / rng.uniform(1, 1.5)),
            supply_index=RAY,
            debt_index=borrowed,
            threshold=threshold,
        )
    return Asset(
        price=int(10 ** rng.uniform(6, 13)),
        unit=10**decimals,
        supply_index=int(RAY * rng.uniform(1, 1.4)),
        debt_index=int(RAY * rng.uniform(1, 1.8)),
        threshold=threshold,
    )


def _account(rng: random.Random, rounding: Rounding, assets: list[Asset], columns: Columns) -> Legs:
    held = rng.sample(range(_ASSETS), rng.randint(1, rounding.most_legs))
    owed = rng.sample(range(_ASSETS), rng.randint(1, min(rounding.most_legs, 3)))
    value = 10 ** rng.uniform(7, 15)
    collateral = {at: int(value / float(columns.all[at].raw or 1) / len(held)) + 1 for at in held}
    others = {at: int(value / 8 / float(columns.all[at].debt or 1)) for at in owed[1:]}
    legs = Legs(collateral=collateral, debt=others)
    per_unit = BPS if rounding is AAVE_NOW else 1
    left = Fraction(rounding.line(assets, legs), per_unit) - rounding.owed(assets, legs)
    factor = columns.all[owed[0]].debt or Fraction(1)
    amount = max(int(left / factor) + _off(rng, factor, left), 1)
    return Legs(collateral=collateral, debt={**others, owed[0]: amount})


def _off(rng: random.Random, factor: Fraction, left: Fraction) -> int:
    """Return by how many units of debt to miss the line: of a token, of a base unit, or a share of all."""
    token, base = rng.randint(-3, 3), int(rng.randint(-3, 3) / factor)
    share = int(left / factor * Fraction(rng.choice([-1, 1]) * 10 ** rng.uniform(-16, -2)))
    return rng.choice([token, token, base, base, share])


def all_judged(rows: int, seed: int, kernel: Kernel) -> Iterator[tuple[str, Judged]]:
    """Yield for each rule how so many accounts of it are judged."""
    for at, rounding in enumerate(ROUNDINGS):
        yield rounding.name, judged(planted(rounding, rows, seed + at), kernel)
