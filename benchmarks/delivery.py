"""Whether alerts arrive, once and in time, whatever dies: real broker, daemon and consumer, and kill -9 for all three.

    python -m benchmarks.delivery [--json] [--quick] [--seeds 10] [--alerts 10000] [--outage-s 600] [--only battery,...]

The broker is mosquitto with the persistence that distributions ship. The daemon is the real one as a process, but for
the nodes that it watches: their answers come from dice in it (`benchmarks._delivery.source`). The consumer is
`tocsin.client.Subscriber` with a handler that writes in the client's own transaction. Beside them run a publisher
without an outbox and a plain subscriber with a kept session: a battery in which these lose nothing is void, and ends in
an error. Times are of this machine, its disk included; `idle_floor_p50_ms` is what the bare parts take beside it: two
commits that are synced, and one message over the broker.
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks._delivery import away, calm, full, links, outage, poison, shocks, storm
from benchmarks._delivery.battery import BROKER, CONSUMER, DAEMON, Plan, battery
from benchmarks._delivery.verdict import WRONG, quantile

Figures = dict[str, Any]


async def batteries(folder: Path, *, seeds: int, alerts: int, kills: int) -> Figures:
    """Kill all three at random, once for each seed; return the sums, and the worst of what is no sum."""
    runs = []
    for seed in range(1, seeds + 1):
        run = await battery(folder / f"seed-{seed}", Plan(seed=seed, alerts=alerts, kills=kills))
        _tell(f"seed {seed}", run)
        runs.append(run)
    heals = [one for run in runs for one in run["heals_s"]]
    return {
        **{key: sum(run[key] for run in runs) for key in ("raised", *WRONG, "naive_lost")},
        "seeds": seeds,
        "kills": {who: sum(run["kills"][who] for run in runs) for who in (DAEMON, BROKER, CONSUMER)},
        "kill_points": len({point for run in runs for point in run["points"]}),
        "heals": len(heals),
        "heal_p50_s": round(quantile(heals, 0.5), 2),
        "heal_p99_s": round(quantile(heals, 0.99), 2),
        "import_p50_s": max(run["import_p50_s"] for run in runs),
        "naive_lost_least": min(run["naive_lost"] for run in runs),
        "latency_p50_s": max(run["latency_p50_s"] for run in runs),
        "latency_p99_s": max(run["latency_p99_s"] for run in runs),
        "repeated": max(run["repeated"] for run in runs),
    }


async def alone(folder: Path, victim: str, *, kills: int, alerts: int) -> Figures:
    """Kill one of them so often; return what is wrong, and how it healed."""
    plan = Plan(seed=100, alerts=alerts, victims=(victim,), kills=kills, is_exact=True)
    run = await battery(folder, plan)
    _tell(victim, run)
    return {
        f"{victim}_kills": run["kills"][victim],
        f"{victim}_wrong": sum(run[key] for key in WRONG),
        f"{victim}_heal_p99_s": round(quantile(run["heals_s"], 0.99), 2),
        f"{victim}_repeated": run["repeated"],
    }


def parts(options: argparse.Namespace) -> dict[str, Callable[[Path], Awaitable[Figures]]]:
    """Return what is measured, by name."""
    quick = options.quick
    alerts, kills = (400, 6) if quick else (options.alerts, 50)
    return {
        "battery": lambda at: batteries(at, seeds=1 if quick else options.seeds, alerts=alerts, kills=options.kills),
        "daemon": lambda at: alone(at, DAEMON, kills=kills, alerts=alerts // 2),
        "broker": lambda at: alone(at, BROKER, kills=kills, alerts=alerts // 2),
        "outage": lambda at: outage.outage(at, seconds=10 if quick else options.outage_s, rate=50),
        "away": lambda at: away.consumer_away(at, alerts=300 if quick else 2500),
        "expired": away.words_expire,
        "wiped": away.broker_wiped,
        "links": lambda at: _all(at, half_open=links.half_open, denied=links.denied, rivals=links.rivals),
        "standstill": lambda at: links.standstill(at, seconds=30 if quick else 60),
        "shocks": lambda at: _all(at, clock=shocks.clock_steps, damaged=shocks.damaged),
        "full": full.disk_full,
        "storm": lambda at: storm.storm(at, alerts=500 if quick else 10_000, within_s=10, after_s=4 if quick else 20),
        "idle": lambda at: calm.idle(at, 20 if quick else 300),
        "poison": lambda at: poison.poison(at, seconds=5 if quick else 30),
    }


async def _all(folder: Path, **each: Callable[[Path], Awaitable[Figures]]) -> Figures:
    figures: Figures = {}
    for name, part in each.items():
        figures |= await part(folder / name)
    return figures


async def measure(options: argparse.Namespace, folder: Path) -> Figures:
    """Return all figures, or those of the parts that are wanted."""
    every = parts(options)
    names = options.only.split(",") if options.only else list(every)
    figures: Figures = {}
    for name in names:
        found = await every[name](folder / name)
        _tell(name, found)
        figures |= found
    return figures


def _tell(name: str, found: Figures) -> None:
    print(f"{name}: {json.dumps(found)}", file=sys.stderr, flush=True)


def main() -> None:
    """Print the figures; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description="whether alerts arrive, once and in time, whatever dies")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--quick", action="store_true", help="short runs of each part: a smoke test, no figures")
    parser.add_argument("--seeds", type=int, default=10, help="batteries (default 10)")
    parser.add_argument("--alerts", type=int, default=10_000, help="alerts of each battery (default 10000)")
    parser.add_argument("--kills", type=int, default=60, help="kills of each battery, about (default 60)")
    parser.add_argument("--outage-s", type=float, default=600, help="how long the broker is away (default 600)")
    parser.add_argument("--only", help="parts, joined by commas")
    parser.add_argument("--folder", type=Path, help="where to leave everything (default: nowhere)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no process is left behind
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tocsin-"))
    try:
        figures = asyncio.run(measure(options, folder))
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if not options.json:
        for name, value in figures.items():
            print(f"{name:26} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
