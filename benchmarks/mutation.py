"""How much of what the chain says is held by its tests: the share of broken lines that some test notices.

    python -m benchmarks.mutation [--json] [--only PATTERN ...] [--children N]

Every statement in the functions of `tocsin.chain` is changed in every way that mutmut knows (operators, constants,
arguments, branches), one at a time, in a copy of the source tree; the tests of `TESTS` that reach the function run
against each, always with the same examples. A mutant that ends in a time limit counts as noticed, one that no test
reaches as survived. Some survivors change nothing that can be seen, such as a shortcut that is not taken: the share
never reaches 1. 2,000 mutants took 17 minutes, two at a time on two busy cores. What is tried by name
waits for the tests without a mutant, too: half a minute.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("pyproject.toml", "src", "tests", "configs", "docs", "benchmarks", "README.md")
TESTS = (
    "tests/unit/test_chain_*.py",
    "tests/unit/test_log_*.py",
    "tests/unit/test_abi_text.py",
    "tests/property/test_abi.py",
    "tests/property/test_chain_*.py",
    "tests/property/test_log_*.py",
    "tests/property/test_read_*.py",
    "tests/property/test_nodelife_machine.py",
    "tests/sim/test_log_index.py",
)

CONFIGURATION = """
[tool.mutmut]
source_paths = ["src/"]
only_mutate = ["src/tocsin/chain/*"]
also_copy = ["configs", "docs"]
use_git_change_detection = false
# A mutant may take five times as long as its tests do, and ten seconds: loops without end cost most of the time.
timeout_multiplier = 5.0
timeout_constant = 2.0
# Examples that follow from the test alone, none of them kept for the next mutant: see tests/conftest.py.
pytest_add_cli_args = [
  "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-profile=verdict", "-o", "filterwarnings=default",
]
pytest_add_cli_args_test_selection = {tests}
"""

NOTICED = {"killed": "killed", "timeout": "timed_out", "segfault": "timed_out"}
"""How mutmut says that tests noticed. A mutant that spends its processor time in one call dies of a signal."""
UNTESTED = {"no tests": "without_tests"}
COLUMNS = ("mutants", "killed", "timed_out", "survived", "without_tests")


def copied(folder: Path) -> Path:
    """Copy what the tests need; mutants are written beside it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    tests = sorted(str(path.relative_to(ROOT)) for pattern in TESTS for path in ROOT.glob(pattern))
    with (folder / "pyproject.toml").open("a") as file:
        file.write(CONFIGURATION.format(tests=json.dumps(tests)))
    return folder


def mutmut(folder: Path, *words: str) -> str:
    """Run mutmut in a folder and return what it says. Raises SystemExit where it fails.

    It fails where the tests fail without a mutant, and where they do not import the copy.
    """
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *words],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"mutmut {words[0]} failed ({done.returncode}):\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def verdicts(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the module of each mutant that was tried, its name, and what became of it."""
    for line in mutmut(folder, "results", "--all", "true").splitlines():
        name, _, said = line.strip().rpartition(": ")
        if name.startswith("tocsin.chain.") and said != "not checked":
            yield name.split(".")[2], name, NOTICED.get(said) or UNTESTED.get(said, "survived")


def change(folder: Path, name: str) -> dict[str, str]:
    """Return what a mutant changed: its name, the line as it was, and as it became."""
    lines = [line for line in mutmut(folder, "show", name).splitlines() if not line.startswith(("---", "+++"))]
    return {"mutant": name} | {
        key: "\n".join(line[1:].strip() for line in lines if line.startswith(sign))
        for key, sign in (("was", "-"), ("became", "+"))
    }


def row(counts: Counter[str]) -> dict[str, int | float]:
    counted = {**dict.fromkeys(COLUMNS, 0), **counts, "mutants": counts.total()}
    noticed = counted["killed"] + counted["timed_out"]
    return {"killed_share": round(noticed / max(1, counts.total()), 4), **counted}


def measure(only: list[str], children: int) -> dict[str, object]:
    """Try the mutants; return the figures of all and of each module, and the changes that nobody noticed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tocsin-mutation-") as name:
        folder = copied(Path(name))
        mutmut(folder, "run", "--max-children", str(children), *only)
        modules: dict[str, Counter[str]] = {}
        unnoticed = []
        for module, mutant, verdict in verdicts(folder):
            modules.setdefault(module, Counter())[verdict] += 1
            if verdict not in NOTICED.values():
                unnoticed.append(change(folder, mutant))
    if not modules:
        raise SystemExit("no mutant was tried")
    return {
        **row(sum(modules.values(), Counter())),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "modules": {module: row(modules[module]) for module in sorted(modules)},
        "survivors": unnoticed,
    }


def told(figures: dict[str, object]) -> Iterator[str]:
    """Yield the figures for people: a line for each module, then each change that nobody noticed."""
    modules = figures["modules"]
    assert isinstance(modules, dict)
    for module, found in {**modules, "all": figures}.items():
        counts = "  ".join(f"{found[column]:4} {column}" for column in COLUMNS)
        yield f"{module:10} {found['killed_share']:7.1%}  {counts}"
    survivors = figures["survivors"]
    assert isinstance(survivors, list)
    for each in survivors:
        yield f"\n{each['mutant']}\n- {each['was']}\n+ {each['became']}"


def main() -> None:
    parser = argparse.ArgumentParser(description="how much of what the chain says is held by its tests")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PATTERN", help="mutants by name, such as 'tocsin.chain.groups.*'"
    )
    parser.add_argument("--children", type=int, default=len(os.sched_getaffinity(0)), help="mutants at the same time")
    options = parser.parse_args()
    figures = measure(options.only, options.children)
    if not options.json:
        print("\n".join(told(figures)))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
