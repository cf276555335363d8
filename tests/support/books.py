"""Books of made-up markets for tests: accounts by hand or by Hypothesis, columns with exact factors."""

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction

from hypothesis import strategies as st

from tocsin.risk.amounts import MOST
from tocsin.risk.book import Book, Change, Deltas, SideName
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.table import Legs

WIDTH = 5
NAMES = tuple(f"asset{at % 3}/set{at}" for at in range(WIDTH))
"""Columns of three assets under five sets of parameters."""
AMOUNTS = st.integers(0, 10**24) | st.sampled_from([0, 1, 2**53 + 1, 2**64 - 1, 2**64, 2**128 + 1, MOST])
IDS = st.integers(0, 400).map(lambda number: (number * 7919).to_bytes(20, "little"))
"""Accounts; many end in zeros."""


def sides(width: int = WIDTH) -> st.SearchStrategy[dict[int, int]]:
    return st.dictionaries(st.integers(0, width - 1), AMOUNTS, max_size=width)


def legs(width: int = WIDTH) -> st.SearchStrategy[Legs]:
    exact = st.sampled_from([False, False, False, True])
    return st.builds(Legs, collateral=sides(width), debt=sides(width), always_exact=exact)


def accounts(width: int = WIDTH, most: int = 30) -> st.SearchStrategy[dict[bytes, Legs]]:
    return st.dictionaries(IDS, legs(width), max_size=most)


def books(most: int = 30) -> st.SearchStrategy[Book]:
    return accounts(most=most).map(lambda all_: Book.of(NAMES, all_))


def deltas() -> st.SearchStrategy[Deltas]:
    change = st.builds(
        Change, account=IDS, side=st.sampled_from(SideName), column=st.integers(0, WIDTH - 1), amount=AMOUNTS
    )
    return st.builds(Deltas, accounts=accounts(most=6), changes=st.lists(change, max_size=10).map(tuple))


def after(all_: Mapping[bytes, Legs], what: Deltas) -> dict[bytes, Legs]:
    """Return what accounts are after these changes, leg by leg."""
    found = {**all_, **what.accounts}
    for one in what.changes:
        before = found.get(one.account, Legs(collateral={}, debt={}))
        both = {"collateral": dict(before.collateral), "debt": dict(before.debt)}
        both[one.side][one.column] = one.amount
        found[one.account] = Legs(**both, always_exact=before.always_exact)
    return found


def column(name: str, collateral: Fraction | int, raw: Fraction | int, debt: Fraction | int, step: int = 1) -> Column:
    asset, _, parameters = name.partition("/")
    return Column(
        asset=asset,
        parameters=parameters,
        collateral=Fraction(collateral),
        raw=Fraction(raw),
        debt=Fraction(debt),
        collateral_step=Fraction(step),
        debt_step=Fraction(step),
    )


def columns(all_: Sequence[Column], band: Band | None = None) -> Columns:
    return Columns(all=tuple(all_), band=band or Band(), block_number=1, block_hash="0x01", time_s=1_700_000_000)


PRICES = st.builds(lambda digits, exponent: Fraction(digits, 10**exponent), st.integers(1, 10**12), st.integers(0, 24))


@st.composite
def columns_of_any_price(draw: st.DrawFn, names: Sequence[str] = NAMES, *, broken: bool = False) -> Columns:
    """Columns as a market may have them; `broken` puts prices of zero, unknown ones and huge ones among them."""
    all_ = []
    odd = st.sampled_from([Fraction(0), None, Fraction(-1), Fraction(2**900), Fraction(1, 2**1000)])
    for name in names:
        raw = draw(PRICES | odd) if broken else draw(PRICES)
        threshold = Fraction(draw(st.integers(0, 10**4)), 10**4)
        step = draw(st.integers(0, 10**6))
        asset, _, parameters = name.partition("/")
        all_.append(
            Column(
                asset=asset,
                parameters=parameters,
                collateral=None if raw is None else raw * threshold,
                raw=raw,
                debt=draw(PRICES | odd) if broken else draw(PRICES),
                collateral_step=Fraction(step),
                debt_step=Fraction(step),
            )
        )
    band = Band(constant=Fraction(draw(st.integers(0, 3))), raw_share=Fraction(draw(st.integers(0, 1)), 10**4))
    return columns(all_, band)


def exact_sums(one: Legs, all_: Columns) -> tuple[Fraction, Fraction, Fraction] | None:
    """Return weighted collateral, raw collateral and debt in real numbers; None where a factor is unknown."""
    weighted = [(amount, all_.all[at].collateral) for at, amount in one.collateral.items()]
    whole = [(amount, all_.all[at].raw) for at, amount in one.collateral.items()]
    owed = [(amount, all_.all[at].debt) for at, amount in one.debt.items()]
    if any(factor is None for pairs in (weighted, whole, owed) for _, factor in pairs):
        return None
    c, r, d = (
        sum((amount * (factor or 0) for amount, factor in pairs), Fraction(0)) for pairs in (weighted, whole, owed)
    )
    return c, r, d


def shocked(all_: Columns, multiples: Sequence[float]) -> Columns:
    """Return the columns with the price of each asset at a multiple, exact."""
    by_asset = {asset: Fraction(multiple) for asset, multiple in zip(all_.assets, multiples, strict=True)}

    def moved(value: Fraction | None, asset: str) -> Fraction | None:
        return None if value is None else value * by_asset[asset]

    changed = [
        dataclasses.replace(
            one,
            collateral=moved(one.collateral, one.asset),
            raw=moved(one.raw, one.asset),
            debt=moved(one.debt, one.asset),
        )
        for one in all_.all
    ]
    return dataclasses.replace(all_, all=tuple(changed))
