"""Run some tests against an installed wheel: `python -m tests.support.wheel VENV`.

The tools of the development environment are made importable behind the wheel's own packages, so that pytest is there
but tocsin and all that it depends on come from the wheel's environment.
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = ("tests/unit/test_cli.py", "tests/unit/test_control.py")


def main() -> int:
    """Return pytest's exit code."""
    python = Path(sys.argv[1], "bin", "python").absolute()
    tools = next(path for path in sys.path if path.endswith("site-packages"))
    code = (
        "import os, sys\n"
        "import tocsin\n"
        "assert tocsin.__file__.startswith(sys.prefix), tocsin.__file__\n"
        "sys.path.append(os.environ['TOOLS'])\n"
        "import pytest\n"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    done = subprocess.run(
        [python, "-P", "-c", code, *options, *TESTS], env={**os.environ, "TOOLS": tools}, timeout=600, check=False
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
