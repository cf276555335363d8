"""`tocsin contract`: what a watched contract is known to be, how that is known, and what it was pinned to."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import typer

from tocsin.cli import _named, _words
from tocsin.cli._named import Name, OfChain
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._words import part, say

Cells = tuple[str, str, str, str]

_CAP: Final = "supply.cap"
"""Most tokens have none, and do not tell any: nothing is to be seen of that once they are read."""
_UNREAD: Final = "unread"
"""It was not read yet, or is not told by this contract."""

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _contract() -> None:
    """Show watched contracts."""


@app.command("show")
def show(
    name: Name,
    *,
    chain: OfChain = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Show each watched value of a contract: what it is, how that is known, and what it was pinned to."""
    where = daemon_dir(config, runtime_dir)
    _named.show("contract", name, chain, as_json=as_json, runtime_dir=where, lines=lines)


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
    known = [at for at in values if at != _CAP or part(values, at).get("value") is not None or not block]
    cells = [row for at in known for row in _rows(at, part(values, at))]
    yield from _words.table([("value", "is", "known", "pinned to, or limits"), *cells])


def _rows(name: str, value: Mapping[str, Any]) -> Iterator[Cells]:
    """Yield a value's rows: of a list, one a member."""
    grade, groups = say(value, "grade"), value.get("groups")
    known = f"{grade} ({say(value, 'votes')} of {groups} groups)" if _words.whole(groups) and groups else grade
    first, *others = _words.amount(value, "value").split(",") if value.get("value") is not None else [_UNREAD]
    yield _words.clean(name), first, known, _held_against(value)
    yield from (("", other, "", "") for other in others)


def _held_against(value: Mapping[str, Any]) -> str:
    if "decimals" in value:
        limits = [
            f"{word} {_words.amount(value, key)}" for word, key in (("min", "least"), ("max", "most")) if value.get(key)
        ]
        return ", ".join(limits) or "-"
    if value.get("baseline") is None:
        return "-"
    pinned = "the same" if value["baseline"] == value.get("value") else say(value, "baseline")
    by = f", accepted by {say(value, 'accepted_by')}" if value.get("accepted_by") else ""
    why = f": {say(value, 'accepted_why')}" if by and value.get("accepted_why") else ""
    return pinned + by + why
