"""`tocsin maintenance`: take a node out of judgement while somebody works on it, and back into it."""

import json
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.clock import NS, SystemClock
from tocsin.errors import UsageError
from tocsin.units import duration_ns

_LONGEST_NS = 30 * 86_400 * NS
"""Longer ones the daemon refuses."""

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _maintenance() -> None:
    """Take a node out of judgement while you work on it: no alerts about it, and no vote of it."""


@app.command("node")
def node(
    name: Annotated[str, typer.Argument(metavar="CHAIN/NODE", help="As tocsin status shows them.")],
    *,
    for_: Annotated[
        str, typer.Option("--for", metavar="SPAN", help="For how long, such as 30m or 2h; 30d at most.")
    ] = "",
    reason: Annotated[str, typer.Option("--why", "--reason", metavar="TEXT", help="For those who see it.")] = "",
    end: Annotated[bool, typer.Option("--end", help="It is over: verify the node and judge it again.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Begin the maintenance of a node, set its end anew, or end it now.

    Its open alerts resolve, but for those that wait for their ack; what is still wrong afterwards fires anew.
    """
    chain, slash, own = name.partition("/")
    if not slash or not chain or not own:
        raise UsageError(f"{name!r} is no CHAIN/NODE; tocsin status shows both")
    if bool(for_) is end:
        raise UsageError("give --for SPAN to begin, or --end")
    request: dict[str, object] = {"chain": chain, "node": own, "why": reason}
    request |= {"end": True} if end else {"for_s": _seconds(for_)}
    answer = _client.ask(daemon_dir(config, runtime_dir), "maintenance", request)
    if as_json:
        _print_json(answer)
    else:
        said = "is over: it is verified now" if end else f"for {for_}, until {_until(answer, chain, own)}"
        _fast.print_out(f"{name}: maintenance {said}\n")


@app.command("list")
def list_(
    *,
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Show the nodes that are in maintenance: by whom, why, and for how long still."""
    answer = _client.ask(daemon_dir(config, runtime_dir), "maintenance")
    if as_json:
        _print_json(answer)
    else:
        _fast.print_out(listed(answer, SystemClock().wall_ns()))


def listed(answer: Any, now_wall_ns: int) -> str:
    """Return the windows as lines."""
    windows = _words.rows(answer if isinstance(answer, dict) else {}, "maintenance")
    if not windows:
        return "no node is in maintenance\n"
    return "".join(f"{_line(window, now_wall_ns)}\n" for window in windows)


def _until(answer: Any, chain: str, node: str) -> str:
    """Say until when the window lasts that was begun just now."""
    windows = _words.rows(answer if isinstance(answer, dict) else {}, "maintenance")
    mine = (each for each in windows if (each.get("chain"), each.get("node")) == (chain, node))
    return _words.moment(next(mine, {}).get("until_wall_ns"))


def _line(window: Any, now_wall_ns: int) -> str:
    until = window.get("until_wall_ns")
    left = _words.span(until - now_wall_ns) if isinstance(until, int) else "?"
    parts = [f"{window.get('chain')}/{window.get('node')}", f"{left} left", f"by {window.get('by')}"]
    return "  ".join(_words.clean(str(part)) for part in [*parts, window.get("reason") or ""]).rstrip()


def _seconds(text: str) -> int:
    try:
        asked_ns = duration_ns(text)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error
    if not NS <= asked_ns <= _LONGEST_NS:
        raise UsageError("--for: from 1s to 30d")
    return asked_ns // NS


def _print_json(answer: Any) -> None:
    _fast.print_out(json.dumps({"schema": 1, **answer}, indent=2) + "\n")
