"""How long after a fault its alert comes: hundreds of trials, each with a phase and a seed of its own."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from tocsin.clock import NS
from tocsin.lab.detection import pools
from tocsin.lab.detection.watch import Member, Watch, settings_of, subject_of
from tocsin.model.alert import Alert
from tocsin.model.observation import CHAIN_ID, Part
from tocsin.model.settings import Settings
from tocsin.testing.simstream import StreamSpec

_CALM_S: Final = 240
_GOLDEN: Final = 0.6180339887498949
_PATIENCE_S: Final = 300
"""What is not detected by then is not detected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of trial: whom to look at, what to break, and which alert counts as its detection."""

    name: str
    pool: Callable[[], tuple[Member, ...]]
    strike: Callable[[Watch, int, random.Random], None]
    """Break it, at this instant between two polls."""
    subject: str
    """The node that is broken; empty for the chain."""
    detectors: frozenset[str]
    """Any of these about the subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of one trial: time and polls from the fault to the alert, None where it never came."""

    after_ns: int | None
    polls: int | None
    others: tuple[str, ...]
    """Alerts about anybody else meanwhile."""


@cache
def _settings(members: tuple[Member, ...]) -> Settings:
    return settings_of(members)


def trial(kind: Kind, seed: int) -> Found:
    """Run one trial."""
    dice = random.Random(f"{kind.name}/{seed}")  # noqa: S311 - a seeded simulation
    heard: list[tuple[int, int, Alert]] = []
    members = kind.pool()
    watch = Watch(
        members,
        StreamSpec(seed=dice.randrange(2**32), first_slot=9_000_000 + dice.randrange(100_000)),
        _settings(members),
        said=lambda at, alert: heard.append((at, _polls(watch, kind, watch.answered), alert)),
    )
    # The phase between polls and slots, and the fault's between two polls. The latter's in the slot is spread evenly
    # over the trials (golden ratio): it moves the latency by a whole slot, and chance alone would leave gaps.
    watch.stream.epoch_ns -= dice.randrange(pools.SLOT_S * NS)
    into_ns = int(seed * _GOLDEN % 1 * pools.SLOT_S * NS)
    slots_ns = watch.stream.epoch_ns + _CALM_S * NS
    while watch.now_ns < slots_ns + into_ns:
        watch.round()
    before = len(heard)
    at_ns, polls = slots_ns + into_ns, _polls(watch, kind, watch.asked)
    kind.strike(watch, at_ns, dice)
    while watch.now_ns < at_ns + _PATIENCE_S * NS and not any(_counts(kind, alert) for _, _, alert in heard[before:]):
        watch.round()
    others = tuple(f"{alert.detector} {subject_of(alert)}" for _, _, alert in heard if not _counts(kind, alert))
    first = next(((at, count) for at, count, alert in heard[before:] if _counts(kind, alert)), None)
    if first is None:
        return Found(after_ns=None, polls=None, others=others)
    return Found(after_ns=first[0] - at_ns, polls=first[1] - polls, others=others)


def _polls(watch: Watch, kind: Kind, counted: Mapping[str, int]) -> int:
    """Return how many polls of the subject are counted so far; of the chain every interval is one."""
    return counted.get(kind.subject, 0) if kind.subject else watch.polls


def _counts(kind: Kind, alert: Alert) -> bool:
    return alert.detector in kind.detectors and subject_of(alert) == kind.subject


def _freeze(watch: Watch, at_ns: int, dice: random.Random) -> None:
    del dice
    watch.stream.grow(at_ns)
    node = watch.stream.nodes["own0"]
    node.catch_up(at_ns)
    node.frozen = True


def _fail(watch: Watch, at_ns: int, dice: random.Random) -> None:
    del at_ns
    node = watch.stream.nodes["own0"]
    node.down, node.hung = dice.random() < 1 / 2, True


def _other_chain(watch: Watch, at_ns: int, dice: random.Random) -> None:
    del at_ns, dice
    watch.stream.nodes["own0"].chain_id = Part(call=CHAIN_ID, result=b'"0x5"')


def _fork(watch: Watch, at_ns: int, dice: random.Random) -> None:
    watch.stream.grow(watch.now_ns)
    watch.stream.part("fork", depth=dice.randrange(2, 9), now_ns=at_ns)
    watch.stream.nodes["own0"].follow("fork")


def _fork_by_one(watch: Watch, at_ns: int, dice: random.Random) -> None:
    del dice
    watch.stream.grow(watch.now_ns)
    watch.stream.part("fork", depth=1, now_ns=at_ns)
    watch.stream.nodes["own0"].follow("fork")


def _lose_two_groups(watch: Watch, at_ns: int, dice: random.Random) -> None:
    del at_ns
    for name in dice.choice((("own0", "own1", "far0"), ("own0", "own1", "far1"), ("far0", "far1"))):
        watch.stream.nodes[name].down = True


FROZEN: Final = Kind(
    name="frozen",
    pool=pools.small,
    strike=_freeze,
    subject="own0",
    detectors=frozenset({"node.lag", "node.stale"}),
)
UNREACHABLE: Final = Kind(
    name="unreachable",
    pool=pools.small,
    strike=_fail,
    subject="own0",
    detectors=frozenset({"node.unreachable"}),
)
WRONG_CHAIN: Final = Kind(
    name="wrong_chain",
    pool=pools.small,
    strike=_other_chain,
    subject="own0",
    detectors=frozenset({"node.wrong_chain"}),
)
FORK: Final = Kind(
    name="fork",
    pool=pools.small,
    strike=_fork,
    subject="own0",
    detectors=frozenset({"node.fork"}),
)
FORK_BY_ONE: Final = Kind(
    name="fork_by_one",
    pool=pools.small,
    strike=_fork_by_one,
    subject="own0",
    detectors=frozenset({"node.fork"}),
)
QUORUM_LOSS: Final = Kind(
    name="quorum_loss",
    pool=pools.small,
    strike=_lose_two_groups,
    subject="",
    detectors=frozenset({"pool.quorum_lost", "pool.blind"}),
)
KINDS: Final = (FROZEN, UNREACHABLE, WRONG_CHAIN, FORK, FORK_BY_ONE, QUORUM_LOSS)


def quantile(values: Sequence[int], share: float) -> int:
    """Return the smallest value that at least this share of all do not exceed (nearest rank: no value is invented)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
