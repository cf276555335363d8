"""kill -9 of daemon, broker and consumer while alerts are raised: by the clock, and at every named point.

Half of the kills are drawn uniformly in time, of one, two or all three at once. The other half come at the points
between two durable writes (`points`), one after the other in an order that the dice shuffle: the process that reached
it dies there, or stands still while another one does. A third of all kills come while the last one is still being
healed; the time to heal is taken of the others.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from benchmarks._delivery.points import OF_CONSUMER, OF_DAEMON, SELF
from benchmarks._delivery.rig import Member, Rig, query, staged
from benchmarks._delivery.verdict import Books, alerts_in, quantile, repeated
from tocsin.clock import SystemClock

DAEMON, BROKER, CONSUMER = "daemon", "broker", "consumer"
ALL: Final = (DAEMON, BROKER, CONSUMER)
_PATIENCE_S: Final = 4.0
"""A point that is not reached within this is not on the way that alerts take now."""
_HEAL_S: Final = 120.0
_CALM_S: Final = 120.0
_LOOK_S: Final = 0.01
_SELF_TEST: Final = "5s"
"""How often a word of the self-test is among the alerts: ten times as often as by default, and some expire in time."""
_SHOWN: Final = 5
_UNTIL: Final = "enough"
_SPREAD: Final = 0.7
"""What is raised between kills, as a share of what would make them last to the end: healing takes its time, too."""


class Void(RuntimeError):  # noqa: N818 - reads as the condition
    """A run that proves nothing."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one run does."""

    seed: int
    alerts: int
    rate: float = 50.0
    victims: Sequence[str] = ALL
    kills: int = 60
    """About so many, spread over the alerts."""
    is_exact: bool = False
    """Exactly so many, whatever was raised meanwhile."""
    may_be_void: bool = False
    """Whether it counts although the naive publisher lost nothing: a few kills may hit nothing that it held."""
    expiry_s: int = 0
    """After how long a word of the self-test expires, where that is to be sooner than it is."""
    points_share: float = 0.5
    """Which share of the kills comes at named points; with 1 and as many kills as there are, at each of them once."""


