"""How documents and evidence show accounts of a market: bounded texts, and no more rows than there is room for."""

import json
from collections.abc import Iterable
from typing import Final

from tocsin.model.market import PPM, AccountSample, Mismatch

TEXT: Final = 64
_FAR: Final = 10**12
"""Millionths: a price that is a million times as high. What is farther says no more."""
_NUMBER: Final = 96

Row = dict[str, object]


def account(one: AccountSample) -> Row:
    """Return an account as it is shown."""
    return {
        "account": one.account,
        "health": None if one.health_ppm is None else ratio(one.health_ppm),
        "collateral": one.collateral,
        "debt": one.debt,
        "liquidatable": one.liquidatable,
        "blocked": one.blocked[:TEXT] or None,
        "exactness": one.exactness.value,
        "asset": one.asset[:TEXT] or None,
        "price": one.price,
        "distance_ppm": None if one.distance_ppm is None else max(-_FAR, min(one.distance_ppm, _FAR)),
        "seconds_left": one.seconds_left,
        "unknown": one.unknown[:TEXT] or None,
    }


def mismatch(one: Mismatch) -> Row:
    """Return a difference from the chain's own view as it is shown."""
    return {"account": one.account, "what": one.what[:TEXT], "ours": one.ours[:_NUMBER], "chain": one.chain[:_NUMBER]}


def ratio(ppm: int) -> str:
    """Write a ratio of whole millionths, at least 0, as a decimal."""
    whole, rest = divmod(ppm, PPM)
    return f"{whole}.{rest:06d}"


def fitting(all_: Iterable[Row], room: int) -> list[Row]:
    """Return the first rows, as many as there is room for in bytes of JSON."""
    found = []
    for row in all_:
        room -= len(json.dumps(row)) + 1
        if room < 0:
            break
        found.append(row)
    return found
