"""The daemon, fed by a seeded source instead of sockets to nodes: everything behind a poll is the daemon's own.

    python -m benchmarks._delivery.source --config tocsin.toml --orders '{"seed": "1", "rate": 50, "goal": 500}'

Some nodes are well and hold the quorum; the others fall ill and recover as the dice say, `rate` times a second in all,
until the stream has reached `goal`: then all of them recover, and no more happens. Every fourth of them is of another
chain when it is ill (critical), the rest are catching up (warning). What is raised is known by the number that the
stream has reached, which is in the store: a life that was killed goes on where it was.

The journal of what left the core is a file of lines, `witness`, one for each alert once it was committed.
"""

import argparse
import asyncio
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Final

import orjson

from benchmarks._delivery.naive import NaivePublisher
from benchmarks._delivery.patients import (
    ALERTS,
    OTHER_CHAIN,
    SLOT_S,
    Illness,
    Patient,
    Ward,
    by_chain,
    chain_since,
    outbreaks,
)
from benchmarks._delivery.points import Points, say
from benchmarks._delivery.stalls import Stalls
from tocsin import __version__
from tocsin.clock import MS, NS, SystemClock
from tocsin.config.tree import Tree
from tocsin.engine.codec import FORMAT
from tocsin.model.effect import Fetch, Request
from tocsin.model.event import Fetched, Polled
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING
from tocsin.model.question import CLIENT_VERSION, PEERS
from tocsin.runtime import endpoints, garbage
from tocsin.runtime.configuration import read_config
from tocsin.runtime.daemon import Daemon
from tocsin.runtime.logs import set_up
from tocsin.runtime.recovery import recover
from tocsin.runtime.watch import Watch
from tocsin.runtime.watched import Means
from tocsin.store import Origin, Store, core
from tocsin.wire import envelope

