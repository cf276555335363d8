"""A price that jumps from one round to the next, and a rate that falls, or rises faster than it may.

An aggregator answers when the price has moved by its threshold, so a round moves it by little more: on 21,797 rounds
of ETH/USD and BTC/USD (threshold 0.5 %) by 3.4 % at most. More is a market that gaps, or an aggregator that is wrong.
What a share of a vault or a staked token is worth grows slowly and never falls: a fall is a loss that was shared out,
a jump a donation, a defect, or somebody who makes collateral out of nothing. It is measured over a day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tocsin.chain.rounds import day_before
from tocsin.detect.base import ChainDetector
from tocsin.detect.oracle_base import feed_evidence, read_feeds
from tocsin.model.alert import Finding, Limits, Over, Under
from tocsin.model.feed import RATES, FeedKind, FeedView, Reading, Round
from tocsin.model.price import bps, fraction, percent
from tocsin.model.view import ChainView

ID = "oracle.jump"


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleJumpParams:
    """In basis points: of an aggregator from round to round, of a rate within a day."""

    warning: Over | None = Over(over=500)
    critical: Over | None = Over(over=1_500)
    clear: Under = Under(under=400)
    rise_warning: Over | None = Over(over=50)
    rise_critical: Over | None = Over(over=200)
    rise_clear: Under = Under(under=40)
    fall_warning: Over | None = Over(over=1)
    fall_critical: Over | None = Over(over=10)


def oracle_jump(view: ChainView, params: OracleJumpParams) -> Iterator[Finding]:
    """Yield one finding per feed that jumped; `value` in basis points."""
    for one, latest in read_feeds(view):
        if one.settings.kind in RATES:
            yield from _rate(one, latest, params)
        elif one.settings.kind is FeedKind.CHAINLINK and one.seen.rounds:
            yield from _rounds(one, latest, params)


def _rounds(one: FeedView, latest: Reading, params: OracleJumpParams) -> Iterator[Finding]:
    """Look at all rounds since the one before the newest reading: two may have come in one block."""
    fresh = [each for each in one.seen.rounds if each.block == one.seen.rounds[-1].block]
    worst = max(fresh, key=lambda each: each.moved_bps)
    if worst.moved_bps < params.clear.under:
        return
    limits = Limits(warning=params.warning, critical=params.critical, clear=params.clear)
    before = one.seen.rounds[one.seen.rounds.index(worst) - 1]
    said = (
        f"{one.settings.name} went from {before.answer} to {worst.answer} in one round, by {percent(worst.moved_bps)}"
    )
    yield _finding(one, latest, worst.moved_bps, limits, said, [before, worst])


def _rate(one: FeedView, latest: Reading, params: OracleJumpParams) -> Iterator[Finding]:
    day = day_before(one.seen.rounds, latest.at_s)
    if not day:
        return
    now = fraction(latest.value)
    highest = max(day, key=lambda each: fraction(each.answer))
    lowest = min(day, key=lambda each: fraction(each.answer))
    if now < fraction(highest.answer):
        fall = max(1, bps(now, fraction(highest.answer)))
        limits = Limits(warning=params.fall_warning, critical=params.fall_critical, clear=Under(under=1))
        said = f"{one.settings.name} fell from {highest.answer} to {latest.value}, by {_size(now, highest)}"
        yield _finding(one, latest, fall, limits, said, [highest])
        return
    rise = bps(now, fraction(lowest.answer))
    if rise >= params.rise_clear.under:
        limits = Limits(warning=params.rise_warning, critical=params.rise_critical, clear=params.rise_clear)
        said = f"{one.settings.name} rose from {lowest.answer} to {latest.value} within a day, by {percent(rise)}"
        yield _finding(one, latest, rise, limits, said, [lowest])


def _size(now: Fraction, highest: Round) -> str:
    points = bps(now, fraction(highest.answer))
    return percent(points) if points else "less than 0.01 %"


def _finding(one: FeedView, latest: Reading, value: int, limits: Limits, said: str, rounds: list[Round]) -> Finding:
    return Finding(
        detector=ID,
        labels=one.labels,
        value=value,
        unit="basis points",
        limits=limits,
        sample=one.seen.samples,
        summary=said,
        grade=latest.grade,
        block=latest.block,
        evidence={**feed_evidence(one), "rounds": [_row(each) for each in rounds]},
    )


def _row(each: Round) -> dict[str, object]:
    block = {"number": each.block.number, "hash": each.block.hash}
    return {"round": each.number, "answer": each.answer, "updated_at": each.updated_s, "seen_at": block}


DETECTOR = ChainDetector(id=ID, params=OracleJumpParams, run=oracle_jump, everywhere=True)
