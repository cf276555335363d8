"""`tocsin reload`: let the daemon read its configuration again, and hear whether it could."""

import json
import sys

import typer

from tocsin.cli import _client, _fast, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir


def command(*, as_json: AsJson = False, config: ConfigFile = None, runtime_dir: RuntimeDir = None) -> None:
    """Let the daemon read its configuration again. A broken one is refused: the daemon keeps the old one.

    Exit code: 0 in force, 1 refused.
    """
    answer = _client.ask(daemon_dir(config, runtime_dir), "reload")
    problems = tuple(str(problem) for problem in answer.get("problems") or ())
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **answer}, indent=2) + "\n")
    if answer.get("ok") is not True:
        for line in (*problems, "the old configuration stays in force"):
            sys.stderr.write(f"tocsin: {_words.clean(line)}\n")
        raise typer.Exit(1)
    if not as_json:
        _fast.print_out(f"in force: configuration {answer.get('hash')}\n")
