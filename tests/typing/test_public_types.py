"""The types of the public API, as a user's mypy sees them: what is right passes, what is wrong is told."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[tuple[int, str]]]:
    """Return what mypy says of both programs: line and kind of error, by name. One run: it reads the whole package."""
    options = ["--strict", "--no-error-summary", "--cache-dir", str(tmp_path_factory.mktemp("cache"))]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", *options, "uses.py", "misuses.py"],
        cwd=FOLDER,
        env={"MYPYPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    found: dict[str, set[tuple[int, str]]] = {}
    told = re.findall(r"^(\S+?):(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert len(told) == done.stdout.count(": error: "), done.stdout
    for name, line, kind in told:
        found.setdefault(name, set()).add((int(line), kind))
    return found


def test_a_program_that_uses_the_public_api_as_documented_type_checks(
    complaints: dict[str, set[tuple[int, str]]],
) -> None:
    assert set(complaints) == {"misuses.py"}
    assert (ROOT / "src" / "tocsin" / "py.typed").exists(), "without it a user's mypy looks at nothing"


def test_every_misuse_is_told_where_it_is(complaints: dict[str, set[tuple[int, str]]]) -> None:
    wanted = {
        (number, line.partition("# E: ")[2])
        for number, line in enumerate((FOLDER / "misuses.py").read_text().splitlines(), start=1)
        if "# E: " in line
    }
    assert complaints["misuses.py"] == wanted
