"""`tocsin account`: how one account stands in the markets that the daemon values."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from tocsin.cli import _client, _fast
from tocsin.cli._options import AsJson, ConfigFile, RuntimeDir, daemon_dir
from tocsin.cli._words import part, rows, say

_COLUMNS = (
    "health_ppm",
    "collateral",
    "debt",
    "liquidatable",
    "blocked",
    "asset",
    "price",
    "distance_ppm",
    "seconds_left",
)


def command(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Of the account.")],
    *,
    market: Annotated[str, typer.Option("--market", metavar="NAME", help="Only in this one.")] = "",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table for programs.")] = False,
    config: ConfigFile = None,
    runtime_dir: RuntimeDir = None,
) -> None:
    """Say how healthy an account is, what it has and owes, and which price brings it over the line soonest.

    Answered by the protocol's own integers at the newest block that the daemon valued; an account that never borrowed
    is read at that block. Exit code 1 where nothing is known of it, 2 where it can be liquidated in some market.
    """
    from tocsin.chain import abitext  # noqa: PLC0415 - loaded when it is called
    from tocsin.chain.abi import AbiError  # noqa: PLC0415
    from tocsin.cli import _market  # noqa: PLC0415
    from tocsin.errors import UsageError  # noqa: PLC0415

    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of one answer: choose one")
    try:
        who = f"0x{abitext.address(address, 'ADDRESS').hex()}"
    except AbiError as error:
        raise UsageError(str(error)) from None
    found = _client.ask(daemon_dir(config, runtime_dir), "account", {"address": who, "market": market})
    told = found if isinstance(found, dict) else {}
    if as_json:
        _fast.print_out(json.dumps({"schema": 1, **told}, indent=2) + "\n")
    elif as_csv:
        lines = [
            [say(row, "chain"), say(row, "market"), *(part(row, "account").get(name) for name in _COLUMNS)]
            for row in rows(told, "markets")
        ]
        _fast.print_out(_market.csv_text(("chain", "market", *_COLUMNS), lines))
    else:
        _fast.print_out("\n".join(line for row in rows(told, "markets") for line in _lines(row, _market)) + "\n")
    accounts = [part(row, "account") for row in rows(told, "markets")]
    if any(one.get("liquidatable") is True for one in accounts):
        raise typer.Exit(2)
    if not any(one.get("liquidatable") is False for one in accounts):
        raise typer.Exit(1)


def _lines(row: Mapping[str, Any], market: Any) -> Iterator[str]:
    one = part(row, "account")
    if not one:
        yield f"{say(row, 'market')} on {say(row, 'chain')}: not known: {say(row, 'problem')}"
        return
    decimals, base = row.get("base_decimals"), say(row, "base")
    yield market.header(row)
    if one.get("liquidatable") is None:
        yield f"  not known: {say(one, 'unknown')}"
        return
    yield f"  health {market.millionths(one.get('health_ppm'))}{_stands(one)}"
    collateral, debt = (market.amount(one.get(name), decimals, base) for name in ("collateral", "debt"))
    yield f"  collateral {collateral}, debt {debt}"
    if one.get("price") is not None:
        distance = market.share(one.get("distance_ppm"))
        yield f"  {say(one, 'asset')} at {say(one, 'price')} in the oracle's unit, {distance} from now"
    if one.get("seconds_left") is not None and not one.get("liquidatable"):
        yield f"  at frozen prices interest brings it there in {market.span(one.get('seconds_left'))}"
    held = rows(one, "held")
    if held:
        lines = [
            [say(leg, "asset"), *(market.amount(leg.get(name), decimals) for name in ("collateral", "debt"))]
            for leg in held
        ]
        yield from (f"  {line}" for line in market.table(("asset", "collateral", f"debt in {base}"), lines))


def _stands(one: Mapping[str, Any]) -> str:
    if not one.get("liquidatable"):
        return "" if one.get("health_ppm") is not None else " (it owes nothing)"
    return f": below the line, blocked: {say(one, 'blocked')}" if one.get("blocked") else ": it can be liquidated"
