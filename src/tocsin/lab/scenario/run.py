"""A scenario through the real engine under virtual time, hours in seconds.

The nodes are asked by the daemon's own probers and sessions (its pace, batch limits, rate limits and faults included)
and the engine decides; only the sockets are left out. The ticks are here as simple as they can be. The same scenario
over real connections must give the same verdict.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from tocsin import __version__
from tocsin.clock import NS, EngineClock
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.lab.scenario.file import Scenario, Timed
from tocsin.lab.scenario.nodes import InProcess, chain_of, nodes_of
from tocsin.lab.scenario.verdict import Outcome
from tocsin.model.effect import Fetch, Request
from tocsin.model.event import Booted, ConfigRevised, Event, Ticked
from tocsin.model.settings import NodeSettings
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.prober import Prober, plan_of
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.secret import SecretUrl
from tocsin.testing.clock import ManualClock
from tocsin.testing.loop import VirtualLoop
from tocsin.testing.simworld import SimWorld
from tocsin.testing.upstream import NodeUpstream
from tocsin.testing.virtualnode import VirtualNode

_OWN_NS: Final = 2_000_000
_FAR_NS: Final = 60_000_000
"""Round trips to a node next door and to a provider's."""
_QUIET_NS: Final = NS
"""Without news the daemon looks at a chain once a poll, at least every second to five (see `tocsin.runtime.ticker`)."""


def run(scenario: Scenario) -> Outcome:
    """Play a scenario from its start to its end and return what was decided."""
    clock = ManualClock()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(_Play(scenario, clock).play())


@dataclass(slots=True)
class Engine:
    """The engine and its clock over restarts: takes events, keeps the outcome."""

    scenario: Scenario
    clock: ManualClock
    outcome: Outcome
    time: EngineClock = field(init=False)
    state: EngineState = field(default_factory=EngineState)
    boots: int = 0
    begun_ns: int = 0

    def __post_init__(self) -> None:
        self.begun_ns = self.clock.monotonic_ns()
        self.boot()

    def boot(self) -> None:
        """Begin a life, with the state of the one before where there was one."""
        if self.boots:
            self.state = decode_state(encode_state(self.state))
        self.time = EngineClock(self.clock, last_t_ns=self.state.t_ns, last_wall_ns=self.state.wall_ns)
        self.boots += 1
        t_ns, wall_ns = self.time.t_ns(), self.clock.wall_ns()
        self.take(Booted(t_ns=t_ns, wall_ns=wall_ns, boot=f"b{self.boots}", version=__version__))
        self.take(ConfigRevised(t_ns=t_ns, settings=self.scenario.settings))

    @property
    def at_ns(self) -> int:
        """Time since the start of the scenario; the world's, not the watchdog's."""
        return self.clock.monotonic_ns() - self.begun_ns

    def take(self, event: Event) -> tuple[Request, ...]:
        """Decide one event; return what those who poll are asked because of it."""
        done = step(self.state, event)
        self.state = done.state
        self.outcome.note(self.at_ns, done)
        return tuple(effect for effect in done.effects if isinstance(effect, Request))


class _Play:
    _group: asyncio.TaskGroup
    """Owns all that goes on, until the scenario is over."""

    def __init__(self, scenario: Scenario, clock: ManualClock) -> None:
        self._scenario = scenario
        self._clock = clock
        self._chain = scenario.settings.chains[0]
        sim = chain_of(scenario, clock)
        nodes = nodes_of(scenario, sim)
        before = {name: VirtualNode(name, NodeUpstream(node), seed=scenario.table.seed) for name, node in nodes.items()}
        self._world = SimWorld(clock=clock, chain=sim, nodes=nodes, before=before, restart=self._restart)
        self._engine = Engine(scenario, clock, Outcome(scenario=scenario, world=self._world))
        self._up = True
        self._life = 0
        self._time = LivesClock(self._engine)
        self._sessions = {node.name: self._session(node) for node in self._chain.nodes}
        self._probers: dict[str, Prober] = {}
        self._polls: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()

    async def play(self) -> Outcome:
        async with self._group:
            self._begin_polls()
            for timed in self._scenario.timeline:
                self._later(self._strike(timed))
            self._later(self._tick())
            await asyncio.sleep(self._scenario.table.duration_ns / NS)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        return self._engine.outcome

    def _session(self, node: NodeSettings) -> Session:
        endpoint = Endpoint(
            chain=self._chain.name,
            node=node.name,
            url=SecretUrl(f"http://{node.name}.invalid"),
            timeout_ns=max(self._chain.poll_ns, NS // 4),
        )
        return Session(
            endpoint,
            clock=self._time,
            resolver=Resolver(self._clock),
            seed=self._scenario.table.seed,
            channel=InProcess(
                self._world.before[node.name],
                round_trip_ns=_OWN_NS if node.own else _FAR_NS,
                max_body=endpoint.max_body,
            ),
        )

    def _begin_polls(self) -> None:
        """Ask every node by a new prober, as a life of the daemon begins."""
        lag, seed = LoopLag(self._time), self._scenario.table.seed
        for node in self._chain.nodes:
            prober = Prober(plan_of(self._chain, node), self._sessions[node.name], clock=self._time, lag=lag, seed=seed)
            self._probers[node.name] = prober
            self._polls.append(self._later(prober.run(self._take)))

    def _end_polls(self) -> None:
        for task in self._polls:
            task.cancel()
        self._polls.clear()

    async def _tick(self) -> None:
        quiet_ns = min(max(self._chain.poll_ns, _QUIET_NS), 5 * NS)
        last = last_self = -quiet_ns
        while True:
            await asyncio.sleep(self._chain.tick_ns / NS)
            now = self._clock.monotonic_ns()
            if not self._up:
                continue
            if now - last >= quiet_ns or self._engine.state.inbox:
                last = now
                self._ticked(self._chain.name)
            if now - last_self >= _QUIET_NS:
                last_self = now
                self._ticked("")

    def _ticked(self, chain: str) -> None:
        self._take(Ticked(t_ns=self._engine.time.t_ns(), wall_ns=self._clock.wall_ns(), chain=chain))

    def _take(self, event: Event) -> None:
        for request in self._engine.take(event):
            if isinstance(request, Fetch):
                self._later(self._fetch(request))
            else:
                for prober in self._probers.values():
                    prober.follow(request)

    async def _fetch(self, effect: Fetch) -> None:
        life = self._life
        event = await self._probers[effect.node].fetch(effect)
        if life == self._life:
            self._take(event)

    async def _strike(self, timed: Timed) -> None:
        await asyncio.sleep(timed.at_ns / NS)
        await timed.fault.begin(self._world, timed.nodes)
        if timed.until_ns is not None:
            await asyncio.sleep((timed.until_ns - timed.at_ns) / NS)
            await timed.fault.end(self._world, timed.nodes)

    def _restart(self, down_ns: int) -> None:
        self._up = False
        self._life += 1
        self._end_polls()
        self._later(self._come_back(down_ns))

    async def _come_back(self, down_ns: int) -> None:
        await asyncio.sleep(down_ns / NS)
        self._engine.boot()
        self._up = True
        self._begin_polls()

    def _later(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return self._group.create_task(work)


class LivesClock(EngineClock):
    """The engine's time, of whatever life it is in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def t_ns(self) -> int:
        return self._engine.time.t_ns()

    def at(self, monotonic_ns: int) -> int:
        return self._engine.time.at(monotonic_ns)

    def wall_ns(self) -> int:
        return self._engine.clock.wall_ns()
