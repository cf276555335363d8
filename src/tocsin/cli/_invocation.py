"""How this program was called, and so what to type to call it again."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def program() -> str:
    """Return what to type for this very program: its name where the shell finds it, else its path."""
    invoked = Path(sys.argv[0])
    if invoked.name == "__main__.py":
        return f"{short(Path(sys.executable))} -m tocsin"
    found = shutil.which("tocsin")
    if found is not None and os.path.realpath(found) == os.path.realpath(invoked):
        return "tocsin"
    return short(invoked)


def short(path: Path) -> str:
    """Return the path below the working directory where it is there, quoted for a shell."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would leave a virtual environment
    here = Path.cwd()
    return shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute))
