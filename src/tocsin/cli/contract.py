"""`tocsin contract`: what a watched contract is known to be, how that is known, and what it was pinned to."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast, _words
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._words import part, rows, say
from tocsin.errors import ControlError

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _contract() -> None:
    """Show watched contracts."""


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As it is configured.")],
    *,
    chain: Annotated[str, typer.Option("--chain", metavar="CHAIN", help="Where several chains have one.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Show each watched value of a contract: what it is, how that is known, and what it was pinned to."""
    status = _client.ask(daemon_dir(config, runtime_dir), "status")
    on, row = find(status if isinstance(status, dict) else {}, name, chain)
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, "on": on, "contract": row}, indent=2) + "\n")
    else:
        _fast.print_out("\n".join(lines(on, row)) + "\n")


def find(status: Mapping[str, Any], name: str, chain: str) -> tuple[str, Mapping[str, Any]]:
    """Return the chain and the row of a contract in a status document. Raises ControlError for none or several."""
    all_ = [(say(on, "name"), row) for on in rows(status, "chains") for row in rows(on, "contracts")]
    found = [(on, row) for on, row in all_ if row.get("name") == name and chain in ("", on)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ControlError(f"{', '.join(on for on, _ in found)} each have a contract {name}; say which with --chain")
    known = ", ".join(sorted({say(row, "name") for _, row in all_}))
    raise ControlError(
        f"no contract is called {name[:64]!r}; " + (f"there are {known}" if known else "none is watched")
    )


def lines(on: str, row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person reads of a contract."""
    yield f"{say(row, 'name')}  {say(row, 'address')} on {on}"
    block, audited, age_s = part(row, "block"), part(row, "audited"), _words.number(row.get("age_s"))
    if block:
        ago = "" if age_s is None else f", {_words.span(int(age_s * _words.NS))} ago"
        yield f"read at block {say(block, 'number')} {say(block, 'hash')}{ago}"
    if audited:
        yield f"nodes compared at finalized block {say(audited, 'number')}"
    if row.get("problem"):
        yield f"problem: {say(row, 'problem')}"
    values = part(row, "values")
    yield ""
    yield from _words.table([("value", "is", "known", "pinned to"), *(_cells(at, part(values, at)) for at in values)])


def _cells(name: str, value: Mapping[str, Any]) -> tuple[str, str, str, str]:
    grade, groups = say(value, "grade"), value.get("groups")
    known = f"{grade} ({say(value, 'votes')} of {groups} groups)" if _words.whole(groups) and groups else grade
    pinned = "the same" if value.get("baseline") == value.get("value") else say(value, "baseline")
    by = f", accepted by {say(value, 'accepted_by')}" if value.get("accepted_by") else ""
    return _words.clean(name), say(value, "value"), known, pinned + by
