"""How closely the nodes of a chain are looked at: when its blocks are expected, and who is asked at every interval.

On a chain with a slot clock a block is due at its timestamp and comes some seconds later. How many is learnt as a
running median of integers: each block moves the estimate one step towards where it was found, so that one block that
comes late, or a clock that jumps, moves it no further than any other.
"""

from collections.abc import Iterable

from tocsin.alerting.tracked import Alerts
from tocsin.chain.tree import relation
from tocsin.clock import NS
from tocsin.engine.cadence import is_by_slot
from tocsin.engine.state import ChainState
from tocsin.engine.voting import voters
from tocsin.model.effect import Pace
from tocsin.model.evolve import evolve
from tocsin.model.settings import ChainSettings
from tocsin.model.view import Ahead, Level

_STEPS_PER_SLOT = 120
"""One step is 100 ms of a slot of 12 s: the estimate follows a change of a second within ten blocks."""

_FIRST_GUESS = 6
"""A sixth of a slot: 2 s of 12, the middle of the medians of 1.2 to 3.0 s between well and badly connected nodes."""

_UNHURRIED = frozenset({"node.budget_short"})
"""A closer look would cost what there is too little of, and tell nothing more."""

_NOTABLE = 4
"""A shift of a quarter of a poll interval is told; less would change nothing that a poll sees."""


def follow(before: ChainState, after: ChainState, chain: ChainSettings, wall_ahead_ns: int) -> ChainState:
    """Return the state after a look, with what it teaches about the coming of blocks, and how to poll from now on."""
    if not is_by_slot(chain):
        return after
    delay = _learnt(before, after, chain, wall_ahead_ns)
    arrival = None if delay is None else (chain.genesis_time_s or 0) * NS + delay - wall_ahead_ns
    missing = [name for name, record in after.nodes.items() if record.missed]
    pace = Pace(chain=chain.name, arrival_ns=arrival, urgent=_urgent(chain, after.alerts, missing))
    if after.pace is not None and not _differs(after.pace, pace, chain):
        pace = after.pace
    return after if delay == after.delay_ns and pace is after.pace else evolve(after, delay_ns=delay, pace=pace)


def _learnt(before: ChainState, after: ChainState, chain: ChainSettings, wall_ahead_ns: int) -> int | None:
    """Return how long after its slot a block comes, given the two states between which the agreed head may have moved.

    The node that completed the quorum showed the block in its newest answer and not in the one before: the block came
    in the middle for all we know. Only who has a vote, and has the block, can have been that node.
    """
    old, new = before.head.block, after.head.block
    header = None if new is None else after.tree.headers.get(new.hash)
    if header is None or old is None or header.number <= old.number:
        return after.delay_ns
    answers = [
        (record.last_answer_ns, earlier.last_answer_ns)
        for name, record in voters(after, chain).items()
        if name not in after.ruled_out
        and (earlier := before.nodes.get(name)) is not None
        and record.head is not None
        and isinstance(relation(after.tree, record.head, header), Level | Ahead)
        and record.last_answer_ns is not None
        and earlier.last_answer_ns is not None
        and record.last_answer_ns > earlier.last_answer_ns
    ]
    if not answers:
        return after.delay_ns
    found, looked = max(answers)
    slot = chain.block_time_ns
    came = (found + max(looked, found - slot)) // 2 + wall_ahead_ns - header.timestamp * NS
    guess = slot // _FIRST_GUESS if after.delay_ns is None else after.delay_ns
    step = slot // _STEPS_PER_SLOT
    return max(0, min(slot - 1, guess + max(-step, min(step, came - guess))))


def _differs(old: Pace, new: Pace, chain: ChainSettings) -> bool:
    """Tell whether a poll would show the difference."""
    if old.urgent != new.urgent or old.arrival_ns is None or new.arrival_ns is None:
        return old != new
    shift = (new.arrival_ns - old.arrival_ns) % chain.block_time_ns
    return min(shift, chain.block_time_ns - shift) * _NOTABLE >= chain.poll_ns


def _urgent(chain: ChainSettings, alerts: Alerts, missing: Iterable[str]) -> tuple[str, ...]:
    """Return the nodes to be asked at every interval: with a flag, even a pending one, or without an answer.

    All of them when the chain or the pool has a flag.
    """
    names = set(missing)
    for tracked in alerts.tracked.values():
        if tracked.finding.detector in _UNHURRIED:
            continue
        labels = dict(tracked.finding.labels)
        if "provider" in labels:
            names |= {node.name for node in chain.nodes if node.provider == labels["provider"]}
            continue
        if "node" not in labels:
            return tuple(sorted(node.name for node in chain.nodes))
        names |= {node.name for node in chain.nodes if node.id == labels["node"]}
    return tuple(sorted(names))
