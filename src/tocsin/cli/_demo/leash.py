"""Start a program that does not outlive us, not even when we are killed and cannot end it.

The kernel sends it SIGTERM when its parent dies (`PR_SET_PDEATHSIG`, prctl(2)). That has to be asked for between fork
and exec, where a process with threads must not run Python: so this file is run in between, and becomes the program.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""


def through() -> list[str]:
    """Return what to put before a command, whose program is an absolute path."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid())]


def become(parent: int, command: list[str]) -> None:
    """Become the command, which ends with `parent`; end at once when that is gone already."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() == parent:
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
