"""`tocsin notify`: the channels of people. `test` tries them for real."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir

app = typer.Typer(no_args_is_help=True)

_NO_DAEMON = frozenset({"absent", "refused"})


@app.callback()
def _group() -> None:
    """Channels of people."""


@app.command("test")
def try_out(
    channel: Annotated[str, typer.Argument(help="The channel; all that are configured without it.")] = "",
    *,
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Send one message, marked as a test, through each channel, and print what came back.

    The running daemon sends it, by the configuration that is in force. Where none runs, this command does, by the
    configuration on disk. Exit code: 0 all took it, 1 some did not.
    """
    try:
        answer = _client.ask(daemon_dir(config, runtime_dir), "notify", {"channel": channel})
    except _client.Unreachable as error:
        if error.why not in _NO_DAEMON:
            raise
        answer = {"channels": _sent_from_here(config, channel)}
    found = _words.rows(answer if isinstance(answer, dict) else {}, "channels")
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, "channels": found}, indent=2) + "\n")
    else:
        _fast.print_out("".join(f"{_line(row)}\n" for row in found))
    if not all(row.get("ok") is True for row in found):
        raise typer.Exit(1)


def _line(row: Mapping[str, Any]) -> str:
    state = "taken" if row.get("ok") is True else "FAILED"
    return f"{_words.say(row, 'channel')}  {_words.say(row, 'kind')}  {state}: {_words.say(row, 'said')}"


def _sent_from_here(config: str | None, channel: str) -> list[dict[str, object]]:
    import asyncio  # noqa: PLC0415 - only where no daemon runs
    import os  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from tocsin.cli import _where  # noqa: PLC0415
    from tocsin.runtime.configuration import read_config  # noqa: PLC0415
    from tocsin.runtime.people import test_from_here  # noqa: PLC0415

    loaded = read_config(Path(_where.needed_config(config, os.environ)), os.environ)
    return asyncio.run(test_from_here(loaded, channel))
