"""Rounds of an aggregator, one after the other: which follow, by how much the price moved, and which cannot follow.

Through a proxy the number of a round is that of its phase and, in the lower 64 bits, that of the aggregator's own
round; both only rise. A new phase is a new aggregator, whose times need not follow those of the old one.
"""

from collections.abc import Iterable
from typing import Final

from tocsin.clock import NS
from tocsin.model.evolve import evolve
from tocsin.model.feed import PHASE_BITS, FeedRecord, Regress, Round
from tocsin.model.price import bps, fraction
from tocsin.units import span_text

KEPT: Final = 16
"""Rounds that are remembered of a feed."""

DAY_S: Final = 86_400
_SAMPLE_S: Final = 3_600
_SAMPLES: Final = 26
"""Of a rate: one an hour, and so a little more than a day."""


def phase_of(number: int) -> int:
    """Return the phase of a proxy's round; 0 for a round of an aggregator itself."""
    return number >> PHASE_BITS


def moved_bps(now: str, before: str) -> int:
    """Return by how much one answer differs from another, in basis points of that one."""
    return bps(fraction(now), fraction(before))


def followed(record: FeedRecord, *fresh: Round) -> FeedRecord:
    """Return what is known of a feed after rounds that were read at one block, by rising number."""
    for one in fresh:
        record = _after(record, one)
    return record


def _after(record: FeedRecord, fresh: Round) -> FeedRecord:
    last = record.rounds[-1] if record.rounds else None
    if last is None:
        return evolve(record, rounds=(fresh,), regress=None)
    wrong = _wrong(last, fresh)
    if wrong:
        return evolve(record, regress=record.regress or Regress(before=last, after=fresh, reason=wrong))
    if fresh.number == last.number:
        return record
    moved = evolve(fresh, moved_bps=moved_bps(fresh.answer, last.answer))
    return evolve(record, rounds=(*record.rounds, moved)[-KEPT:], regress=None)


def _wrong(last: Round, fresh: Round) -> str:
    """Return why a round cannot come after another, nothing where it can."""
    before, after = int(last.number), int(fresh.number)
    if after < before:
        return f"round {_told(after)} came after round {_told(before)}"
    if after == before:
        if fresh.answer != last.answer:
            return f"round {_told(after)} says {fresh.answer} and said {last.answer} before"
        if fresh.updated_s != last.updated_s:
            return f"round {_told(after)} is of {fresh.updated_s} and was of {last.updated_s} before"
        return ""
    if phase_of(after) == phase_of(before) and fresh.updated_s < last.updated_s:
        by = span_text((last.updated_s - fresh.updated_s) * NS)
        return f"round {_told(after)} is older than round {_told(before)}, by {by}"
    return ""


def _told(number: int) -> str:
    """Say a round as people know it: the phase, and the aggregator's own number."""
    phase, own = phase_of(number), number & ((1 << PHASE_BITS) - 1)
    return f"{own} of phase {phase}" if phase else str(own)


def missing(record: FeedRecord, newest: int, most: int) -> tuple[int, ...]:
    """Return the rounds between the last known one and the newest, the newest of them at most; none across phases."""
    last = int(record.rounds[-1].number) if record.rounds else newest
    if phase_of(last) != phase_of(newest):
        return ()
    return tuple(range(max(last + 1, newest - most), newest))


def sampled(record: FeedRecord, fresh: Round) -> FeedRecord:
    """Return what is known of a rate after one more reading: one an hour is kept."""
    if record.rounds and fresh.updated_s - record.rounds[-1].updated_s < _SAMPLE_S:
        return record
    return evolve(record, rounds=(*record.rounds, fresh)[-_SAMPLES:])


def day_before(rounds: Iterable[Round], now_s: int) -> tuple[Round, ...]:
    """Return what was kept of the last day, the oldest first."""
    return tuple(one for one in rounds if now_s - one.updated_s <= DAY_S)