FIRST_ID: Final = 1337
"""The id of the first chain; the next one has the next."""
_STEP_S: Final = 0.05
_LONGEST_STEP_S: Final = 0.5
_POLL_S: Final = 1.0
"""Between two polls of a node to which nothing happens: slower than anything that this is about."""
_CALM_POLL_S: Final = 60.0
"""The same in a storm: thousands of nodes that are polled each second would be the storm."""
_MOST_ILL: Final = 0.5
_FAST: Final = (CHAIN_ID, LATEST, SYNCING)
_SLOW: Final = (CHAIN_ID, LATEST, SAFE, FINALIZED, SYNCING)
_ALL: Final = (*_SLOW, CLIENT_VERSION, PEERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the source is to do."""

    seed: str = "0"
    rate: float = 50.0
    """Changes a second; 0 lets nothing happen."""
    goal: int = 0
    """The number of the stream at which it ends."""
    until: str = ""
    """A file without which it goes on beyond the goal."""
    critical_of: int = 4
    """Of so many nodes that may fall ill one is of another chain then, which is critical."""
    storm: bool = False
    """Every node that may fall ill gets all that it can have, chain by chain, within `within_s`."""
    within_s: float = 10.0
    slot_s: int = SLOT_S
    after_s: float = 0.0
    """How long nothing happens first."""
    began: tuple[int, int] = (0, 0)
    """Monotonic and wall time at which the chain began, ns: it is one chain, whatever life looks at it."""
    naive: bool = False
    stalls: bool = False
    """Measure how long the loop stands still."""
    expiry_s: int = 0
    """After how long a word of the self-test is worth nothing; 0 for as long as in the product."""
    wall_steps_s: tuple[float, ...] = ()
    """By how much the wall clock jumps, one step each two seconds."""


class SeededWatch(Watch):
    """Stands where the sessions stand: polls come from the dice, and so do answers to what the engine asks."""

    def __init__(self, means: Means, orders: Orders, seq: Callable[[], int]) -> None:
        super().__init__(means)
        self._orders = orders
        self._seq = seq
        self._patients: dict[tuple[str, str], Patient] = {}
        self._dice = random.Random(f"{orders.seed}/{seq()}")  # noqa: S311 - reproducible, not secret
        self._questions: asyncio.Queue[Fetch] = asyncio.Queue()
        self._clock = means.clock
        self._passed_s = _STEP_S
        """Since the last step: on a crowded machine steps take longer, and nothing is to become rarer for that."""
        self._other = chain_since(orders.began, OTHER_CHAIN, orders.slot_s)

    async def apply(self, tree: Tree) -> None:
        """Take the nodes of a configuration, and begin."""
        began, slot_s = self._orders.began, self._orders.slot_s
        wards = {chain.name: Ward(chain_since(began, chain.id, slot_s), self._other) for chain in tree.chains}
        for at, (chain, node) in enumerate(endpoints.nodes(tree)):
            is_critical = at % self._orders.critical_of == 0
            self._patients[chain, node] = Patient(chain, node, wards[chain], is_critical=is_critical)
        self._means.supervisor.spawn("source", self._run)

    def take(self, request: Request) -> None:
        if isinstance(request, Fetch):
            self._questions.put_nowait(request)

    async def run_fetches(self) -> None:
        """Answer for ever."""
        while True:
            effect = await self._questions.get()
            [part] = self._patients[effect.chain, effect.node].answer((effect.call,))
            event = Fetched(
                t_ns=self._clock.t_ns(),
                chain=effect.chain,
                node=effect.node,
                request=effect.request,
                call=effect.call,
                part=part,
            )
            self._means.emit(event)
            await asyncio.sleep(0)

    def _poll(self, patient: Patient) -> None:
        patient.polls += 1
        now = self._clock.t_ns()
        self._means.emit(
            Polled(
                t_ns=now,
                started_ns=now - 2 * MS,
                chain=patient.chain,
                node=patient.name,
                poll=patient.polls,
                parts=patient.answer(self._calls(patient)),
            )
        )

    def _calls(self, patient: Patient) -> tuple[str, ...]:
        if self._orders.storm:
            return _ALL
        return _SLOW if patient.polls % SLOT_S == 1 else _FAST

    async def _run(self) -> None:
        quiet = self._quietly()
        for patient in self._patients.values():
            self._poll(patient)
        await asyncio.sleep(self._orders.after_s)
        before = asyncio.get_running_loop().time()
        changes = self._storm() if self._orders.storm else self._dribble()
        while True:
            began = asyncio.get_running_loop().time()
            self._passed_s = min(began - before, _LONGEST_STEP_S)
            before = began
            for patient in next(changes):
                self._poll(patient)
            for patient in next(quiet):
                self._poll(patient)
            took = asyncio.get_running_loop().time() - began
            await asyncio.sleep(max(0.0, _STEP_S - took))

    def _quietly(self) -> Iterator[list[Patient]]:
        """Yield, step by step, the nodes whose ordinary poll is due: in a storm a chain's together, as they are."""
        everyone = list(self._patients.values())
        units = list(by_chain(everyone)) if self._orders.storm else [[patient] for patient in everyone]
        poll_s = _CALM_POLL_S if self._orders.storm else _POLL_S
        due, at = 0.0, 0
        while True:
            due += len(units) * self._passed_s / poll_s
            batch = [units[(at + offset) % len(units)] for offset in range(int(due))]
            at, due = (at + len(batch)) % len(units), due - len(batch)
            yield [patient for unit in batch for patient in unit]

    def _dribble(self) -> Iterator[list[Patient]]:
        """Yield the nodes whose state changes now."""
        weak = [patient for patient in self._patients.values() if patient.may_fall_ill]
        due, touched = 0.0, [set[Patient](), set[Patient]()]
        while True:
            if self._is_over():
                last = [patient for patient in weak if patient.is_ill]
                for patient in last:
                    patient.turn()
                yield last
                continue
            due += self._orders.rate * self._passed_s
            free = [patient for patient in weak if patient not in touched[0] | touched[1]]
            ill = sum(patient.is_ill for patient in weak)
            if ill > _MOST_ILL * len(weak):
                free.sort(key=lambda patient: not patient.is_ill)
                free = free[: max(1, int(due))] or free
            chosen = self._dice.sample(free, min(int(due), len(free)))
            due -= int(due)
            for patient in chosen:
                patient.turn()
            touched = [touched[1], set(chosen)]
            yield chosen

    def _is_over(self) -> bool:
        orders = self._orders
        is_reached = 0 < orders.goal <= self._seq()
        return is_reached and (not orders.until or Path(orders.until).exists())

    def _storm(self) -> Iterator[list[Patient]]:
        """Yield the nodes that fall ill now: a chain's nodes together, one chain after the other."""
        weak = [patient for patient in self._patients.values() if patient.may_fall_ill]
        waiting = list(outbreaks(weak))
        every = [illness for outbreak in waiting for _, illness in outbreak]
        alerts = sum(ALERTS[illness] for illness in every)
        say(storm=alerts, critical=every.count(Illness.FOREIGN))
        due = 0.0
        while True:
            due += alerts * self._passed_s / self._orders.within_s
            batch: list[Patient] = []
            while waiting and due > 0:
                for patient, illness in waiting.pop(0):
                    patient.catch(illness)
                    batch.append(patient)
                    due -= ALERTS[illness]
            yield batch


class SeededDaemon(Daemon):
    """The daemon with that source."""

    def feed(self, orders: Orders, witness: Path, naive: NaivePublisher | None) -> None:
        """Put the source in the place of the sessions."""
        means = self.watch._means  # noqa: SLF001 - the source stands where the sessions stand
        self.watch = SeededWatch(means, orders, lambda: self.core.state.seq)
        self._naive = naive
        self._witness = witness.open("ab", buffering=0)
        if naive is not None:
            self.supervisor.spawn("naive", naive.run)
        if orders.stalls:
            stalls = Stalls()
            stalls.lay()
            self.supervisor.spawn("stalls", stalls.run)

    def _on_alert(self, payload: bytes) -> None:
        super()._on_alert(payload)
        key = str(orjson.loads(payload)["id"])
        self._witness.write(f"{key}\n".encode())
        if self._naive is not None:
            self._naive.give(key)


def step_wall(steps_s: Sequence[float]) -> None:
    """Let the wall clock of this process jump to each of these, two seconds each, over and over."""
    wall, began = SystemClock.wall_ns, SystemClock().monotonic_ns()

    @wraps(wall)
    def stepped(clock: SystemClock) -> int:
        at = (clock.monotonic_ns() - began) // (2 * NS) % len(steps_s)
        return wall(clock) + int(steps_s[at] * NS)

    SystemClock.wall_ns = stepped  # type: ignore[method-assign,assignment]


def expire_after(seconds: int) -> None:
    """Let words of the self-test expire sooner, and look for those that have each second."""
    envelope.TEST_EXPIRY_S = seconds  # type: ignore[misc]
    core.MINUTE_NS = NS


async def live(path: Path, orders: Orders, points: Points) -> None:
    """Run one life, as `tocsin run` does."""
    loaded = read_config(path, os.environ)
    clock = SystemClock()
    origin = Origin(code=__version__, codec=FORMAT, config_hash=loaded.settings.config_hash)
    state_dir = Path(loaded.tree.watchdog.state_dir)
    limits = endpoints.limits(loaded.tree.journal)
    async with await Store.open(state_dir, clock=clock, limits=limits, origin=origin) as store:
        past = await recover(store, clock, lambda _: None)
        daemon = SeededDaemon(path, loaded, store, past, environ=os.environ)
        assert loaded.tree.mqtt is not None
        naive = NaivePublisher(endpoints.broker(loaded.tree.watchdog, loaded.tree.mqtt).port) if orders.naive else None
        daemon.feed(orders, path.with_name("witness"), naive)
        points.listen()
        await daemon.run()


def main() -> None:
    """Run one life; killed at a point, or by whoever started it."""
    parser = argparse.ArgumentParser(description="the daemon, fed by a seeded source")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--orders", type=json.loads, required=True)
    options = parser.parse_args()
    set_up("info")
    say(imported_ns=SystemClock().monotonic_ns())
    if options.orders.get("wall_steps_s"):
        step_wall(options.orders["wall_steps_s"])
    if options.orders.get("expiry_s"):
        expire_after(options.orders["expiry_s"])
    points = Points()
    points.around_store()
    points.around_publish()
    garbage.begin()
    with suppress(KeyboardInterrupt):
        asyncio.run(live(options.config, Orders(**options.orders), points))


if __name__ == "__main__":
    main()
