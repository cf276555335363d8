"""JSON values of nodes as numbers: strictly read, bounded, and None for whatever else came."""

import re
from typing import Any, Final

import orjson

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,16}")
_DECIMAL: Final = re.compile(r"[0-9]{1,19}")
_WIDE: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")


def json_of(result: bytes | None) -> Any:
    """Return the value of a result, None where there is none or it is no JSON."""
    try:
        return orjson.loads(result or b"null")
    except orjson.JSONDecodeError:
        return None


def quantity_of(value: object) -> int | None:
    """Return a hex quantity below 2^64."""
    return int(value, 16) if isinstance(value, str) and _QUANTITY.fullmatch(value) else None


def network_of(value: object) -> int | None:
    """Return a network's id, below 2^64, from a decimal text, hex quantity or plain number: clients differ."""
    if type(value) is int:
        return value if 0 <= value < 1 << 64 else None
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    return quantity_of(value)


def amount_of(value: object) -> int | None:
    """Return a hex quantity below 2^256, such as a balance."""
    return int(value, 16) if isinstance(value, str) and _WIDE.fullmatch(value) else None


def count_of(value: object, most: int) -> int | None:
    """Return a count from a hex quantity or a plain number (Nethermind, Besu), None when it is beyond reason."""
    count = value if type(value) is int else quantity_of(value)
    return count if count is not None and 0 <= count <= most else None
