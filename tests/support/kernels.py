"""The kernels there are: numpy always, compiled loops where numba is installed, as it is in CI.

One process compiles, the others wait for it and load what it kept: compiling takes longer than all tests of kernels.
"""

import fcntl
import tempfile
from pathlib import Path

import pytest

from tocsin.risk.backend import backend
from tocsin.risk.kernel import Kernel
from tocsin.risk.plain import PLAIN


def _compiled() -> Kernel | None:
    with (Path(tempfile.gettempdir()) / "tocsin-kernels.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = backend().kernel
    return None if found is PLAIN else found


COMPILED = _compiled()
NEEDS_NUMBA = pytest.mark.skipif(COMPILED is None, reason="numba is not installed (the extra `fast`)")
KERNELS = tuple(kernel for kernel in (PLAIN, COMPILED) if kernel is not None)


def compiled() -> Kernel:
    """Return the compiled kernel, in tests that need numba."""
    assert COMPILED is not None
    return COMPILED
