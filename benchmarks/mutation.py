"""How much of what the chain says is held by its tests: the share of broken lines that some test notices.

    python -m benchmarks.mutation [--json] [--only PATTERN]

Every statement of `tocsin.chain` is changed in every way that mutmut knows (operators, constants, arguments, branches),
one at a time, in a copy of the source tree; the unit and property tests of the chain run against each. A mutant that
times out counts as noticed. Some survivors change nothing that can be seen, such as the text of a defect's message: the
share never reaches 1.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("pyproject.toml", "src", "tests", "configs", "docs", "benchmarks", "README.md")
TESTS = ("tests/unit/test_chain_*.py", "tests/property/test_chain_*.py")
CHILDREN = 2

CONFIGURATION = """
[tool.mutmut]
source_paths = ["src/"]
only_mutate = ["src/tocsin/chain/*"]
also_copy = ["configs", "docs"]
pytest_add_cli_args = ["-p", "no:randomly", "--hypothesis-seed=0", "-o", "filterwarnings=default"]
pytest_add_cli_args_test_selection = {tests}
"""


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
    """Run mutmut in a folder and return what it says. Raises SystemExit where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"mutmut {words[0]} failed ({done.returncode}):\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def measure(only: str | None) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="tocsin-mutation-") as name:
        folder = copied(Path(name))
        mutmut(folder, "run", "--max-children", str(CHILDREN), *([only] if only else []))
        mutmut(folder, "export-cicd-stats")
        stats = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text())
        survivors = [
            line.split(":")[0].strip() for line in mutmut(folder, "results").splitlines() if "survived" in line
        ]
    killed = stats["killed"] + stats["timeout"]
    judged = killed + stats["survived"] + stats["no_tests"] + stats["suspicious"]
    return {
        "killed_share": round(killed / judged, 4) if judged else None,
        "mutants": judged,
        "killed": stats["killed"],
        "timed_out": stats["timeout"],
        "survived": stats["survived"],
        "no_tests": stats["no_tests"],
        "survivors": survivors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="how much of what the chain says is held by its tests")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--only", help="mutants whose name matches, such as 'tocsin.chain.groups*'")
    options = parser.parse_args()
    figures = measure(options.only)
    if not options.json:
        for name, value in figures.items():
            print(f"{name:14} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
