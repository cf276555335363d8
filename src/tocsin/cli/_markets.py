"""What `tocsin status` says of lending markets: one row each, and a line for each account of one's own."""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.cli._words import amount, clean, counts, part, rows, say, span, table, whole

NS = 1_000_000_000
_HEAD = ("market", "block", "owe", "debt", "collateral", "liquidatable", "near", "known", "problem")


def market_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the markets of a chain."""
    markets = rows(row, "markets")
    if not markets:
        return
    yield from table([_HEAD, *(_cells(one) for one in markets)])
    for one in markets:
        for own in rows(one, "watched"):
            yield f"  {say(own, 'name')} in {say(one, 'name')}: {_own(own, one)}"


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    totals = part(one, "totals")
    return (
        say(one, "name"),
        _count(part(one, "block").get("number")),
        _count(totals.get("indebted")),
        value(one, totals, "debt"),
        value(one, totals, "collateral"),
        _liquidatable(totals),
        _count(one.get("near_count")) if totals else "-",
        ", ".join(word for word in (_text(one, "exactness"), _text(one, "grade")) if word) if totals else "-",
        _problem(one),
    )


def _liquidatable(totals: Mapping[str, Any]) -> str:
    blocked = f" ({_count(totals['blocked'])} blocked)" if counts(totals.get("blocked")) else ""
    unknown = f", {_count(totals['unknown'])} unknown" if counts(totals.get("unknown")) else ""
    return f"{_count(totals.get('liquidatable'))}{blocked}{unknown}"


def _problem(one: Mapping[str, Any]) -> str:
    """Say what is not as it should be, the worst first."""
    found = [f"{_count(one['mismatches'])} differ from the chain"] if counts(one.get("mismatches")) else []
    found += [f"{_count(one['changed'])} parameters changed"] if counts(one.get("changed")) else []
    found += [f"{_count(one['lag_blocks'])} blocks behind"] if counts(one.get("lag_blocks")) else []
    return "; ".join([*found, *([say(one, "problem")] if one.get("problem") else [])])


def _own(own: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """Say how an account of one's own stands."""
    if own.get("unknown"):
        return f"unknown, {say(own, 'unknown')}"
    said = [f"health {say(own, 'health')}" if own.get("health") else "no debt"]
    said += [f"owes {value(one, own, 'debt')} on {value(one, own, 'collateral')}"]
    if own.get("liquidatable"):
        said.append("can be liquidated" + (f", but {say(own, 'blocked')}" if own.get("blocked") else ""))
    elif whole(own.get("distance_ppm")):
        said.append(f"can be liquidated with {say(own, 'asset')} {own['distance_ppm'] / 10_000:+.2f} %")
    if whole(own.get("seconds_left")):
        said.append(f"by interest alone in {span(own['seconds_left'] * NS)}")
    return ", ".join(said)


def value(one: Mapping[str, Any], of: Mapping[str, Any], key: str) -> str:
    """Say an amount of a market in what it counts in, cut to what matters."""
    base = part(one, "base")
    text = amount({key: of.get(key), "decimals": base.get("decimals")}, key)
    head, _, behind = text.partition(".")
    if not head.isdecimal():
        return text
    short = f"{int(head):,}" if int(head) or not behind.strip("0") else f"0.{behind[:6]}"
    return f"{short} {say(base, 'name')}" if base else short


def _text(row: Mapping[str, Any], key: str) -> str:
    return say(row, key) if row.get(key) else ""


def _count(number: object) -> str:
    return f"{number:,}" if whole(number) else clean(str(number)) if number is not None else "-"
