"""`tocsin status`: what the daemon sees. Without `--watch` and `--help` it never gets here: see `_fast`."""

import json
import sys
import time
from typing import Annotated

import typer

from tocsin.cli import _fast, _report, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.clock import SystemClock

PERIOD_S = 2.0
HOME_AND_CLEAR = "\x1b[H\x1b[2J"


def command(
    *,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until interrupted.")] = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Show what the daemon sees; a daemon that hangs or is gone reads UNKNOWN.

    Exit code: 0 ok, 1 warning, 2 critical, 3 unknown.
    """
    if watch:
        raise typer.Exit(_watch(daemon_dir(config, runtime_dir), as_json=as_json))
    raise typer.Exit(_fast.show_status(as_json=as_json, config=config, runtime_dir=runtime_dir))


def _watch(folder: str, *, as_json: bool) -> int:
    """Show the status again and again; an interrupt is the ordinary end and gives the last one's exit code."""
    code = _words.UNKNOWN
    try:
        while True:
            verdict = _fast.read(folder)
            code = verdict.exit
            if as_json:
                _fast.print_out(json.dumps(_report.envelope(verdict)) + "\n")
            else:
                page = _report.text(verdict, now_wall_ns=SystemClock().wall_ns(), colour=_fast.wants_colour())
                _fast.print_out((HOME_AND_CLEAR if sys.stdout.isatty() else "") + page)
            time.sleep(PERIOD_S)
    except KeyboardInterrupt:
        return code
