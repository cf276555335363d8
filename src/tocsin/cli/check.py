"""`tocsin check`: one line for a scheduler of checks. Without `--help` it never gets here: see `_fast`."""

from typing import Annotated

import typer

from tocsin.cli import _fast
from tocsin.cli._options import ConfigFile, RuntimeDir


def command(
    *,
    chain: Annotated[str | None, typer.Option("--chain", metavar="NAME", help="Judge this chain alone.")] = None,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Print one line in the Nagios format, with performance data.

    Exit code: 0 ok, 1 warning, 2 critical, 3 unknown; also 3 when the daemon hangs or is gone.
    """
    raise typer.Exit(_fast.show_check(chain=chain, config=config, runtime_dir=runtime_dir))
