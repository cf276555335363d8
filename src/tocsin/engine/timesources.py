"""What several time servers say together, and who of them is wrong.

Each server's time is an interval: its offset, give or take its root distance. The true time lies where more than half
of the intervals overlap (Marzullo, as in RFC 5905 11.2.1); a server whose interval lies elsewhere is a falseticker. Two
servers that contradict each other tell nothing: a man with two watches never knows what time it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tocsin.clock import MS
from tocsin.model.host import ClockSample

_LEAST_NS = MS
"""No interval is taken to be narrower: what the two hosts' timestamping adds is in no field of the packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """By how much the servers' time is ahead of ours, give or take; None where no majority says so."""

    offset_ns: int | None
    distance_ns: int = 0
    false: tuple[str, ...] = ()
    """Servers that the majority contradicts."""


def agree_on_time(samples: Iterable[ClockSample]) -> Verdict:
    """Return the verdict of all servers that gave a usable time. With one server it is that server's word."""
    told = usable(samples)
    if not told:
        return Verdict(offset_ns=None)
    low, high, votes = _most_shared(told)
    if 2 * votes <= len(told):
        return Verdict(offset_ns=None)
    true = [one for one in told if _start(one) <= low and high <= _end(one)]
    offsets = sorted(one.offset_ns for one in true)
    middle = len(offsets) // 2
    return Verdict(
        offset_ns=(offsets[middle] + offsets[-middle - 1]) // 2,
        distance_ns=min(_distance(one) for one in true),
        false=tuple(sorted(one.server for one in told if one not in true)),
    )


def usable(samples: Iterable[ClockSample]) -> list[ClockSample]:
    """Return the servers that gave a time at all."""
    return [sample for sample in samples if not sample.problem]


def _distance(one: ClockSample) -> int:
    return max(_LEAST_NS, one.distance_ns)


def _start(one: ClockSample) -> int:
    return one.offset_ns - _distance(one)


def _end(one: ClockSample) -> int:
    return one.offset_ns + _distance(one)


def _most_shared(samples: list[ClockSample]) -> tuple[int, int, int]:
    """Return the first interval that most samples share, and how many do."""
    edges = sorted([(_start(one), -1) for one in samples] + [(_end(one), 1) for one in samples])
    best, depth, found = 0, 0, (0, 0)
    for at, (where, kind) in enumerate(edges):
        depth -= kind
        if kind < 0 and depth > best:
            best, found = depth, (where, edges[at + 1][0])
    return (*found, best)
