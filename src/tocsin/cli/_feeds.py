"""What `tocsin status` says of prices: feeds of a chain, what the market says beside them, and price gateways."""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.cli._words import NS, clean, number, part, rows, say, span, table, whole

_FEED_HEAD = ("feed", "prices", "says", "market", "apart", "age", "known", "problem")
_GATEWAY_HEAD = ("price gateway", "state", "prices", "says", "off", "age", "reason")
_HUNDRED = 100


def feed_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the feeds of a chain."""
    if feeds := rows(row, "feeds"):
        yield from table([_FEED_HEAD, *(_feed_cells(one) for one in feeds)])


def gateway_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the price gateways."""
    if gateways := rows(document, "gateways"):
        yield from table([_GATEWAY_HEAD, *(_gateway_cells(one) for one in gateways)])
        yield ""


def _feed_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    says = part(one, "says")
    return (
        say(one, "name"),
        say(one, "prices"),
        said(one),
        market(part(one, "market")),
        points(one.get("gap_bps")),
        age(says.get("age_s")),
        say(says, "grade"),
        say(one, "problem") if one.get("problem") else "",
    )


def said(one: Mapping[str, Any]) -> str:
    """Say what a feed says: of a sequencer whether it is up."""
    value = say(part(one, "says"), "value")
    return {"0": "up", "1": "down"}.get(value, value) if one.get("kind") == "sequencer" else value


def market(found: Mapping[str, Any]) -> str:
    """Say what the market says, or how many sources are too few."""
    if not found:
        return "-"
    if found.get("value"):
        return say(found, "value")
    voices = found.get("voices")
    return f"{voices} of 3 sources" if whole(voices) and voices else "-"


def points(found: object) -> str:
    """Say basis points as per cent."""
    return f"{found // _HUNDRED}.{found % _HUNDRED:02} %" if whole(found) else "-"


def age(found: object) -> str:
    """Say how old a price is."""
    seconds = number(found)
    return "-" if seconds is None else span(max(0, int(seconds * NS)))


def _gateway_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        say(one, "name"),
        say(one, "state"),
        say(one, "prices"),
        say(one, "value"),
        points(one.get("off_bps")),
        age(one.get("age_s")),
        clean(str(one["reason"])) if one.get("reason") else "",
    )
