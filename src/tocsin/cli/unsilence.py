"""`tocsin unsilence`: end a silence before its time."""

import json
from typing import Annotated

import typer

from tocsin.cli import _client, _fast, _silences
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.clock import SystemClock


def command(
    silence: Annotated[str, typer.Argument(metavar="ID", help="As tocsin silence and tocsin status show it.")],
    *,
    why: Annotated[str, typer.Option("--why", "--reason", metavar="TEXT", help="For those who read it later.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """End a silence. What fires and was said only under it is told now."""
    answer = _client.ask(daemon_dir(config, runtime_dir), "unsilence", {"id": silence, "why": why})
    lines = _silences.ended(answer, SystemClock().wall_ns())
    said = json.dumps({"schema": 1, **answer}, indent=2) if as_json else "\n".join(lines)
    _fast.print_out(said + "\n")
