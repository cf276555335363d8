"""How fast a whole book is valued and swept, and whether a flag is ever wrong; ratios to what people use, in one run.

    python -m benchmarks.risk [--rows 100000] [--planted 20000] [--json]

All times are CPU seconds of this process or a rival's, a median of several runs. Rivals that need packages of their own
run by the interpreter of `.venv-rivals`, or `TOCSIN_RIVALS_PYTHON`; without it their ratios are missing. Gates that
figures miss are named in `missed`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks._books import Market, market, pair_market, scenarios
from benchmarks._planted import all_judged
from tocsin.risk.amounts import Floats
from tocsin.risk.backend import backend
from tocsin.risk.evaluate import evaluate
from tocsin.risk.health import confirm, nearest, screen
from tocsin.risk.kernel import UNIT, Kernel
from tocsin.risk.pairs import pair_index, stress_pairs
from tocsin.risk.plain import PLAIN, summed
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.stress import stress
from tocsin.risk.table import Side

RIVALS: Final = Path(__file__).parents[1] / ".venv-rivals" / "bin" / "python"
GATES: Final = {
    "numpy_ms": ("at most", 4.0),
    "revalue_p99_ms": ("at most", 2.0),
    "vs_bincount": ("at least", 2.0),
    "vs_python_loop": ("at least", 100.0),
    "sweep_vs_scipy": ("at least", 20.0),
    "sweep_vs_scipy_5pct": ("at least", 50.0),
    "pair_vs_generic": ("at least", 20.0),
    "wrong_flags": ("at most", 0.0),
}
"""Times of 100,000 accounts; on a machine that does other things too they are longer, ratios are not."""
SWEPT: Final = 1024
BY_RIVALS: Final = 32
PYTHON_ROWS: Final = 5_000


def median(function: Callable[[], object], repeats: int = 9) -> float:
    return statistics.median(_times(function, repeats))


def _times(function: Callable[[], object], repeats: int) -> list[float]:
    function()
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        function()
        found.append(time.process_time() - begun)
    return found


def valuing(what: Market, kernel: Kernel) -> dict[str, float]:
    """Return what valuing a book takes, alone and with all that follows of it in each block."""
    book, factors = what.book, what.factors

    def whole() -> None:
        health = evaluate(book, factors, kernel)
        confirm(book, screen(health), lambda _account, _legs: False)
        nearest(health, 1.05)

    def two_sums() -> None:
        summed(book.base.collateral, factors.collateral), summed(book.base.debt, factors.debt)

    plain, fast = median(lambda: PLAIN.values(book.base, factors)), median(lambda: kernel.values(book.base, factors))
    bincount = median(by_bincount(what))
    taken = sorted(_times(whole, 200))
    return {
        "numpy_ms": plain * 1e3,
        "numba_ms": fast * 1e3,
        "revalue_p50_ms": taken[100] * 1e3,
        "revalue_p99_ms": taken[198] * 1e3,
        "bincount_ms": bincount * 1e3,
        "vs_bincount": bincount / fast,
        "vs_numpy": plain / fast,
        "vs_bincount_two_sums": median(two_sums) / fast,
        "vs_python_loop": python_loop(what) / fast * len(book),
        "triad_share": triad_share(what, fast),
    }


def by_bincount(what: Market) -> Callable[[], Floats]:
    """Return a function that values a book by numpy's weighted count, five sums, and gives the band of each account.

    It is what the numpy backend was before it laid legs in layers: what somebody writes who knows numpy well.
    """
    table, factors = what.book.base, what.factors

    def counted(side: Side, weights: Floats) -> Floats:
        return np.bincount(side.row, weights=weights, minlength=len(side))

    def five_sums() -> Floats:
        has, owes = table.collateral, table.debt
        collateral, debt = summed(has, factors.collateral), summed(owes, factors.debt)
        summed(has, factors.raw)
        steps = counted(has, factors.collateral_step[has.place]) + counted(owes, factors.debt_step[owes.place])
        band: Floats = table.roundings * UNIT * (collateral + debt) + factors.constant + steps
        judged = (collateral < factors.limit) & (debt < factors.limit) & ~table.always_exact
        band[~judged] = np.inf
        return band

    assert np.array_equal(five_sums(), PLAIN.values(table, factors)[3])
    return five_sums


def triad_share(what: Market, taken: float) -> float:
    """Return the bytes that valuing has to touch per second, by what numpy adds of large arrays in a second."""
    a, b, c = (np.ones(10_000_000) for _ in range(3))
    triad = 3 * a.nbytes / median(lambda: np.add(a, b, out=c), 5)
    sides = (what.book.base.collateral, what.book.base.debt)
    touched = sum(side.ptr.nbytes + side.col.nbytes + side.amount.nbytes for side in sides) + 32 * len(what.book)
    return touched / taken / triad


def python_loop(what: Market) -> float:
    """Return what an account takes in a loop over floats: weighted collateral, all of it, and debt.

    The accounts are spread evenly over the book, whose rows lie by rising number of legs.
    """
    table = what.book.base
    rows = range(0, len(table), max(len(table) // PYTHON_ROWS, 1))
    legs = [table.legs(row) for row in rows]
    accounts = [
        ([(at, float(one)) for at, one in each.collateral.items()], [(at, float(one)) for at, one in each.debt.items()])
        for each in legs
    ]
    weighted, raw, owed = (getattr(what.factors, name).tolist() for name in ("collateral", "raw", "debt"))

    def loop() -> None:
        for has, owes in accounts:
            counts = sum(amount * weighted[at] for at, amount in has)
            worth = sum(amount * raw[at] for at, amount in has)
            debt = sum(amount * owed[at] for at, amount in owes)
            _ = counts / debt, worth

    return median(loop, 5) / len(accounts)


def sweeping(what: Market, kernel: Kernel, swept: dict[str, Scenarios]) -> dict[str, float]:
    """Return pairs of account and scenario per CPU second, and what two threads give."""
    found: dict[str, float] = {}
    for name, each in swept.items():
        report = stress(what.book, what.factors, each, kernel)
        taken = median(lambda each=each: stress(what.book, what.factors, each, kernel), 5)
        found[f"{name}_mpairs_s"] = len(what.book) * len(each) / taken / 1e6
        found[f"{name}_evaluated"] = report.evaluated / report.pairs
        found[f"{name}_liquidatable"] = float(report.liquidatable.mean()) / len(what.book)
    each = swept["sweep"]
    few = Scenarios(multiples=each.multiples[:BY_RIVALS], assets=each.assets)
    found["sweep_numpy_mpairs_s"] = (
        len(what.book) * BY_RIVALS / median(lambda: stress(what.book, what.factors, few), 3) / 1e6
    )
    found["threads2_scaling"] = threads(what, kernel, each)
    return found


def threads(what: Market, kernel: Kernel, each: Scenarios) -> float:
    """Return how much sooner two threads are done, by wall time: it says little on a machine that is busy."""
    with ThreadPoolExecutor(2) as pool:
        ratios = []
        for _ in range(3):
            begun = time.perf_counter()
            stress(what.book, what.factors, each, kernel)
            alone = time.perf_counter() - begun
            begun = time.perf_counter()
            stress(what.book, what.factors, each, kernel, mapper=pool.map)
            ratios.append(alone / (time.perf_counter() - begun))
    return max(ratios)


def searching(rows: int, kernel: Kernel) -> dict[str, float]:
    """Return what pair markets take by search and by the kernel."""
    what = pair_market(rows, markets=30, seed=3)
    many = scenarios(what.factors, 4096, 0.15, seed=4)
    few = Scenarios(multiples=many.multiples[:SWEPT], assets=many.assets)
    index = pair_index(what.book, what.factors, kernel)
    by_search = median(lambda: stress_pairs(index, many, kernel), 5) / len(many)
    by_kernel = median(lambda: stress(what.book, what.factors, few, kernel), 3) / len(few)
    same = stress_pairs(index, few, kernel).liquidatable == stress(what.book, what.factors, few, kernel).liquidatable
    return {
        "pair_vs_generic": by_kernel / by_search,
        "pair_mpairs_s": rows / by_search / 1e6,
        "pair_index_ms": median(lambda: pair_index(what.book, what.factors, kernel), 3) * 1e3,
        "pair_counts_differ": int(np.count_nonzero(~same)),
    }


def planting(rows: int, kernel: Kernel) -> dict[str, object]:
    """Return how accounts are judged that stand within a few quanta of the line, by rule and together."""
    each = {(by.name, name): found for by in (PLAIN, kernel) for name, found in all_judged(rows, 5, by)}
    total = sum(found.rows for found in each.values())
    return {
        "planted": total,
        "wrong_flags": sum(found.wrong for found in each.values()),
        "float_wrong_share": round(sum(found.float_wrong for found in each.values()) / total, 4),
        "in_band_share": round(sum(found.in_band for found in each.values()) / total, 4),
        "float_wrong": {name: found.float_wrong for (by, name), found in each.items() if by == PLAIN.name},
    }


def warming() -> dict[str, float]:
    """Return the CPU seconds of a new process until every kernel has run: where none was kept, and where all were."""
    program = (
        "import time\nfrom tocsin.risk.warmup import warm_up\nwarm_up(time.process_time_ns)\nprint(time.process_time())"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        taken = [
            float(
                subprocess.run(
                    [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=True
                ).stdout
            )
            for _ in range(2)
        ]
    return {"compile_s": taken[0], "warm_up_s": taken[1]}


def memory(what: Market) -> dict[str, float]:
    """Return the megabytes of a million accounts: of the book, and with what the numpy kernel keeps besides."""
    sides = (what.book.base.collateral, what.book.base.debt)
    derived = sum(side.layers.nbytes + side.counts.nbytes for side in sides) + what.book.base.roundings.nbytes
    return {
        "mb_per_million": what.book.nbytes / len(what.book),
        "mb_per_million_numpy": (what.book.nbytes + derived) / len(what.book),
    }


def rivals(what: Market, swept: dict[str, Scenarios]) -> dict[str, float]:
    """Return the seconds of rivals in an environment of their own; empty without one."""
    python = Path(os.environ.get("TOCSIN_RIVALS_PYTHON", RIVALS))
    if not python.exists():
        return {}
    arrays = {
        f"{name}_{part}": getattr(getattr(what.book.base, name), part)
        for name in ("collateral", "debt")
        for part in ("ptr", "col", "amount")
    }
    vectors = {name: getattr(what.factors, name) for name in ("collateral", "raw", "debt", "asset")}
    few = {name.replace("sweep", "scenarios"): each.multiples[:BY_RIVALS] for name, each in swept.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.npz"
        np.savez(path, **arrays, **vectors, **few)
        script = Path(__file__).with_name("_risk_rival.py")
        ran = subprocess.run([python, script, path], stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    for name, each in swept.items():
        first = Scenarios(multiples=each.multiples[:BY_RIVALS], assets=each.assets)
        ours = stress(what.book, what.factors, first)
        key = f"scipy_{name.replace('sweep', 'scenarios')}_count"
        assert abs(int(ours.liquidatable.sum()) - told[key]) <= ours.unsure.sum()
    return told


def compared(rows: int, told: dict[str, float], found: dict[str, float]) -> dict[str, float]:
    """Return ratios to rivals."""
    if not told:
        return {}
    fast = found["numba_ms"] / 1e3
    return {
        "sweep_vs_scipy": told["scipy_scenarios"] * found["sweep_mpairs_s"] * 1e6 / rows,
        "sweep_vs_scipy_5pct": told["scipy_scenarios_5pct"] * found["sweep_5pct_mpairs_s"] * 1e6 / rows,
        "sweep_vs_scipy_at_once": told["scipy_scenarios_at_once"] * found["sweep_mpairs_s"] * 1e6 / rows,
        "scipy_mpairs_s": rows / told["scipy_scenarios"] / 1e6,
        "vs_scipy": told["scipy_values"] / fast,
        "vs_pandas": told["pandas_values"] / fast,
        "vs_polars": told["polars_values"] / fast,
        "vs_web3_call": told["web3_per_account"] * rows / fast,
    }


def missed(found: dict[str, object]) -> Iterator[str]:
    """Yield the gates that a figure misses."""
    for name, (kind, limit) in GATES.items():
        value = found.get(name)
        if isinstance(value, int | float) and (value > limit if kind == "at most" else value < limit):
            yield f"{name}: {value:.3g}, {kind} {limit:g}"


def measure(rows: int, planted: int) -> dict[str, object]:
    chosen, load = backend(), round(os.getloadavg()[0], 1)
    what = market(rows, seed=1)
    swept = {
        "sweep": scenarios(what.factors, SWEPT, 0.15, seed=2),
        "sweep_5pct": scenarios(what.factors, SWEPT, 0.05, seed=2),
    }
    independent = {"sweep": scenarios(what.factors, SWEPT, 0.15, seed=2, common=0.0)}
    found = valuing(what, chosen.kernel) | sweeping(what, chosen.kernel, swept)
    found["independent_mpairs_s"] = sweeping(what, chosen.kernel, independent)["sweep_mpairs_s"]
    found |= compared(rows, rivals(what, swept), found)
    found |= searching(rows, chosen.kernel) | memory(what) | warming()
    rounded = {name: float(f"{value:.4g}") for name, value in found.items()}
    done: dict[str, object] = {"rows": rows, "backend": chosen.kernel.name, "why": chosen.why, "load": load, **rounded}
    done |= planting(planted, chosen.kernel)
    return {**done, "missed": list(missed(done))}


def main() -> None:
    parser = argparse.ArgumentParser(description="valuing and sweeping whole books, against what people use")
    parser.add_argument("--rows", type=int, default=100_000, help="accounts (default %(default)s)")
    parser.add_argument("--planted", type=int, default=20_000, help="accounts near the line, of each rule")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    options = parser.parse_args()
    found = measure(options.rows, options.planted)
    if not options.json:
        for name, value in found.items():
            print(f"{name:28} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
