"""`tocsin events`: the stream of alerts, from the running daemon."""

import json
import sys
from typing import Annotated

import typer

from tocsin.cli import _client, _fast
from tocsin.cli._options import ConfigFile, RuntimeDir, daemon_dir
from tocsin.wire.alertline import line

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _events() -> None:
    """Show the stream of alerts."""


@app.command("tail")
def tail(
    *,
    last: Annotated[
        int, typer.Option("--last", "-n", metavar="N", min=0, max=10_000, help="So many past events.")
    ] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until interrupted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One CloudEvent per line, as published.")] = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Show the latest alert events, the oldest first. Of the time before the daemon started it knows a hundred."""
    said = False
    try:
        for event in _client.stream(daemon_dir(config, runtime_dir), "events", {"n": last, "follow": follow}):
            _fast.print_out((json.dumps(event) if as_json else line(event)) + "\n")
            said = True
    except KeyboardInterrupt:
        raise typer.Exit(0 if follow else 130) from None
    if last and not said:  # for a person: a program gets an empty stream
        sys.stderr.write("no alert event yet\n")
