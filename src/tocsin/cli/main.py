"""The commands, each in its own file that is loaded only when it is called (or listed in the help).

A command file has `command`, a function that typer can read, or `app`, a Typer with subcommands. It imports what it
needs inside its function. It says no by raising a TocsinError, and may set the exit code by `typer.Exit(code)`.
"""

import importlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from tocsin.cli import _fast
from tocsin.errors import ConfigError, TocsinError, UsageError

COMMANDS = {
    "run": "Run the watchdog.",
    "demo": "See it at work, with simulated nodes and faults.",
    "init": "Find local nodes and write a configuration.",
    "doctor": "Test everything it needs and say what to do.",
    "config": "Check, show and describe the configuration.",
    "reload": "Let the daemon read its configuration.",
    "status": "Show what the daemon sees.",
    "check": "One line for Nagios and its kin.",
    "explain": "Say what an alert means and what to do.",
    "ack": "Acknowledge an alert.",
    "silence": "Silence alerts for a time.",
    "unsilence": "End a silence.",
    "maintenance": "Take a node out of judgement while you work on it.",
    "notify": "Try the channels of people.",
    "contract": "Show what a watched contract is known to be.",
    "feed": "Show what a source of prices says, and the market.",
    "read": "Read a contract, and tell how many groups say so.",
    "account": "Show how an account stands in lending markets.",
    "stress": "Show what other prices would do to a lending market.",
    "verify": "Check the evidence against a node again, offline.",
    "index": "Show how far the log indexes are.",
    "events": "Show the stream of alerts.",
    "incident": "Export an incident as one file.",
    "record": "Record what nodes answer.",
    "replay": "Run a recording again.",
    "calibrate": "Fit what simulations assume to a recording.",
    "chaos": "Stand before a node and make it faulty.",
    "version": "Show the version.",
}
"""In the order of the help: the name is the module."""

DONE, FAILED, MISTAKE = 0, 1, 3
READERS = frozenset({"status", "check"})
"""Their exit codes are states: any failure of theirs is 3, unknown."""

SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["--help", "-h"]},
}


def run(argv: Sequence[str]) -> int:
    """Run a command line (without the program) and return its exit code; problems are said on standard error."""
    name = argv[0] if argv and argv[0] in COMMANDS else ""
    try:
        if not argv:
            typer.main.get_command(build(COMMANDS)).main(["--help"], prog_name="tocsin", standalone_mode=False)
            return MISTAKE
        app = build([name] if name else COMMANDS)
        code = typer.main.get_command(app).main(list(argv), prog_name="tocsin", standalone_mode=False)
    except typer.TyperException as error:
        return _mistaken(name, error.format_message())
    except typer.Abort:
        return _say(name, ("stopped",), FAILED)
    except ConfigError as error:
        return _say(name, error.problems, MISTAKE)
    except UsageError as error:
        return _say(name, (str(error),), MISTAKE)
    except TocsinError as error:
        return _say(name, (str(error),), FAILED)
    except SystemExit as exited:  # typer's answer to a reader that went away
        return exited.code if isinstance(exited.code, int) else FAILED
    return code if isinstance(code, int) else DONE


def build(names: Iterable[str]) -> typer.Typer:
    """Return the typer application with these commands loaded."""
    app = typer.Typer(name="tocsin", **SETTINGS)
    app.callback()(_root)
    for name in names:
        _add(app, name)
    return app


def _root() -> None:
    """Watch blockchain nodes: what the chain says, how that is known, and no alert lost."""


def _add(app: typer.Typer, name: str) -> None:
    module = importlib.import_module(f"tocsin.cli.{name}")
    group = getattr(module, "app", None)
    if isinstance(group, typer.Typer):
        app.add_typer(group, name=name, help=COMMANDS[name])
    else:
        app.command(name, short_help=COMMANDS[name])(module.command)


def _mistaken(name: str, said: str) -> int:
    """Say what is wrong with the command line and where to read more; of a group alone typer says its whole help."""
    if said.startswith("Usage: "):
        sys.stderr.write(f"{said}\n")
        return MISTAKE
    hint = f"; see tocsin {name} --help" if name else "; see tocsin --help"
    return _say(name, (said.rstrip(".") + hint,), MISTAKE)


def _say(name: str, problems: Iterable[str], code: int) -> int:
    from tocsin.secret import redact  # noqa: PLC0415 - only where something went wrong

    if name in READERS:
        return _fast.complain(name, redact("; ".join(problems)))
    for problem in problems:
        sys.stderr.write(f"tocsin: {redact(problem)}\n")
    return code
