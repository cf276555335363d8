"""How fast faults are detected, how often alarms are false, and whether liars can have honest nodes accused.

Every figure comes from the real engine with the shipped configuration of the Ethereum profile (12 s slots), with all
polls. Latencies are from the fault to the alert, over trials with a phase and a seed of their own. False alarms are
counted over days of simulated pools, a process a core; with --node-months 60 that takes two hours of CPU. What it is at
is told on standard error. The model and its limits: docs/explanation/detection.md.
"""

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, TypeVar

from tocsin.lab.detection import pools
from tocsin.lab.detection.attacks import ATTACKS, POOLS, Attacked, attack, liars_of
from tocsin.lab.detection.noise import MODEL, Noise, noise, poisson_upper
from tocsin.lab.detection.trials import (
    FORK,
    FORK_BY_ONE,
    FROZEN,
    QUORUM_LOSS,
    UNREACHABLE,
    WRONG_CHAIN,
    Found,
    Kind,
    quantile,
    trial,
)
from tocsin.lab.detection.watchers import DEATHS, Death, watcher_death

DAYS_A_MONTH = 30.0
DAYS_A_JOB = 1.25
"""With 24 nodes a job is one node-month."""
T = TypeVar("T")
R = TypeVar("R")


def _quietly() -> None:
    # Frozen values hold no circles: looking for them would take a fifth of the time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def spread(work: Callable[[T], R], jobs: Sequence[T], processes: int) -> Iterator[R]:
    """Do the jobs in so many processes; results come in the order of the jobs, whatever finishes first."""
    if processes == 1:
        _quietly()
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(processes, initializer=_quietly) as workers:
        yield from workers.map(work, jobs)


def _at(what: str) -> None:
    print(what, file=sys.stderr)


def latencies(kind: Kind, trials: int, processes: int) -> dict[str, Any]:
    """Return what came of so many trials, seeds 0 and up."""
    _at(f"{trials} trials: {kind.name}")
    found: list[Found] = list(spread(partial(trial, kind), range(trials), processes))
    times = [one.after_ns for one in found if one.after_ns is not None]
    polls = [one.polls for one in found if one.polls is not None]
    return {
        "trials": trials,
        "undetected": trials - len(times),
        "p50_s": round(quantile(times, 0.5) / 1e9, 2),
        "p99_s": round(quantile(times, 0.99) / 1e9, 2),
        "max_s": round(max(times) / 1e9, 2),
        "polls_max": max(polls),
        "seeds": [0, trials - 1],
    }


def deaths_of_watchers(death: Death, trials: int, processes: int) -> dict[str, Any]:
    """Return when so many deaths of a watchdog were told by another one; `silent` is one of which no will is sent."""
    _at(f"{trials} deaths of a watchdog: {death}")
    found = list(spread(partial(watcher_death, death), range(trials), processes))
    times = [one.after_ns for one in found if one.after_ns is not None]
    return {
        "trials": trials,
        "undetected": trials - len(times),
        "false": sum(one.early for one in found),
        "p50_s": round(quantile(times, 0.5) / 1e9, 2),
        "p99_s": round(quantile(times, 0.99) / 1e9, 2),
        "max_s": round(max(times) / 1e9, 2),
        "seeds": [0, trials - 1],
    }


def attacks(seeds: int, processes: int) -> tuple[int, list[Attacked]]:
    """Return how many single-group attacks there were, and those in which an honest node or the head suffered."""
    jobs = [
        (name, pool, liar, seed)
        for seed in range(seeds)
        for pool in POOLS
        for liar in liars_of(pool)
        for name in ATTACKS
    ]
    _at(f"{len(jobs)} attacks")
    done = list(spread(_attack, jobs, processes))
    return len(done), [one for one in done if one.evicted or one.unsupported]


def _attack(job: tuple[str, str, str, int]) -> Attacked:
    return attack(*job)


def _noise(seed: int, days: float) -> Noise:
    return noise(seed, days)


