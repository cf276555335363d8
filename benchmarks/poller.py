"""What polling costs, and what sick nodes do to healthy ones.

    python -m benchmarks.poller [--json] [--quick]

CPU is `process_time` of this process; the nodes run in another. One poll is one batch over keep-alive HTTP: chain id
and latest header (16 kB block), and once per block also safe, finalized and syncing. It includes splitting the answer,
decoding the header and recomputing its hash (cached by bytes, shared by the 20 nodes of a chain). The headline figure
has a new head in every sixth poll, as at 2 s polls and 12 s blocks; polls without and with a new head are reported
beside it. The floor asks the same over the same number of connections in the same run, in turns with ours. What the
journal and the engine's steps and ticks add to a poll of 20 nodes are rows of their own.
"""

import argparse
import asyncio
import gc
import json
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from itertools import cycle, islice
from typing import NamedTuple

from benchmarks._engine import shares
from benchmarks._floor import floor_at_1_hz, http_request, poll_floor
from benchmarks._nodes import BLOCK_TIME_S, POLLS_PER_BLOCK, running_nodes
from tocsin.chain.header import decode_header
from tocsin.clock import MS, NS, EngineClock, SystemClock
from tocsin.model.block import Header, Verification
from tocsin.model.event import Event, Polled
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING, Fault, Part
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.lag import LoopLag
from tocsin.rpc.prober import PollPlan, Prober
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session
from tocsin.runtime import garbage
from tocsin.secret import SecretUrl
from tocsin.wire.jsonrpc import encode

SMALL = (CHAIN_ID, LATEST)
SLOT = (CHAIN_ID, LATEST, SAFE, FINALIZED, SYNCING)
MIX = (SLOT, *[SMALL] * (POLLS_PER_BLOCK - 1))
NODES_PER_CHAIN = 20
SICK_TIMEOUT_NS = 500 * MS

header_of = lru_cache(maxsize=512)(decode_header)


def decode(parts: tuple[Part, ...]) -> None:
    """Do what the engine does with every answer: decode and verify the headers in it."""
    for part in parts:
        if part.call in (LATEST, SAFE, FINALIZED) and part.result is not None:
            header = header_of(part.result)
            assert isinstance(header, Header), header
            assert header.verification is Verification.MATCH


class Seen(NamedTuple):
    """What is kept of a poll."""

    node: str
    latency_ns: int
    fault: Fault | None


