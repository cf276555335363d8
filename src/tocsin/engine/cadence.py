"""The instants at which the nodes of a chain are polled: in engine time, the same for all of them.

Evenly, every `poll_ns`. Or locked to the slots of the chain: half an interval after a block is expected, one and a half
after it, then every second interval until the next block. At 2 s and 12 s that is +1, +3, +7 and +11 s: four polls that
see more than six spread evenly, because the first two lie where something happens. Own nodes, which cost nothing, are
polled at every interval.
"""

import random
from bisect import bisect_right
from dataclasses import dataclass

from tocsin.clock import MS
from tocsin.model.effect import Pace
from tocsin.model.settings import ChainSettings

_GRID_NS = 100 * MS
"""Chains share these instants: waking the loop for each chain alone costs more. 500 nodes in 25 chains at 1 Hz take
17 % of a core with a grid of 50 ms, 15 % with this one."""

_FLOOR_PACES = 5


@dataclass(frozen=True, slots=True)
class Cadence:
    """Instants that repeat every `period_ns`: at each of `offsets` (rising, below the period) after the phase."""

    period_ns: int
    phase_ns: int
    offsets: tuple[int, ...] = (0,)

    def per(self, span_ns: int) -> int:
        """Return how many instants fall into a span."""
        return span_ns * len(self.offsets) // self.period_ns

    def at_or_before(self, now_ns: int) -> int:
        """Return the latest instant that is not after `now_ns`."""
        into = (now_ns - self.phase_ns) % self.period_ns
        start = now_ns - into
        place = bisect_right(self.offsets, into)
        return start + self.offsets[place - 1] if place else start - self.period_ns + self.offsets[-1]

    def after(self, now_ns: int) -> int:
        """Return the first instant after `now_ns`."""
        into = (now_ns - self.phase_ns) % self.period_ns
        start = now_ns - into
        place = bisect_right(self.offsets, into)
        return start + self.offsets[place] if place < len(self.offsets) else start + self.period_ns + self.offsets[0]


def evenly(chain: str, poll_ns: int) -> Cadence:
    """Return the even cadence of a chain; several chains are spread over the interval, each by its name."""
    grid = _GRID_NS if poll_ns >= 2 * _GRID_NS else 1
    phase = random.Random(f"{chain}/phase").randrange(poll_ns // grid) * grid  # noqa: S311 - spread, not a secret
    return Cadence(period_ns=poll_ns, phase_ns=phase)


def is_by_slot(chain: ChainSettings) -> bool:
    """Tell whether polls are locked to the slots: there must be a slot clock, and room for fewer polls than evenly."""
    return chain.genesis_time_s is not None and chain.block_time_ns >= 4 * chain.poll_ns


def at_rest(chain: ChainSettings, *, own: bool) -> Cadence:
    """Return the cadence of a node of a chain on which nothing is wrong, but for its phase."""
    if own or not is_by_slot(chain):
        return evenly(chain.name, chain.poll_ns)
    return by_slot(chain.poll_ns, chain.block_time_ns, 0)


def sparsest_ns(block_time_ns: int, poll_ns: int) -> int:
    """Return the longest time between two polls to which a scarce budget may stretch them: the safety floor.

    Five block times, 60 s on Ethereum: what a node then misses is found before the chain is called halted.
    """
    return _FLOOR_PACES * max(block_time_ns, poll_ns)


def followed(pace: Pace | None, chain: str, node: str, *, own: bool, poll_ns: int, slot_ns: int) -> Cadence:
    """Return the cadence of one node of a chain under a pace; without one, the even one. Own nodes cost nothing."""
    if pace is None or pace.arrival_ns is None:
        return evenly(chain, poll_ns)
    if own or node in pace.urgent:
        # The instants of the slots and those between them: who is asked more often is still asked with the others.
        return Cadence(period_ns=poll_ns, phase_ns=(pace.arrival_ns + poll_ns // 2) % poll_ns)
    return by_slot(poll_ns, slot_ns, pace.arrival_ns)


def by_slot(poll_ns: int, slot_ns: int, arrival_ns: int) -> Cadence:
    """Return the cadence locked to blocks that are expected at `arrival_ns` and every `slot_ns` from there."""
    first = poll_ns // 2  # late enough to find the block, early enough to be of use
    last = slot_ns + first - poll_ns
    offsets = [first, *range(first + poll_ns, last + 1, 2 * poll_ns)]
    if last - offsets[-1] > poll_ns:
        offsets.append(last)
    return Cadence(period_ns=slot_ns, phase_ns=arrival_ns % slot_ns, offsets=tuple(offsets))
