"""Amounts of coins and tokens in the configuration: exact, with digits behind the point, or in the smallest unit.

A TOML number with a point is a binary fraction, and 0.1 is none: such amounts are written as strings.
"""

import re
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

LARGEST: Final = (1 << 256) - 1
"""The largest number that a contract can hold."""
LARGEST_DECIMALS: Final = 77
"""10 to the power of 78 is more than that."""

_AMOUNT: Final = re.compile(r"([0-9]{1,78})(?:\.([0-9]{1,77}))?")


def amount(value: Any) -> str:
    """Check an amount: a whole number that is not negative, or a string such as "1000.5"."""
    if isinstance(value, float):
        raise ValueError('is not exact as a number; write it as a string, such as "1000.5"')  # noqa: TRY004
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise ValueError('is no amount; write a whole number of at least 0, or a string such as "1000.5"')
    return text


def scaled(text: str | None, decimals: int) -> str:
    """Return an amount in its smallest unit, as decimal text; empty where there is none. Raises ValueError."""
    found = _AMOUNT.fullmatch(text) if text is not None else None
    if found is None:
        return ""
    whole, behind = found[1], (found[2] or "").rstrip("0")
    if len(behind) > decimals:
        raise ValueError(f"{text} has {len(behind)} digits behind the point, and there are {decimals} decimals")
    number = int(whole) * 10**decimals + int(behind.ljust(decimals, "0") or "0")
    if number > LARGEST:
        raise ValueError(f"{text} with {decimals} decimals is more than a contract can hold (2^256 - 1)")
    return str(number)


AmountText = Annotated[
    str,
    PlainValidator(amount),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^[0-9]{1,78}(\.[0-9]{1,77})?$", "examples": ["1000.5"]},
            ]
        }
    ),
]
