"""An oracle that says other prices: code to be put in the place of one while a node answers a single call.

A node that is asked with it values accounts by the protocol's own contracts at prices that never were: a referee that
knows nothing of our arithmetic. It is only asked to answer `price(of)` questions; what else an oracle can do reverts.
"""

from collections.abc import Mapping
from typing import Any, Final

from tocsin.errors import UsageError
from tocsin.protocols.base import Question
from tocsin.valuation.curve import moving, named
from tocsin.valuation.situation import Situation
from tocsin.valuation.stressing import ALL, Shocks

ORACLE: Final = "oracle"
_WORD: Final = 32
_BPS: Final = 10_000
_HEAD: Final = bytes.fromhex("600435")
"""PUSH1 4, CALLDATALOAD: the first argument."""
_NONE: Final = bytes.fromhex("60006000fd")
"""Revert: of nothing else it knows a price."""


def program(prices: Mapping[bytes, int]) -> bytes:
    """Return code that answers a call by its first argument, an address: the price of that, as one word."""
    entry, body = len(bytes.fromhex("8073")) + 20 + len(bytes.fromhex("1461000057")), 1 + 1 + _WORD + 8
    begins = len(_HEAD) + entry * len(prices) + len(_NONE)
    head, tail = bytearray(_HEAD), bytearray(_NONE)
    for at, (address, price) in enumerate(prices.items()):
        # DUP1 PUSH20 address EQ PUSH2 place JUMPI; there: JUMPDEST PUSH32 price PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN.
        head += bytes.fromhex("8073") + address + bytes.fromhex("1461")
        head += (begins + body * at).to_bytes(2) + bytes.fromhex("57")
        tail += bytes.fromhex("5b7f") + price.to_bytes(_WORD) + bytes.fromhex("60005260206000f3")
    return bytes(head + tail)


def override(of: Situation, shocks: Shocks) -> tuple[bytes, bytes]:
    """Return where the oracle is and code that says the prices of a scenario. Raises UsageError where that cannot be.

    It can be where the protocol asks one oracle for the price of an address.
    """
    where = of.parts.one(ORACLE)
    asked = [read for read in of.rules.plan.market if read.of == ORACLE and len(read.takes) == 1]
    if where is None or not asked or of.rules.plan.view is None:
        raise UsageError(f"prices of {of.rules.kind} cannot be made up on a node: it does not ask one oracle for each")
    return where, program(_prices(of, shocks))


def questions(of: Situation, accounts: tuple[bytes, ...]) -> tuple[Question, ...]:
    """Return what the protocol is asked of accounts."""
    reading = of.rules.view(of.parts, accounts)
    return next(reading)


def says(of: Situation, question: Question, data: bytes | None) -> bool | None:
    """Return whether a node says that an account can be liquidated; None where it says nothing."""
    answer: Any = question.answered(data)
    return None if answer is None else of.rules.view_verdict(answer).liquidatable


def _prices(of: Situation, shocks: Shocks) -> dict[bytes, int]:
    now = of.rules.prices(of.market)
    names = [f"0x{asset.hex()}" for asset in now]
    moves = moving(names, of.parts, of.rules.base(of.parts, of.market))
    wanted = {name.lower(): bps for name, bps in shocks.items()}
    found = {}
    for (asset, price), name, does in zip(now.items(), names, moves, strict=True):
        bps = wanted.get(name, wanted.get(named(of.parts, name).lower(), wanted.get(ALL, 0) if does else 0))
        if price:
            found[asset] = price * (_BPS + bps) // _BPS
    return found
