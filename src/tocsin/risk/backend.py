"""Which backend runs: the compiled one where it is installed and may make code in memory, else numpy, and why."""

import mmap
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from tocsin.risk.kernel import Kernel
from tocsin.risk.plain import PLAIN


class Wanted(StrEnum):
    """What is asked for. Closed."""

    AUTO = "auto"
    NUMPY = "numpy"
    NUMBA = "numba"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The kernel that runs, and in words why it is not the compiled one; empty if it is."""

    kernel: Kernel
    why: str = ""


def backend(wanted: Wanted = Wanted.AUTO) -> Backend:
    """Choose a backend. The first call for the compiled one takes seconds: it compiles, or loads what was compiled."""
    if wanted is Wanted.NUMPY:
        return Backend(kernel=PLAIN, why="numpy was asked for")
    if find_spec("numba") is None:
        return Backend(kernel=PLAIN, why="numba is not installed (the extra `fast`)")
    if not may_make_code():
        return Backend(kernel=PLAIN, why="memory may not be made executable here (MemoryDenyWriteExecute)")
    try:
        from tocsin.risk.compiled import COMPILED  # noqa: PLC0415 - numba takes 90 MB: only where it is wanted
    except (ImportError, RuntimeError, OSError) as error:
        return Backend(kernel=PLAIN, why=f"numba does not start: {error}")
    return Backend(kernel=COMPILED)


def may_make_code() -> bool:
    """Tell whether memory may be writable and executable; a compiler that cannot have it ends the process."""
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True
