"""`tocsin stress`: what other prices would do to a market that the daemon values."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._words import clean, part, rows, say

_COLUMNS = ("accounts", "unsure", "collateral", "debt", "bad_debt")


def command(
    *,
    market: Annotated[str, typer.Option("--market", metavar="NAME", help="Where several are valued.")] = "",
    shock: Annotated[
        list[str] | None,
        typer.Option(
            "--shock", metavar="ASSET=MOVE", help="As WETH=-20%, a grid WETH=-50%..0%/5%, or *=-10% for all that move."
        ),
    ] = None,
    scenarios: Annotated[
        list[Path] | None,
        typer.Option("--scenarios", metavar="FILE", help="JSON, TOML or CSV, a scenario in each object or line."),
    ] = None,
    referee: Annotated[
        bool, typer.Option("--referee", help="Let a node say who falls in the worst, by the protocol's contracts.")
    ] = False,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table for programs.")] = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Say who falls when prices move: accounts, their collateral and debt, and what nobody would pay.

    Several --shock of different assets make every combination. The newest block that the daemon valued is taken, all
    accounts as they were there. Counts are made by floats: "unsure" are so near to the line that the protocol's own
    roundings could say otherwise. --referee has a node answer for the worst scenario, with an oracle that says its
    prices for the length of one call (a state override of eth_call). Results hold for just these prices: nobody sells,
    and no price moves another.
    """
    from tocsin.cli import _market, _shocks  # noqa: PLC0415 - loaded when it is called
    from tocsin.errors import UsageError  # noqa: PLC0415

    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of one answer: choose one")
    wanted = _shocks.scenarios(shock or [], scenarios or [])
    request = {"market": market, "referee": referee, **_shocks.request(wanted)}
    found = _client.ask(daemon_dir(config, runtime_dir), "stress", request)
    told = found if isinstance(found, dict) else {}
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **told}, indent=2) + "\n")
    elif as_csv:
        _fast.print_out(_csv(told))
    else:
        _fast.print_out("\n".join(_lines(told, _market)) + "\n")


def _csv(told: Mapping[str, Any]) -> str:
    from tocsin.cli import _market  # noqa: PLC0415

    assets = list(dict.fromkeys(str(name) for row in rows(told, "outcomes") for name, _ in _shocks_of(row)))
    lines = []
    for row in rows(told, "outcomes"):
        moves = dict(_shocks_of(row))
        lines.append([*(moves.get(asset, 0) for asset in assets), *(row.get(name) for name in _COLUMNS)])
    return _market.csv_text([*(f"{asset}_bps" for asset in assets), *_COLUMNS], lines)


def _shocks_of(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    given = row.get("shocks")
    return [(str(one[0]), one[1]) for one in given] if isinstance(given, list) else []


def _lines(told: Mapping[str, Any], market: Any) -> Iterator[str]:
    decimals, base = told.get("base_decimals"), say(told, "base")
    yield market.header(told)
    yield ""
    outcomes = rows(told, "outcomes")
    lines = [
        [
            clean(", ".join(f"{name} {market.points(bps)}" for name, bps in _shocks_of(row))) or "as it is",
            say(row, "accounts"),
            say(row, "unsure"),
            *(market.amount(row.get(name), decimals) for name in ("collateral", "debt", "bad_debt")),
        ]
        for row in outcomes
    ]
    yield from market.table(("prices", "accounts", "unsure", "collateral", "debt", f"bad debt in {base}"), lines)
    fallen, worst = rows(told, "fallen"), told.get("worst")
    if fallen and isinstance(worst, int) and worst < len(lines):
        yield ""
        yield f"who owes most of those who fall at {lines[worst][0]}:"
        yield from market.table(
            ("account", "collateral", f"debt in {base}"),
            [
                [say(row, "account"), *(market.amount(row.get(name), decimals) for name in ("collateral", "debt"))]
                for row in fallen
            ],
        )
    yield from _refereed(told)
    if told.get("unjudged"):
        yield f"{say(told, 'unjudged')} accounts are unsure in each: a price of theirs is not known, or they overflow"


def _refereed(told: Mapping[str, Any]) -> Iterator[str]:
    one = part(told, "referee")
    if not one:
        return
    if one.get("problem"):
        yield f"no referee: {say(one, 'problem')}"
        return
    yield f"{say(one, 'node')} says the same of {say(one, 'agree')} of {say(one, 'asked')} accounts, by the contracts"
    differ = one.get("differ")
    if isinstance(differ, list) and differ:
        yield f"  and otherwise of {clean(', '.join(map(str, differ)))}"
    if one.get("silent"):
        yield f"  and nothing of {say(one, 'silent')}: their call reverts"