def false_alarms(node_months: float, processes: int, first_seed: int = 0) -> dict[str, Any]:
    """Return the false alarms of so many node-months, in rates with their 95 % upper bounds."""
    nodes = len(pools.noisy())
    jobs = max(1, round(node_months * DAYS_A_MONTH / (nodes * DAYS_A_JOB)))
    days = node_months * DAYS_A_MONTH / nodes / jobs
    total = Noise()
    for at, one in enumerate(spread(partial(_noise, days=days), range(first_seed, first_seed + jobs), processes), 1):
        total.add(one)
        print(f"\r{at} of {jobs} parts of {nodes * days / DAYS_A_MONTH:.2f} node-months", end="", file=sys.stderr)
    print(file=sys.stderr)
    own, provider = total.own.total(), total.provider.total()
    own_months, provider_weeks = total.own_days / DAYS_A_MONTH, total.provider_days / 7
    return {
        "false_alarms_own_month": round(own / own_months, 4),
        "false_alarms_own_month_95": round(poisson_upper(own) / own_months, 4),
        "false_alarms_provider_week": round(provider / provider_weeks, 4),
        "false_alarms_provider_week_95": round(poisson_upper(provider) / provider_weeks, 4),
        "false_alarms_chain": dict(total.chain),
        "false_alarms_own": dict(total.own),
        "false_alarms_provider": dict(total.provider),
        "right_alarms": dict(total.right),
        "node_months": round((total.own_days + total.provider_days) / DAYS_A_MONTH, 2),
        "own_node_months": round(own_months, 2),
        "provider_node_weeks": round(provider_weeks, 2),
        "polls": total.polls,
        "agreed_heads": total.heads,
        "heads_under_two_groups": total.unsupported,
        "noise_seeds": [first_seed, first_seed + jobs - 1],
    }


def measure(*, trials: int, node_months: float, attack_seeds: int, processes: int) -> dict[str, Any]:
    """Return every figure."""
    begun = time.monotonic()
    kinds = {
        kind.name: latencies(kind, trials, processes)
        for kind in (FROZEN, UNREACHABLE, WRONG_CHAIN, FORK, FORK_BY_ONE, QUORUM_LOSS)
    }
    watchers = {death: deaths_of_watchers(death, trials, processes) for death in DEATHS}
    count, harmed = attacks(attack_seeds, processes)
    alarms = false_alarms(node_months, processes)
    alarms["heads_under_two_groups"] += sum(len(one.unsupported) for one in harmed)
    return {
        "frozen_p50_s": kinds["frozen"]["p50_s"],
        "frozen_p99_s": kinds["frozen"]["p99_s"],
        "fork_polls": kinds["fork"]["polls_max"],
        "wrong_chain_polls": kinds["wrong_chain"]["polls_max"],
        "unreachable_s": kinds["unreachable"]["max_s"],
        "quorum_loss_s": kinds["quorum_loss"]["max_s"],
        "watcher_death_s": max(died["max_s"] for name, died in watchers.items() if name != "silent"),
        "watchers": watchers,
        **alarms,
        "honest_evicted": sum(len(one.evicted) for one in harmed),
        "attacks": count,
        "attack_seeds": [0, attack_seeds - 1],
        "harmed": [f"{one.attack} by {one.liar}: {one.evicted or one.unsupported}" for one in harmed[:20]],
        "trials": kinds,
        "arrival_model": pools.ARRIVALS | MODEL,
        "poll_s": pools.POLL_S,
        "slot_s": pools.SLOT_S,
        "took_s": round(time.monotonic() - begun),
    }


def main() -> None:
    """Print the figures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--trials", type=int, default=400, help="of each kind of fault (default %(default)s)")
    parser.add_argument(
        "--node-months",
        type=float,
        default=2.0,
        help="simulated, own and providers' nodes together (default %(default)s)",
    )
    parser.add_argument("--attack-seeds", type=int, default=1, help="of every attack (default %(default)s)")
    parser.add_argument(
        "--processes", type=int, default=len(os.sched_getaffinity(0)), help="at a time (default: one a core)"
    )
    arguments = parser.parse_args()
    result = measure(
        trials=arguments.trials,
        node_months=arguments.node_months,
        attack_seeds=arguments.attack_seeds,
        processes=arguments.processes,
    )
    print(json.dumps(result) if arguments.json else "\n".join(f"{key}: {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
