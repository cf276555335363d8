"""Which rule finds the right head: five of them on the same pools, of which the truth is known.

What counts as right was laid down before any rule was run:

1. It **never follows a lie**: no block that it may serve as the head is one of a liar's. An old block is no lie.
2. It **never throws out a healthy node**, nor names one as faulty.
3. If a node that answers is stuck or lies, it **names one that does, or says that something is wrong**: a split, no
   head, a majority that stands. A fault that nobody hears of is *missed*.

A rule that breaks 1 or 2 is *wrong*, one that breaks 3 alone *misses*. The ten pools by hand are the comparison of
`docs/explanation/head-rules.md`; the random ones have two to six groups, of which at most one lies.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from benchmarks._headrules import RULES, Verdict
from benchmarks._pools import BY_HAND, HEAD, Pool, random_pools

COUNT, SEED = 10_000, 20_261_122


class Outcome(StrEnum):
    """How right a verdict is, the worst that applies."""

    RIGHT = "right"
    MISSED = "missed"
    EVICTS = "evicts"
    LIE = "lie"


def judge(pool: Pool, verdict: Verdict) -> Outcome:
    """Return how right a rule was about a pool."""
    if not verdict.heads <= pool.honest:
        return Outcome.LIE
    if verdict.evicted & pool.healthy:
        return Outcome.EVICTS
    faulty = pool.liars | pool.stuck
    if faulty and not verdict.evicted & faulty and not verdict.says:
        return Outcome.MISSED
    return Outcome.RIGHT


def scores(pools: Iterable[Pool]) -> dict[str, Counter[Outcome]]:
    """Return how often each rule had which outcome."""
    counts: dict[str, Counter[Outcome]] = {name: Counter() for name in RULES}
    for pool in pools:
        for name, rule in RULES.items():
            counts[name][judge(pool, rule(pool))] += 1
    return counts


def cell(pool: Pool, verdict: Verdict) -> str:
    """Say in few words what a rule made of a pool; in bold what is wrong."""
    outcome = judge(pool, verdict)
    numbers = {head.number for head in pool.tree.headers.values() if head.hash in verdict.heads}
    head = "no head" if not numbers else f"{max(numbers):,}"
    healthy = ", ".join(sorted(verdict.evicted & pool.healthy))
    named = ", ".join(sorted(verdict.evicted - pool.healthy))
    words = [head] if not verdict.says or verdict.says == head else [head, verdict.says]
    words += [f"names {named}"] * bool(named)
    match outcome:
        case Outcome.LIE:
            return f"**follows a lie** ({', '.join([*words, *([f'evicts {healthy}'] * bool(healthy))])})"
        case Outcome.EVICTS:
            return f"**evicts {healthy}** ({', '.join(words)})"
        case Outcome.MISSED:
            return f"*misses it* ({head})"
        case _:
            return f"right ({', '.join(words)})"


def hand_table() -> str:
    """Return the table of the ten pools by hand, in Markdown."""
    lines = ["| pool, main chain at " + f"{HEAD:,} | " + " | ".join(RULES) + " |", "|---" * (len(RULES) + 1) + "|"]
    for name, pool in BY_HAND.items():
        lines.append(f"| {name} | " + " | ".join(cell(pool, rule(pool)) for rule in RULES.values()) + " |")
    return "\n".join(lines)


def random_table(counts: Mapping[str, Counter[Outcome]]) -> str:
    """Return the table of the random pools, in Markdown: how many of them in per cent, wrong ones counted."""
    lines = ["| rule | right | missed | evicts a healthy node | follows a lie |", "|---|---|---|---|---|"]
    for name, found in counts.items():
        total = sum(found.values())
        shares = [f"{found[outcome]:,} ({found[outcome] / total:.1%})" for outcome in Outcome]
        lines.append(f"| {name} | " + " | ".join([shares[0], shares[1], shares[2], shares[3]]) + " |")
    return "\n".join(lines)


def figures(count: int, seed: int) -> dict[str, object]:
    """Return all figures."""
    by_hand, at_random = scores(BY_HAND.values()), scores(random_pools(count, seed))

    def table(counts: Mapping[str, Counter[Outcome]]) -> dict[str, dict[str, int]]:
        return {name: {outcome.value: found[outcome] for outcome in Outcome} for name, found in counts.items()}

    ours = list(RULES)[-1]
    wrong = at_random[ours][Outcome.LIE] + at_random[ours][Outcome.EVICTS]
    return {
        "ours_right_by_hand": by_hand[ours][Outcome.RIGHT],
        "ours_wrong": wrong,
        "ours_missed": at_random[ours][Outcome.MISSED],
        "by_hand": table(by_hand),
        "random": table(at_random),
        "pools": count,
        "seed": seed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    parser.add_argument("--markdown", action="store_true", help="print the tables of the documentation instead")
    parser.add_argument("--pools", type=int, default=COUNT, help="random pools (default %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the random pools (default %(default)s)")
    options = parser.parse_args()
    if options.markdown:
        print(hand_table(), end="\n\n")
        print(random_table(scores(random_pools(options.pools, options.seed))))
        return
    if not options.json:
        print(random_table(scores(random_pools(options.pools, options.seed))))
    print(json.dumps(figures(options.pools, options.seed)))


if __name__ == "__main__":
    main()
