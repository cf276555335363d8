"""A market at one block, valued: who can be liquidated, who nearly, what falls with prices, and what governance set.

Floats look at the whole book and say of nearly all that they are surely safe, or surely not. Everyone in the band and
everyone below the line is asked of the protocol's own integers, and so is everyone who is named.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from tocsin.chain.readaudit import drawn
from tocsin.errors import TocsinError
from tocsin.model.alert import Exactness, Grade
from tocsin.model.market import MOST_NAMED, PPM, AccountSample, MarketSample, MarketSettings
from tocsin.protocols.base import Verdict
from tocsin.protocols.places import Base
from tocsin.risk.book import Book
from tocsin.risk.columns import Columns
from tocsin.risk.digest import book_hash
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import Flag, Flags, Health, nearest, screen
from tocsin.risk.kernel import Kernel
from tocsin.risk.plain import PLAIN
from tocsin.risk.table import NO_LEGS, Rows
from tocsin.valuation.accounts import Teller, id_text, order, unknown
from tocsin.valuation.curve import at_risk, moving, named
from tocsin.valuation.judging import Judge
from tocsin.valuation.situation import Situation
from tocsin.valuation.totals import Sums, sums, unpriced, worth

MOST_EXACT: Final = 20_000
"""Accounts that are asked of exact rules at one block: a second of work. Beyond it is said so."""
_TIMED: Final = 20
"""Accounts near the line whose time is looked for at one block."""
_MOST_TOLD: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """What a valuation says, and whom the chain itself should be asked about to see whether it is right."""

    sample: MarketSample
    to_check: tuple[bytes, ...] = ()


def value(
    of: Situation, settings: MarketSettings, *, salt: bytes, kernel: Kernel = PLAIN, grade: Grade | None = None
) -> Valuation:
    """Value a market. Whatever is not known is unknown in the sample, with the reason; never raises for it.

    `salt` draws who is checked. Raises ValueError for a book of other columns than the market's.
    """
    try:
        columns = of.rules.columns(of.market, of.time_s)
        base, prices = of.rules.base(of.parts, of.market), of.rules.prices(of.market)
        parameters = of.rules.parameters(of.parts, of.market)
    except TocsinError as error:
        return Valuation(sample=MarketSample(identity=settings.identity, problem=str(error)[:_MOST_TOLD]))
    factors, judge = Factors.of(columns), Judge(of)
    health = evaluate(of.book, factors, kernel)
    below = _below(of, screen(health), judge)
    teller = Teller(of=of, judge=judge, columns=columns, prices=prices)
    near, near_count = _near(of, health, below, settings, teller)
    totals = sums(of.book)
    collateral = worth(totals[0], [column.raw for column in columns.all])
    debt = worth(totals[1], [column.debt for column in columns.all])
    largest, largest_ppm = _largest(of, health, judge, sum(debt))
    sample = MarketSample(
        identity=settings.identity,
        block=of.block,
        time_s=of.time_s,
        grade=grade,
        revision=of.rules.revision,
        exactness=Exactness(of.rules.exactness.of_verdicts),
        base=base.name,
        base_decimals=base.decimals,
        book_hash=_hash(of.book),
        accounts=len(of.accounts) + len(of.unread),
        indebted=int(np.count_nonzero(health.is_indebted)),
        collateral=str(sum(collateral)),
        debt=str(sum(debt)),
        liquidatable=len(below.verdicts) + below.more,
        blocked=sum(1 for one in below.verdicts.values() if one.blocked),
        underwater=sum(1 for one in below.verdicts.values() if one.underwater),
        bad_debt=str(sum(one.debt_base - one.collateral_base for one in below.verdicts.values() if one.underwater)),
        unknown=len(below.unknown) + len(of.unread),
        curve=at_risk(of.book, factors, moving(factors.assets, of.parts, base), settings.shocks_bps, kernel),
        near=near,
        near_count=near_count,
        watched=_watched(of, settings, teller),
        shares_ppm=_shares(of, columns, collateral),
        largest=largest,
        largest_ppm=largest_ppm,
        parameters=parameters,
        problem=_problem(of, columns, base, totals, below),
    )
    return Valuation(sample=sample, to_check=_to_check(of, below, salt, settings.sample_one_in))


# -- who is below the line


@dataclass(frozen=True, slots=True, kw_only=True)
class _Below:
    """Accounts that can be liquidated, by exact rules, and those in debt of whom nobody can tell."""

    verdicts: dict[bytes, Verdict]
    unknown: dict[bytes, str]
    banded: tuple[bytes, ...]
    """Whom floats could not judge."""
    more: int = 0
    """Who is surely below the line as well, and was not asked about for want of time."""


def _below(of: Situation, flags: Flags, judge: Judge) -> _Below:
    """Ask exact rules about everyone in the band and everyone below the line."""
    sure, unsure = np.flatnonzero(flags == Flag.LIQUIDATABLE), np.flatnonzero(flags == Flag.UNSURE)
    banded = _ids(of.book, unsure)
    asked = [*banded, *_ids(of.book, sure)]
    verdicts: dict[bytes, Verdict] = {}
    unknown_: dict[bytes, str] = {}
    for account in asked[:MOST_EXACT]:
        found = judge.verdict(account)
        if isinstance(found, str):
            unknown_[account] = found
        elif found.liquidatable:
            verdicts[account] = found
    late = asked[MOST_EXACT:]
    unknown_.update(dict.fromkeys(banded[MOST_EXACT:], "too many accounts have to be looked at exactly"))
    return _Below(
        verdicts=verdicts, unknown=unknown_, banded=banded[:MOST_EXACT], more=max(0, min(len(late), len(sure)))
    )


def _ids(book: Book, rows: Rows) -> tuple[bytes, ...]:
    return tuple(book.account(int(row)) for row in rows)


# -- who is named


def _near(
    of: Situation, health: Health, below: _Below, settings: MarketSettings, teller: Teller
) -> tuple[tuple[AccountSample, ...], int]:
    """Return the liquidatable, the near and the unknown, as many as are named, and how many there are."""
    rows = nearest(health, (PPM + settings.near_ppm) / PPM)
    all_ = dict.fromkeys(_ids(of.book, rows[: 2 * MOST_NAMED]))
    count = len(rows) + sum(1 for account in below.verdicts if account not in all_ and len(rows) <= 2 * MOST_NAMED)
    all_.update(dict.fromkeys([*below.verdicts][:MOST_NAMED]))
    told = sorted((teller.told(account) for account in all_), key=order)
    told += [unknown(account, reason) for account, reason in sorted(of.unread.items())[:MOST_NAMED]]
    named_ = [teller.priced(one) if one.liquidatable is not None else one for one in told[:MOST_NAMED]]
    healthy = [one.account for one in named_ if one.liquidatable is False][:_TIMED]
    return tuple(teller.timed(one) if one.account in healthy else one for one in named_), count + len(of.unread)


def _watched(of: Situation, settings: MarketSettings, teller: Teller) -> tuple[AccountSample, ...]:
    """Return the user's own accounts that are in the market."""
    found = []
    for one in settings.watched:
        account = bytes.fromhex(one.address[2:])
        if account in of.unread or (account in of.accounts and _has_any(of.book, account)):
            sample = teller.told(account)
            is_known = sample.liquidatable is not None
            found.append(teller.held(teller.timed(teller.priced(sample))) if is_known else sample)
    return tuple(found)


