"""Rounds of an aggregator: read from a file, or made by the law that real ones follow.

The law was fitted to ETH/USD and BTC/USD (2023-04 to 2024-01, heartbeat 1 h, threshold 0.5 %, blocks of 12 s): whether
a round comes early, for the price has moved, or when the heartbeat is over depends on what the one before did; how
early, how late and how far are drawn from quantiles. Figures are those of both series together.
"""

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

BLOCK_S: Final = 12
HEARTBEAT_S: Final = 3_600
DECIMALS: Final = 8

EARLY_AFTER_EARLY: Final = 0.772
EARLY_AFTER_LATE: Final = 0.334
LATE_BLOCKS: Final = (
    (-1, 0.0336),
    (0, 0.6560),
    (1, 0.1667),
    (2, 0.0434),
    (3, 0.0479),
    (4, 0.0043),
    (5, 0.0387),
    (6, 0.0050),
    (7, 0.0016),
    (8, 0.0026),
    (10, 0.0002),
)
"""How many blocks after its heartbeat a round that waited for it came, and how often: 120 s at most."""
EARLY_S: Final = ((0.0, 12), (0.01, 24), (0.05, 96), (0.1, 180), (0.25, 420), (0.5, 1_240), (0.75, 2_570))
EARLY_S_ABOVE: Final = ((0.9, 3_380), (0.95, 3_576), (1.0, 3_576))
"""Quantiles of the gap before a round that came early."""
EARLY_MOVE: Final = ((0.0, 0.0), (0.1, 2.2), (0.25, 9.1), (0.5, 40.3), (0.75, 53.5), (0.9, 60.2), (0.99, 100.8))
EARLY_MOVE_ABOVE: Final = ((0.999, 205.0), (1.0, 328.5))
LATE_MOVE: Final = ((0.0, 0.0), (0.25, 5.6), (0.5, 11.8), (0.75, 21.3), (0.9, 31.1), (0.99, 45.2), (1.0, 63.3))
"""Quantiles of how far a round moves the price, in basis points: early ones, and those of the heartbeat."""

Quantiles = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One round: its number, the answer in units of the feed, and when that was (Unix seconds)."""

    number: int
    answer: int
    updated_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Rounds in their order. `dropped` lines of a file were no complete round."""

    name: str
    rounds: tuple[Answer, ...]
    dropped: int = 0

    @property
    def gaps_s(self) -> list[int]:
        """The times between rounds."""
        return [after.updated_s - before.updated_s for before, after in pairwise(self.rounds)]


def from_file(path: Path) -> Series:
    """Return the rounds of a CSV file with the columns `round`, `answer` and `update`, in any order of rows.

    Rows of zeros are rounds that nobody has completed. Raises ValueError with the line for any other row that is none.
    """
    found, dropped = [], 0
    with path.open(newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            try:
                one = Answer(int(row["round"]), int(row["answer"]), int(row["update"]))
            except (KeyError, TypeError, ValueError):
                raise ValueError(f"{path.name}:{line}: needs whole numbers as round, answer and update") from None
            if one.answer > 0 and one.updated_s > 0:
                found.append(one)
            else:
                dropped += 1
    return Series(name=path.stem, rounds=tuple(sorted(found, key=lambda one: one.number)), dropped=dropped)


def generated(count: int, seed: int, *, start_s: int = 1_680_734_315, answer: int = 190_818_855_732) -> Series:
    """Return so many rounds that follow the law, always the same for a seed."""
    dice = random.Random(f"rounds/{seed}")  # noqa: S311 - a seeded simulation
    now = Answer((6 << 64) + 1, answer, start_s - start_s % BLOCK_S)
    rounds, is_early = [now], True
    for _ in range(count - 1):
        is_early = dice.random() < (EARLY_AFTER_EARLY if is_early else EARLY_AFTER_LATE)
        gap_s = _early_s(dice) if is_early else HEARTBEAT_S + BLOCK_S * _late(dice)
        moved = drawn(dice, (*EARLY_MOVE, *EARLY_MOVE_ABOVE) if is_early else LATE_MOVE)
        step = int(now.answer * moved / 10_000)
        now = Answer(now.number + 1, now.answer + (step if dice.random() < 0.5 else -step), now.updated_s + gap_s)
        rounds.append(now)
    return Series(name=f"generated-{seed}", rounds=tuple(rounds))


def _early_s(dice: random.Random) -> int:
    return max(BLOCK_S, int(drawn(dice, (*EARLY_S, *EARLY_S_ABOVE))) // BLOCK_S * BLOCK_S)


def _late(dice: random.Random) -> int:
    [blocks] = dice.choices([at for at, _ in LATE_BLOCKS], [share for _, share in LATE_BLOCKS])
    return blocks


def drawn(dice: random.Random, quantiles: Quantiles) -> float:
    """Return a number of the distribution that has these quantiles, straight between them."""
    at = dice.random()
    for (below, low), (above, high) in pairwise(quantiles):
        if at <= above:
            return low + (high - low) * (at - below) / (above - below)
    return quantiles[-1][1]


def silenced(series: Series, every: int, seconds: int) -> tuple[Series, frozenset[int]]:
    """Return the series with one gap in so many stretched to so many seconds, and which gaps those are.

    What comes after is later by as much. The first gap is left as it is.
    """
    chosen, later = set(), 0
    rounds = list(series.rounds[:1])
    for at, gap_s in enumerate(series.gaps_s):
        if at % every == every - 1:
            chosen.add(at)
            later += max(0, seconds - gap_s)
        one = series.rounds[at + 1]
        rounds.append(replace(one, updated_s=one.updated_s + later))
    return replace(series, rounds=tuple(rounds)), frozenset(chosen)


def looks(series: Series, late_s: int) -> Iterator[tuple[int, int]]:
    """Yield when to look, and at which gap: at each round, when it would be late, and just before the next one.

    Between these the age only grows: whatever an alert says in a gap it says at one of them.
    """
    for at, (before, gap_s) in enumerate(zip(series.rounds, [*series.gaps_s, BLOCK_S], strict=True)):
        last = before.updated_s + max(0, gap_s - BLOCK_S)
        for now_s in sorted({before.updated_s, min(before.updated_s + late_s, last), last}):
            yield now_s, at
