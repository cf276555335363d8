"""Fields of a node's answer, read strictly: hex of the right kind and length, or an error that says where and what."""

import re
from collections.abc import Mapping
from typing import Any, Final

_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
"""A quantity, or a whole word: where a proof binds the value, clients may write it as they like."""
_SHOWN: Final = 80


class FieldError(ValueError):
    """A field that is missing or wrong; the message begins with where it stands."""


def number(values: Mapping[str, Any], name: str, where: str = "", *, bits: int = 256) -> int:
    """Return the unsigned number of a field, below 2 to the power of `bits`. Raises FieldError."""
    value = values.get(name)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value) or (found := int(value, 16)) >> bits:
        raise FieldError(f"{at(where, name)}: no number below 2^{bits}: {shown(value)}")
    return found


def data(values: Mapping[str, Any], name: str, where: str = "", *, length: int | None = None) -> bytes:
    """Return the bytes of a field, of just this length where one is given. Raises FieldError."""
    return data_of(values.get(name), at(where, name), length=length)


def data_of(value: object, where: str, *, length: int | None = None) -> bytes:
    """Return the bytes that a value spells, of just this length where one is given. Raises FieldError."""
    found = _bytes(value)
    if found is None:
        raise FieldError(f"{where}: no bytes in hex: {shown(value)}")
    if length is not None and len(found) != length:
        raise FieldError(f"{where}: not {length} bytes: {shown(value)}")
    return found


def _bytes(value: object) -> bytes | None:
    if not isinstance(value, str) or value[:2] != "0x":
        return None
    try:
        found = bytes.fromhex(value[2:])
    except ValueError:
        return None
    # It takes spaces between bytes. A pattern would tell as well, and take most of the time that a proof takes.
    return found if 2 * len(found) == len(value) - 2 else None


def at(where: str, name: str) -> str:
    """Return where a field stands."""
    return f"{where}.{name}" if where else name


def shown(value: object) -> str:
    """Return a value as an error shows it: short."""
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
