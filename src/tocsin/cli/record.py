"""`tocsin record`: the newest stretch of the journal as one file that `tocsin replay` reads."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.errors import UsageError
from tocsin.units import duration_ns


def command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write; it must not exist yet.")],
    *,
    last: Annotated[str, typer.Option("--last", metavar="SPAN", help="How far back, such as 10m or 2h.")] = "1h",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Write what came in lately, with the state it began from: everything needed to decide it all again.

    The daemon writes the file, so it must be allowed to write there. No secret is in it: addresses of nodes are kept as
    scheme and host.
    """
    try:
        seconds = max(1, duration_ns(last) // 10**9)
    except ValueError as error:
        raise UsageError(f"--last: {error}") from error
    request = {"path": str(out.absolute()), "seconds": seconds}
    answer = _client.ask(daemon_dir(config, runtime_dir), "record", request)
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **answer}, indent=2) + "\n")
        return
    _fast.print_out(said(answer))


def said(answer: Any) -> str:
    """Return what was recorded, in words."""
    gaps = answer.get("gaps") or []
    lines = [f"{answer.get('path')}: {answer.get('events')} events; try tocsin replay {answer.get('path')}"]
    lines += [f"not recorded: {gap}" for gap in gaps]
    return "\n".join(lines) + "\n"
