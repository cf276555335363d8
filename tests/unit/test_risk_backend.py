"""The compiler stays where it is wanted: the modules of one backend name it, and valuing by numpy does not load it."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "tocsin"
IMPORT = re.compile(r"^\s*(?:from|import) (?:numba|llvmlite)\b", re.MULTILINE)


def test_modules_of_one_backend_import_the_compiler() -> None:
    found = [str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if IMPORT.search(path.read_text())]
    assert sorted(found) == ["risk/compiled.py", "risk/searching.py", "risk/sweeping.py", "risk/vectors.py"]


def test_valuing_by_numpy_loads_no_compiler() -> None:
    program = (
        "import sys, tocsin.risk.stress, tocsin.risk.pairs, tocsin.risk.critical, tocsin.risk.digest\n"
        "from tocsin.risk.backend import Wanted, backend\n"
        "print(backend(Wanted.NUMPY).kernel.name, 'numba' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["numpy", "False"]


def test_starting_and_asking_for_status_loads_neither_books_nor_kernels() -> None:
    program = (
        "import sys, tocsin.__main__, tocsin.cli._fast, tocsin.runtime.daemon\n"
        "print(sorted(name for name in sys.modules if name.startswith(('tocsin.risk', 'tocsin.protocols'))))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_in_ci_the_compiler_is_there() -> None:
    assert find_spec("numba") is not None or "CI" not in os.environ
