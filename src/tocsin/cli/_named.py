"""`show NAME`: one thing of the status document that people name, with the chain that it is of."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast
from tocsin.cli._words import rows, say
from tocsin.errors import ControlError

Row = Mapping[str, Any]

Name = Annotated[str, typer.Argument(metavar="NAME", help="As it is configured.")]
OfChain = Annotated[str, typer.Option("--chain", metavar="CHAIN", help="Where several chains have one.")]


def show(
    what: str, name: str, chain: str, *, as_json: bool, runtime_dir: str, lines: Callable[[str, Row], Iterable[str]]
) -> None:
    """Print what the daemon knows of a contract or a feed, as `lines` has it for people. Raises ControlError."""
    status = _client.ask(runtime_dir, "status")
    on, row = find(status if isinstance(status, dict) else {}, what, name, chain)
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, "on": on, what: row}, indent=2) + "\n")
    else:
        _fast.print_out("\n".join(lines(on, row)) + "\n")


def find(status: Mapping[str, Any], what: str, name: str, chain: str) -> tuple[str, Row]:
    """Return the chain and the row of a contract or a feed. Raises ControlError for none or several."""
    every = [(say(on, "name"), row) for on in rows(status, "chains") for row in rows(on, f"{what}s")]
    found = [(on, row) for on, row in every if row.get("name") == name and chain in ("", on)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ControlError(f"{', '.join(on for on, _ in found)} each have a {what} {name}; say which with --chain")
    known = ", ".join(sorted({say(row, "name") for _, row in every}))
    raise ControlError(f"no {what} is called {name[:64]!r}; " + (f"there are {known}" if known else "none is watched"))