class Bench:
    """Clock, resolver and the ports of the nodes."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports
        self.clock = EngineClock(SystemClock())
        self.resolver = Resolver(SystemClock())

    def session(
        self, path: str, *, chain: str = "c", node: str = "n", manner: str = "well", timeout_ns: int = 5 * NS
    ) -> Session:
        url = SecretUrl(f"http://127.0.0.1:{self.ports[manner]}{path}")
        endpoint = Endpoint(chain=chain, node=node, url=url, timeout_ns=timeout_ns)
        return Session(endpoint, clock=self.clock, resolver=self.resolver)


async def poll_ours(bench: Bench, path: str, plans: tuple[tuple[str, ...], ...], *, polls: int) -> None:
    """Poll the nodes of one chain `polls` times each, as fast as they answer."""

    async def one(session: Session) -> None:
        for calls in islice(cycle(plans), polls):
            answer = await session.ask(calls)
            assert answer.fault is None, answer.fault
            decode(answer.parts)
        await session.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(NODES_PER_CHAIN):
            group.create_task(one(bench.session(path)))


async def cpu_us(work: Callable[[], Awaitable[None]], polls: int) -> float:
    """Return the CPU time of one poll in microseconds."""
    gc.collect()
    start = time.process_time()
    await work()
    return (time.process_time() - start) * 1e6 / (polls * NODES_PER_CHAIN)


async def cost(bench: Bench, *, blocks: int, polls: int) -> dict[str, float]:
    """Measure ours and the floor in turns; medians over blocks, ratio of each pair."""
    port = bench.ports["well"]
    bodies = [encode(calls, batch=True) for calls in MIX]
    works: dict[str, Callable[[], Awaitable[None]]] = {
        "mix": lambda: poll_ours(bench, "/mix", MIX, polls=polls),
        "floor": lambda: poll_floor(port, "/mix", bodies, nodes=NODES_PER_CHAIN, polls=polls),
        "unchanged": lambda: poll_ours(bench, "/same", (SMALL,), polls=polls),
        "floor_small": lambda: poll_floor(port, "/same", bodies[1:2], nodes=NODES_PER_CHAIN, polls=polls),
        "changed": lambda: poll_ours(bench, "/new", (SMALL,), polls=polls),
        "slot_changed": lambda: poll_ours(bench, "/new", (SLOT,), polls=polls),
    }
    seen: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(blocks + 1):
        for name, work in works.items():
            seen[name].append(await cpu_us(work, polls))
    pairs = list(zip(seen["mix"], seen["floor"], strict=True))[1:]
    medians = {name: statistics.median(values[1:]) for name, values in seen.items()}
    return {
        "cpu_us_per_poll": medians["mix"],
        "floor_us_per_poll": medians["floor"],
        "floor_ratio": statistics.median(ours / floor for ours, floor in pairs),
        "unchanged_us": medians["unchanged"],
        "changed_us": medians["changed"],
        "changed_slot_us": medians["slot_changed"],
        "floor_small_us": medians["floor_small"],
    }


async def run_probers(
    bench: Bench, sessions: list[Session], *, slot_ns: int, warm_s: float, run_s: float
) -> tuple[list[Seen], float]:
    """Run one prober per session; return the polls after warming up, and the share of a core that they took."""
    lag = LoopLag(bench.clock)
    events: list[Seen] = []

    def emit(event: Event) -> None:
        assert isinstance(event, Polled)
        events.append(Seen(event.node, event.t_ns - event.started_ns, event.fault))
        decode(event.parts)

    probers = [
        Prober(
            PollPlan(chain=session.endpoint.chain, node=session.endpoint.node, poll_ns=NS, slot_ns=slot_ns),
            session,
            clock=bench.clock,
            lag=lag,
        )
        for session in sessions
    ]
    share = 0.0

    async def measure(tasks: list["asyncio.Task[None]"]) -> None:
        nonlocal share
        await asyncio.sleep(warm_s)
        events.clear()
        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.sleep(run_s)
        share = (time.process_time() - cpu) / (time.monotonic() - wall)
        for task in tasks:
            task.cancel()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(lag.run()), *(group.create_task(prober.run(emit)) for prober in probers)]
        await measure(tasks)
    polls = list(events)
    for session in sessions:
        await session.close()
    return polls, share


async def core_share(bench: Bench, *, nodes: int, run_s: float) -> dict[str, float]:
    """Run probers at 1 Hz over chains of 20 nodes each."""
    sessions = [
        bench.session(f"/clock/{index // NODES_PER_CHAIN}", chain=f"c{index // NODES_PER_CHAIN}", node=f"n{index}")
        for index in range(nodes)
    ]
    polls, share = await run_probers(bench, sessions, slot_ns=BLOCK_TIME_S * NS, warm_s=4, run_s=run_s)
    latencies = sorted(poll.latency_ns for poll in polls)
    assert not any(poll.fault for poll in polls)
    floor = await core_share_floor(bench.ports["well"], nodes=nodes, run_s=BLOCK_TIME_S)
    return {
        "core_share_500": share * 500 / nodes,
        "core_share_nodes": nodes,
        "core_share_polls": len(polls),
        "core_share_us_per_poll": share * run_s * 1e6 / len(polls),
        "core_share_500_floor": floor * 500 / nodes,
        "core_share_p99_ms": latencies[int(len(latencies) * 0.99)] / 1e6,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def core_share_floor(port: int, *, nodes: int, run_s: int) -> float:
    """Return what the floor takes at the same pace: an idle machine wakes up cold, which costs both the same."""
    requests = []
    for index in range(nodes):
        path = f"/clock/{index // NODES_PER_CHAIN}"
        small, slot = (http_request(port, path, encode(calls, batch=True)) for calls in (SMALL, SLOT))
        requests.append((small, slot))
    cpu, wall = time.process_time(), time.monotonic()
    await floor_at_1_hz(port, requests, per_burst=NODES_PER_CHAIN, seconds=run_s)
    return (time.process_time() - cpu) / (time.monotonic() - wall)


async def healthy_p99_ms(bench: Bench, *, sick: int, run_s: float) -> float:
    """Return p99 of the first 70 of 100 nodes, of which the last `sick` hang, drip or reset."""
    manners = ["well"] * (100 - sick) + ["hung", "dripping", "resetting"] * (sick // 3)
    sessions = [
        bench.session("/clock/0", node=f"n{index}", manner=manner, timeout_ns=SICK_TIMEOUT_NS)
        for index, manner in enumerate(manners)
    ]
    polls, _ = await run_probers(bench, sessions, slot_ns=int(run_s) * NS, warm_s=2, run_s=run_s)
    watched = {f"n{index}" for index in range(70)}
    latencies = sorted(poll.latency_ns for poll in polls if poll.node in watched and poll.fault is None)
    failed = [poll for poll in polls if poll.node in watched and poll.fault is not None]
    assert not failed, failed[0]
    sick_faults = {poll.node for poll in polls if poll.fault is not None}
    assert len(sick_faults) == sick
    return latencies[int(len(latencies) * 0.99)] / 1e6


async def sickness(bench: Bench, *, pairs: int, run_s: float) -> dict[str, float]:
    """Measure with and without sick nodes in turns; ratio of the best of each, for other load only ever adds to a p99.

    Every run has exactly one round with safe and finalized in it, so that the best is not merely one without.
    """
    well: list[float] = []
    sick: list[float] = []
    for turn in range(pairs):
        # In turns also within the pairs, so that a slow drift of the machine weighs on both.
        for is_sick in (turn % 2 == 0, turn % 2 == 1):
            measured = await healthy_p99_ms(bench, sick=30 if is_sick else 0, run_s=run_s)
            (sick if is_sick else well).append(measured)
    return {
        "sick_p99_ratio": min(sick) / min(well),
        "sick_p99_ratio_of_medians": statistics.median(sick) / statistics.median(well),
        "healthy_p99_ms": min(well),
        "healthy_p99_with_sick_ms": min(sick),
    }


async def measure(*, quick: bool) -> dict[str, object]:
    with running_nodes() as ports:
        bench = Bench(ports)
        figures: dict[str, object] = {"workload": __doc__.split("\n\n")[2].replace("\n", " ")} if __doc__ else {}
        figures |= await cost(bench, blocks=3 if quick else 9, polls=30 if quick else 60)
        figures |= await shares(seconds=60 if quick else 600)
        figures |= await sickness(bench, pairs=2 if quick else 8, run_s=3 if quick else 4)
        figures |= await core_share(bench, nodes=100 if quick else 500, run_s=BLOCK_TIME_S * (1 if quick else 2))
        await bench.resolver.close()
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="what polling costs")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: a smoke test, no figures")
    options = parser.parse_args()
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    garbage.begin()
    figures = asyncio.run(measure(quick=options.quick))
    if not options.json:
        for name, value in figures.items():
            print(f"{name:28} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