@dataclass(kw_only=True)
class Toll:
    """Who was killed, and when all ran again."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ALL, 0))
    reached: set[str] = field(default_factory=set)
    """Points at which somebody was killed: `<process> <point>: <victim>`."""
    measured: list[tuple[int, str]] = field(default_factory=list)
    """When all ran again that had been killed, and who they were: kills of which the time to heal is taken."""

    @property
    def count(self) -> int:
        return sum(self.kills.values())


class Battery:
    """One run."""

    def __init__(self, rig: Rig, plan: Plan) -> None:
        self.rig, self.plan, self.toll = rig, plan, Toll()
        self._dice = random.Random(f"battery/{plan.seed}")  # noqa: S311 - reproducible, not secret
        self._clock = SystemClock()
        self._points = self._shuffled()
        self._longest_gap_s = _SPREAD * 2 * plan.alerts / plan.kills / plan.rate

    def _shuffled(self) -> Iterator[tuple[Member, str, str]]:
        """Yield who is to reach which point, and who dies there, over and over."""
        rig = self.rig
        every = [
            (member, point, victim)
            for member, points in ((rig.daemon, OF_DAEMON), (rig.consumer, OF_CONSUMER))
            for point in points
            for victim in self.plan.victims
        ]
        self._dice.shuffle(every)
        return cycle(every)

    async def run(self) -> dict[str, Any]:
        """Kill until enough was raised; return the figures. Raises Void, and TimeoutError when it never heals."""
        async with staged(self.rig):
            await self.rig.until(lambda now: now["seq"] > 0, "the first alert")
            while not self._is_enough():
                await self._next()
            (self.rig.folder / _UNTIL).touch()
            last = await self._calm()
            await self.rig.until_here(last)
            counts = list(self.rig.counts)
        return self._figures(Books.of(self.rig.folder), repeated(counts))

    def _is_enough(self) -> bool:
        is_raised = alerts_in(self.rig.folder) >= self.plan.alerts
        return is_raised and (not self.plan.is_exact or self.toll.count >= self.plan.kills)

    async def _next(self) -> None:
        """Kill somebody; where all are killed that were to be, wait for what is still to be raised."""
        if self.plan.is_exact and self.toll.count >= self.plan.kills:
            await asyncio.sleep(1)
        else:
            await self._kill()

    def _raised(self) -> int:
        [[last]] = query(self.rig.folder / "state" / "tocsin.db", "SELECT last_seq FROM head")
        return int(last)

    async def _calm(self) -> int:
        now = await self.rig.until(
            lambda now: now["seq"] >= self.plan.alerts and not now["alerts"],
            "all nodes are well again",
            within_s=_CALM_S + 4 * self.plan.alerts / self.plan.rate,
        )
        return int(now["seq"])

    async def _kill(self) -> None:
        """Kill somebody, and let him come back."""
        await asyncio.sleep(self._dice.uniform(0, self._longest_gap_s))
        by_point = self._dice.random() < self.plan.points_share
        victims = await self._at_a_point() if by_point else self._at_a_time()
        await asyncio.sleep(self._dice.uniform(0, 1.5))
        await self._start(victims)
        up_ns, raised = self._clock.wall_ns(), self._raised()
        if self._dice.random() < 1 / 3:
            await asyncio.sleep(self._dice.uniform(0.1, 1.5))
            return
        self.toll.measured.append((up_ns, "+".join(sorted(victims))))
        await self.rig.until_here(raised, within_s=_HEAL_S)

    def _at_a_time(self) -> list[str]:
        count = self._dice.choice((1, 1, 1, 1, 2, 2, 3))
        victims = self._dice.sample(self.plan.victims, min(count, len(self.plan.victims)))
        for victim in victims:
            self._end(victim)
        return victims

    async def _at_a_point(self) -> list[str]:
        member, point, victim = next(self._points)
        who = SELF if victim == member.name else victim
        member.order(point=point, after=self._dice.randint(1, 8), who=who)
        is_hit = await self._is_reached(member, who)
        self._end(victim)
        if who != SELF:
            member.order(go_on=True)
        if is_hit:
            self.toll.reached.add(f"{member.name} {point}: {victim}")
        return [victim]

    async def _is_reached(self, member: Member, who: str) -> bool:
        end = asyncio.get_running_loop().time() + _PATIENCE_S
        while asyncio.get_running_loop().time() < end:
            reached = self.rig.listen()
            if reached or (who == SELF and not member.is_up):
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    def _end(self, victim: str) -> None:
        self.toll.kills[victim] += 1
        match victim:
            case "daemon":
                self.rig.daemon.kill()
            case "broker":
                self.rig.broker.kill()
            case _:
                self.rig.consumer.kill()

    async def _start(self, victims: list[str]) -> None:
        self._dice.shuffle(victims)
        for victim in victims:
            match victim:
                case "daemon":
                    self.rig.daemon.start()
                case "broker":
                    await asyncio.to_thread(self.rig.broker.start)
                case _:
                    self.rig.consumer.start()

    def _figures(self, books: Books, repeated_share: float) -> dict[str, Any]:
        found = books.figures()
        must_lose = self.plan.victims == ALL and not self.plan.may_be_void
        if must_lose and not found.get("naive_lost"):
            raise Void(f"a publisher without an outbox lost nothing in {self.toll.kills}: the run proves nothing")
        heals = books.heals_s(up_ns for up_ns, _ in self.toll.measured)
        slowest = sorted(zip(heals, self.toll.measured, strict=True), reverse=True)[:_SHOWN]
        latencies = books.latencies_s()
        return {
            **found,
            "kills": dict(self.toll.kills),
            "points": sorted(self.toll.reached),
            "heals_s": [round(one, 3) for one in heals],
            "slowest": [f"{took:.1f} s: {who}, up at {up_ns / 1e9:.1f}" for took, (up_ns, who) in slowest],
            "latency_p50_s": round(quantile(latencies, 0.5), 3),
            "latency_p99_s": round(quantile(latencies, 0.99), 3),
            "import_p50_s": round(quantile(self.rig.imports_s, 0.5), 2),
            "repeated": round(repeated_share, 4),
        }


async def battery(folder: Path, plan: Plan) -> dict[str, Any]:
    """Run one battery in a folder of its own; see `Battery.run`."""
    orders = {"seed": str(plan.seed), "rate": plan.rate, "goal": plan.alerts, "naive": True, "expiry_s": plan.expiry_s}
    # Words of the self-test have numbers too: the goal is reached before as many alerts were raised.
    orders["until"] = str(folder / _UNTIL)
    return await Battery(Rig.of(folder, orders, self_test=_SELF_TEST), plan).run()
