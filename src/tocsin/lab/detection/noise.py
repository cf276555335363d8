"""How often alarms are false: days of honest pools with all that happens to them, through the real engine.

What happens: empty slots, blocks that come late, blocks that are orphaned, lost and slow answers, a balancer that goes
a block back, own nodes that restart, providers that are out with all their nodes. An alert about a node that is out, or
was until a little while ago, is right, and so is the word that a balancer is one; every other alert is false.
"""

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tocsin.clock import NS
from tocsin.lab.detection import pools
from tocsin.lab.detection.support import Support
from tocsin.lab.detection.watch import Watch, settings_of, subject_of
from tocsin.model.alert import Alert
from tocsin.testing.simstream import StreamSpec

MISSED: Final = 0.01
REORGS: Final = 0.002
"""Shares of slots: empty ones, and ones whose block orphans the block before."""

_OUTAGE_EVERY_NS: Final = 10 * pools.DAY
_OUTAGE_NS: Final = (2 * pools.MINUTE, 20 * pools.MINUTE)
_RESTART_EVERY_NS: Final = 10 * pools.DAY
_RESTART_NS: Final = (20 * NS, 120 * NS)
_GRACE_NS: Final = 10 * pools.MINUTE
"""So long after an outage an alert may still be about it."""

MODEL: Final = {
    "missed_slots": MISSED,
    "orphaned_slots": REORGS,
    "provider_outage_every_days": _OUTAGE_EVERY_NS / pools.DAY,
    "provider_outage_minutes": [span / pools.MINUTE for span in _OUTAGE_NS],
    "own_restart_every_days": _RESTART_EVERY_NS / pools.DAY,
    "own_restart_s": [span / NS for span in _RESTART_NS],
    "provider_error_share": pools.NOISY_ERRORS,
    "balancer_skew_share": pools.NOISY_SKEW,
}
"""For the figures' JSON."""


@dataclass(slots=True, kw_only=True)
class Noise:
    """What came of some days. Alarms by detector; `right` were about an outage."""

    polls: int = 0
    own_days: float = 0.0
    provider_days: float = 0.0
    own: Counter[str] = field(default_factory=Counter)
    provider: Counter[str] = field(default_factory=Counter)
    chain: Counter[str] = field(default_factory=Counter)
    """About the chain, the pool, or the watchdog itself."""
    right: Counter[str] = field(default_factory=Counter)
    heads: int = 0
    unsupported: int = 0

    def add(self, other: "Noise") -> None:
        """Add what came of other days."""
        for name in ("polls", "own_days", "provider_days", "heads", "unsupported"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("own", "provider", "chain", "right"):
            getattr(self, name).update(getattr(other, name))


@dataclass(frozen=True, slots=True)
class _Outage:
    from_ns: int
    to_ns: int
    names: tuple[str, ...]


def noise(seed: int, days: float) -> Noise:
    """Watch the noisy pool for some days."""
    members = pools.noisy()
    dice = random.Random(f"noise/{seed}")  # noqa: S311 - a seeded simulation
    found, support = Noise(), Support()
    spec = StreamSpec(
        seed=dice.randrange(2**32),
        first_slot=9_000_000 + dice.randrange(1_000_000),
        missed=MISSED,
        reorgs=REORGS,
    )
    heard: list[tuple[int, Alert]] = []
    watch = Watch(members, spec, settings_of(members), said=lambda at, alert: heard.append((at, alert)), looked=support)
    outages = _outages(dice, watch.now_ns, int(days * pools.DAY))
    rounds = int(days * pools.DAY) // (pools.POLL_S * NS)
    for _ in range(rounds):
        for node in watch.stream.nodes.values():
            node.down = False
        for outage in outages:
            if outage.from_ns <= watch.now_ns < outage.to_ns:
                for name in outage.names:
                    watch.stream.nodes[name].down = True
        watch.round()
    _judge(found, heard, outages)
    found.polls = sum(watch.asked.values())
    found.own_days = days * sum(member.own for member in members)
    found.provider_days = days * sum(not member.own for member in members)
    found.heads, found.unsupported = support.heads, len(support.unsupported)
    return found


def _judge(found: Noise, heard: list[tuple[int, Alert]], outages: list[_Outage]) -> None:
    own = {member.node.name for member in pools.noisy() if member.own}
    balancers = {member.node.name for member in pools.noisy() if member.node.skewed}
    for at_ns, alert in heard:
        about = _nodes_of(alert)
        is_told = alert.detector == "node.balancer_skew" and about <= balancers
        down = {name for out in outages if out.from_ns <= at_ns < out.to_ns + _GRACE_NS for name in out.names}
        if about and (is_told or about <= down):
            found.right[alert.detector] += 1
        elif not about:
            found.chain[alert.detector] += 1
        else:
            (found.own if about <= own else found.provider)[alert.detector] += 1


def _nodes_of(alert: Alert) -> set[str]:
    """Return the nodes that an alert speaks of: one, all of a provider, or none."""
    name, provider = subject_of(alert), dict(alert.labels).get("provider")
    return {name} if name else {member.node.name for member in pools.noisy() if member.provider == provider}


def _outages(dice: random.Random, from_ns: int, span_ns: int) -> list[_Outage]:
    """Return when own nodes restart, each for itself, and when providers are out with all their nodes."""
    groups: dict[str, list[str]] = {}
    for member in pools.noisy():
        groups.setdefault(member.node.name if member.own else member.provider, []).append(member.node.name)
    outages = []
    for name, names in groups.items():
        is_own = name == names[0]
        every_ns, (least, most) = (_RESTART_EVERY_NS, _RESTART_NS) if is_own else (_OUTAGE_EVERY_NS, _OUTAGE_NS)
        at_ns = 0
        while (at_ns := at_ns + int(dice.expovariate(1 / every_ns))) < span_ns:
            outages.append(_Outage(from_ns + at_ns, from_ns + at_ns + dice.randrange(least, most), tuple(names)))
    return outages


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper bound of a Poisson mean of which `count` were seen (Garwood): 3.0 for none at 95 %."""
    low, high = float(count), 3.0 * count + 20.0
    for _ in range(100):
        middle = (low + high) / 2
        if _at_most(count, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(count: int, mean: float) -> float:
    """Return the chance that a Poisson variable is at most `count`."""
    term = total = math.exp(-mean)
    for at in range(1, count + 1):
        term *= mean / at
        total += term
    return total
