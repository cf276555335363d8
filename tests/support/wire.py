"""A scenario over real connections: loopback servers, the daemon's own sessions, probers, websockets and ticks.

Under virtual time, so that minutes pass in seconds. Whatever may go wrong between a node and the engine goes wrong here
as it does in life; the verdict must be the one that the run without sockets gives.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from tocsin.clock import NS
from tocsin.config.secrets import NodeUrl, WebsocketUrl
from tocsin.config.tree import Tree
from tocsin.lab.scenario import Outcome, Scenario
from tocsin.lab.scenario.file import Timed
from tocsin.lab.scenario.nodes import chain_of, nodes_of
from tocsin.lab.scenario.run import Engine, LivesClock
from tocsin.model.event import Event
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.supervisor import Supervisor
from tocsin.runtime.ticker import Ticker
from tocsin.runtime.watch import Watch
from tocsin.runtime.watched import Means
from tocsin.testing import FaultProxy, ManualClock, VirtualLoop, serve_nodes
from tocsin.testing.simworld import SimWorld


def run_over_wire(scenario: Scenario) -> Outcome:
    """Play a scenario over loopback HTTP and websockets."""
    clock = ManualClock()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(_play(scenario, clock))


async def _play(scenario: Scenario, clock: ManualClock) -> Outcome:
    chain = chain_of(scenario, clock)
    nodes = nodes_of(scenario, chain)
    async with (
        serve_nodes(*nodes.values(), interval_ns=NS // 2) as listeners,
        FaultProxy({name: listeners[name].url for name in nodes}, seed=scenario.table.seed) as proxy,
    ):
        world = SimWorld(clock=clock, chain=chain, nodes=nodes, before={name: proxy.node(name) for name in nodes})
        engine = Engine(scenario, clock, Outcome(scenario=scenario, world=world))
        urls = {name: (proxy.url(name), proxy.ws_url(name)) for name in nodes}
        await _watched(scenario, engine, world, _at(scenario, urls))
    return engine.outcome


def _at(scenario: Scenario, urls: Mapping[str, tuple[str, str]]) -> Tree:
    """Return the configuration with the addresses of the fault proxy."""
    listening = {node.name for node in scenario.table.nodes if node.ws}
    [chain] = scenario.tree.chains
    found = tuple(
        node.model_copy(
            update={
                "url": NodeUrl(urls[node.name][0]),
                "ws": WebsocketUrl(urls[node.name][1]) if node.name in listening else None,
            }
        )
        for node in chain.nodes
    )
    return scenario.tree.model_copy(update={"chains": (chain.model_copy(update={"nodes": found}),)})


async def _watched(scenario: Scenario, engine: Engine, world: SimWorld, tree: Tree) -> None:
    time, supervisor = LivesClock(engine), Supervisor(clock=engine.clock)
    lag, is_up = LoopLag(time), True

    def take(event: Event) -> None:
        if is_up:
            for request in engine.take(event):
                watch.take(request)

    async def come_back(down_ns: int) -> None:
        nonlocal is_up
        await asyncio.sleep(down_ns / NS)
        engine.boot()
        is_up = True

    def restart(down_ns: int) -> None:
        nonlocal is_up
        is_up = False
        supervisor.spawn(f"boot {engine.boots}", lambda: come_back(down_ns), finite=True)

    world.restart = restart
    watch = Watch(Means(supervisor=supervisor, clock=time, resolver=Resolver(engine.clock), lag=lag, emit=take))
    ticker = Ticker(time, lag, state=lambda: engine.state, emit=take)
    supervisor.spawn("ticks", lambda: ticker.run(lambda: None))
    supervisor.spawn("fetches", watch.run_fetches)
    for number, timed in enumerate(scenario.timeline):
        supervisor.spawn(f"fault {number}", lambda timed=timed: _struck(timed, world), finite=True)  # type: ignore[misc]
    await watch.apply(tree)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await asyncio.sleep(scenario.table.duration_ns / NS)
        supervisor.stop()
    with contextlib.suppress(ConnectionError):
        await watch.close()


async def _struck(timed: Timed, world: SimWorld) -> None:
    await asyncio.sleep(timed.at_ns / NS)
    await timed.fault.begin(world, timed.nodes)
    if timed.until_ns is not None:
        await asyncio.sleep((timed.until_ns - timed.at_ns) / NS)
        await timed.fault.end(world, timed.nodes)
