"""`tocsin run`: the watchdog itself."""

from typing import Annotated

import typer

from tocsin.cli import _where
from tocsin.cli._options import ConfigFile


def command(
    *,
    config: ConfigFile = None,
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Watch until stopped by SIGTERM or Ctrl-C. SIGHUP reads the configuration again.

    Exit code: 0 after a clean stop, 1 when it could not start or go on.
    """
    import asyncio  # noqa: PLC0415 - only the daemon needs these
    import os  # noqa: PLC0415
    import signal  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    # Nothing was read yet that could be read again; by itself a hangup would be the end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    from tocsin.runtime import garbage  # noqa: PLC0415
    from tocsin.runtime.live import live  # noqa: PLC0415
    from tocsin.runtime.logs import set_up  # noqa: PLC0415

    set_up(log_level)
    garbage.begin()
    asyncio.run(live(Path(_where.needed_config(config, os.environ))))
