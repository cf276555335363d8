"""`tocsin reload`: let the daemon read its configuration again, and hear whether it could."""

import json

from tocsin.cli import _client, _fast
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.errors import ConfigError


def command(*, as_json: AsJson = False, config: ConfigFile = None, runtime_dir: RuntimeDir = None) -> None:
    """Let the daemon read its configuration again. A broken one is refused: the daemon keeps the old one.

    Exit code: 0 in force, 1 refused.
    """
    answer = _client.ask(daemon_dir(config, runtime_dir), "reload")
    problems = tuple(str(problem) for problem in answer.get("problems") or ())
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **answer}, indent=2) + "\n")
    if answer.get("ok") is not True:
        raise ConfigError((*problems, "the old configuration stays in force"))
    if not as_json:
        _fast.print_out(f"in force: configuration {answer.get('hash')}\n")