def _has_any(book: Book, account: bytes) -> bool:
    row = book.row(account)
    return row is not None and book.legs(row) != NO_LEGS


# -- sums


def _shares(of: Situation, columns: Columns, collateral: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for column, each in zip(columns.all, collateral, strict=True):
        found[column.asset] = found.get(column.asset, 0) + each
    total = sum(collateral)
    shares = [(named(of.parts, asset), each * PPM // total) for asset, each in found.items() if each]
    return tuple(sorted(shares, key=lambda share: (-share[1], share[0])))


def _largest(of: Situation, health: Health, judge: Judge, total: int) -> tuple[str, int]:
    """Return who owes most of all whose debt is known, and how much of all debt that is."""
    debts = np.where(np.isfinite(health.debt), health.debt, 0.0)
    if not len(debts) or not total or not debts.max() > 0:
        return "", 0
    account = of.book.account(int(debts.argmax()))
    verdict = judge.verdict(account)
    if isinstance(verdict, str):
        return "", 0
    return id_text(account), min(verdict.debt_base * PPM // total, PPM)


def _problem(of: Situation, columns: Columns, base: Base, totals: Sums, below: _Below) -> str:
    """Say what of the market is not known, or not counted."""
    found = []
    missing = unpriced(columns, totals)
    if missing:
        names = ", ".join(named(of.parts, asset) for asset in missing)
        found.append(f"no price is known of {names}: sums in {base.name} are without it")
    if of.unread:
        account, reason = min(of.unread.items())
        found.append(f"{len(of.unread)} accounts could not be read ({id_text(account)}: {reason})")
    if below.more:
        found.append(f"{below.more} accounts below the line were counted only: {MOST_EXACT} are valued exactly")
    return "; ".join(found)[:_MOST_TOLD]


@lru_cache(maxsize=2)
def _hash(book: Book) -> str:
    return book_hash(book)


# -- who is checked


def _to_check(of: Situation, below: _Below, salt: bytes, one_in: int) -> tuple[bytes, ...]:
    """Return everyone in the band, and accounts that are drawn by salt and block: no node knows which."""
    chosen = drawn(salt, of.block.hash, "valuation", len(of.book), one_in)
    rows = np.concatenate((of.book.order, np.arange(len(of.book.base), len(of.book))))[list(chosen)]
    return tuple(dict.fromkeys((*below.banded, *_ids(of.book, rows))))
