"""`tocsin feed`: what a source of prices says, how that is known, and what the market says beside it."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from tocsin.cli import _feeds, _named, _words
from tocsin.cli._named import Name, OfChain
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._words import part, rows, say

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _feed() -> None:
    """Show sources of prices."""


@app.command("show")
def show(
    name: Name,
    *,
    chain: OfChain = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Show a feed: what it says, by which protocols act now, and what the market says, which is what comes next."""
    where = daemon_dir(config, runtime_dir)
    _named.show("feed", name, chain, as_json=as_json, runtime_dir=where, lines=lines)


def lines(on: str, row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person reads of a feed."""
    says, block = part(row, "says"), part(part(row, "says"), "block")
    yield f"{say(row, 'name')}  {say(row, 'kind')} {say(row, 'address')} on {on}"
    if row.get("description"):
        yield f"it calls itself {say(row, 'description')}"
    if row.get("aggregator"):
        yield f"behind it: {say(row, 'aggregator')}"
    if row.get("problem"):
        yield f"problem: {say(row, 'problem')}"
    yield ""
    pair = f" for {say(row, 'prices')}" if row.get("prices") else ""
    if says:
        grade, groups = say(says, "grade"), says.get("groups")
        known = f"{grade}, {say(says, 'votes')} of {groups} groups" if _words.whole(groups) and groups else grade
        yield f"the feed says   {_feeds.said(row)}{pair} ({known}, block {say(block, 'number')})"
        yield from _round(says)
    market = part(row, "market")
    if market:
        yield f"the market says {_market(market)}"
    if row.get("gap_bps") is not None:
        yield f"between them    {_feeds.points(row.get('gap_bps'))}"
    if sources := rows(row, "sources"):
        yield ""
        yield from _words.table([("source", "role", "provider", "says", ""), *(_cells(one) for one in sources)])


def _market(market: Mapping[str, Any]) -> str:
    """Say what the market says and by how many sources, or that these are too few."""
    voices = market.get("voices")
    sources = f"{say(market, 'voices')} independent {'source' if voices == 1 else 'sources'}"
    if not market.get("value"):
        return f"nothing: there {'is' if voices == 1 else 'are'} {sources}, and it takes 3"
    return f"{say(market, 'value')} ({sources}, {_feeds.points(market.get('spread_bps'))} apart)"


def _round(says: Mapping[str, Any]) -> Iterator[str]:
    if says.get("round") is None:
        return
    heartbeat = says.get("heartbeat_s")
    within = f", heartbeat {_feeds.age(heartbeat)}" if heartbeat is not None else ""
    yield f"                round {_number(says)}, {_feeds.age(says.get('age_s'))} old at that block{within}"


def _number(says: Mapping[str, Any]) -> str:
    """Say a round as people know it: a proxy's number is that of its phase, and below 2^64 the aggregator's."""
    number, phase = say(says, "round"), says.get("phase")
    if not number.isdecimal() or not _words.whole(phase) or not phase:
        return number
    return f"{int(number) % (1 << 64)} of phase {phase}"


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    used = "" if one.get("used") is True else f"not used: {say(one, 'why')}"
    return say(one, "source"), say(one, "role"), say(one, "provider"), say(one, "value"), used
