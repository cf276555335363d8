"""How long a chain is usually quiet: the distribution of the gaps between two advances of its agreed head.

Kept as counts of whole units (block times, or polls where those are longer), so that it is bounded, canonical and the
same on every machine. Old gaps fade: when there are enough, all counts are halved.
"""

from dataclasses import dataclass
from math import isqrt

LONGEST = 64
"""Gaps of so many units and more are one and the same."""

FULL = 2048
"""At so many gaps all counts are halved: on a chain of 12 s that is the last seven to fourteen hours."""

LEAST = 256
"""Below this nothing is said: the hundredth part would be two or three gaps."""

USUAL = 1
"""The answer while too little is known: a chain that advances in every unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """Counts of gaps of 1, 2, ... units; the last one counts all that are longer too."""

    counts: tuple[int, ...] = ()
    total: int = 0


def noted(gaps: Gaps, gap_ns: int, unit_ns: int) -> Gaps:
    """Return the counts after one more gap, to the nearest unit; shorter than one is one."""
    at = min(LONGEST, max(1, (2 * gap_ns + unit_ns) // (2 * unit_ns))) - 1
    counts = list(gaps.counts) + [0] * (at + 1 - len(gaps.counts))
    counts[at] += 1
    if gaps.total + 1 < FULL:
        return Gaps(counts=tuple(counts), total=gaps.total + 1)
    halved = [count // 2 for count in counts]
    while halved and not halved[-1]:
        halved.pop()
    return Gaps(counts=tuple(halved), total=sum(halved))


def p99(gaps: Gaps) -> int:
    """Return the gap that 99 of 100 do not exceed, in units, as far as the counts rule out chance.

    More than a hundredth must be longer, by three standard deviations of a count, before a gap is called usual: a chain
    that misses one slot in a hundred keeps the gap of one slot, whatever the last hours happened to bring.
    """
    if gaps.total < LEAST:
        return USUAL
    rare = gaps.total // 100
    allowed = rare + 3 * isqrt(rare) + 1
    longer = gaps.total
    for at, count in enumerate(gaps.counts):
        longer -= count
        if longer <= allowed:
            return at + 1
    return len(gaps.counts)
