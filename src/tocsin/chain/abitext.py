"""Values of the contract ABI as people write them and read them."""

import json
import re
from collections.abc import Sequence
from typing import Final

from tocsin.chain.abi import AbiError, Array, Simple, Tuple, Type, Value, checksummed

_HEX_NUMBER: Final = re.compile(r"-?0x[0-9a-fA-F]{1,64}")
_NUMBER: Final = re.compile(r"-?[0-9](?:[0-9_]*[0-9])?")
_POWER: Final = re.compile(r"(-?[0-9]{1,78})(?:\.([0-9]{1,78}))?[eE]([0-9]{1,2})")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_LONGEST_NUMBER: Final = 100
_LARGE: Final = 10**9
_PAIRS: Final = {"[": "]", "(": ")"}


def read(of: Type, text: str, where: str) -> Value:
    """Return the value that a text is of: `1e18`, `0x..`, `true`, `[1,2]`, `(a,"b")`. Raises AbiError."""
    text = text.strip()
    match of:
        case Simple():
            return _simple(of, text, where)
        case Array(of=one, length=length):
            parts = _parts(text, "[", of, where)
            if length not in (None, len(parts)):
                raise AbiError(f"{where}: {of} takes {length} values, not {len(parts)}")
            return tuple([read(one, part, f"{where}[{at}]") for at, part in enumerate(parts)])
        case Tuple(of=inner):
            parts = _parts(text, "(", of, where)
            if len(parts) != len(inner):
                raise AbiError(f"{where}: {of} takes {len(inner)} values, not {len(parts)}")
            return tuple([read(one, part, f"{where}.{at}") for at, (one, part) in enumerate(zip(inner, parts))])  # noqa: B905


def address(text: str, where: str) -> bytes:
    """Return an address, whose checksum is right if it has one (EIP-55). Raises AbiError."""
    if not _ADDRESS.fullmatch(text):
        raise AbiError(f"{where}: {text[:80]!r} is no address: 0x and 40 hex digits{_count(text)}")
    lower = text.lower()
    right = checksummed(lower)
    if text not in (lower, right, f"0x{lower[2:].upper()}"):
        raise AbiError(f"{where}: the checksum of {text} is wrong (EIP-55): a digit is, or if none is write {right}")
    return bytes.fromhex(lower[2:])


def _count(text: str) -> str:
    is_hex = re.fullmatch(r"0x[0-9a-fA-F]*", text)
    return f", not {len(text) - 2}" if is_hex else ""


def _simple(of: Simple, text: str, where: str) -> Value:
    match of.kind:
        case "address":
            return address(text, where)
        case "bool":
            if text not in ("true", "false"):
                raise AbiError(f"{where}: {text[:80]!r} is neither true nor false")
            return text == "true"
        case "string":
            return _unquoted(text)
        case "bytes":
            return _data(of, text, where)
    value = _integer(text, where)
    low, high = (0, 1 << of.size) if of.kind == "uint" else (-(1 << of.size - 1), 1 << of.size - 1)
    if not low <= value < high:
        raise AbiError(f"{where}: {text[:80]} is not within {of}")
    return value


def _integer(text: str, where: str) -> int:
    if len(text) <= _LONGEST_NUMBER:
        if _NUMBER.fullmatch(text):
            return int(text.replace("_", ""))
        if _HEX_NUMBER.fullmatch(text):
            return int(text, 16)
        if (power := _POWER.fullmatch(text)) is not None:
            whole, part, zeros = power.group(1), power.group(2) or "", int(power.group(3))
            if len(part) <= zeros:
                found: int = 10 ** (zeros - len(part))
                return int(whole + part) * found
    raise AbiError(f"{where}: {text[:80]!r} is no integer: write 1000, 1_000, 1e18 or 0x3e8")


def _data(of: Simple, text: str, where: str) -> bytes:
    try:
        found = bytes.fromhex(text[2:]) if text[:2] == "0x" and text.isalnum() else None
    except ValueError:
        found = None
    if found is None:
        raise AbiError(f"{where}: {text[:80]!r} is no bytes: 0x and an even number of hex digits")
    if of.size and len(found) != of.size:
        raise AbiError(f"{where}: {of} takes {of.size} bytes, not {len(found)}")
    return found


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            found = json.loads(text)
        except ValueError:
            return text
        return found if isinstance(found, str) else text
    return text


def _parts(text: str, begin: str, of: Type, where: str) -> list[str]:
    """Return what stands between brackets, cut at its commas."""
    if text[:1] != begin or text[-1:] != _PAIRS[begin]:
        raise AbiError(f"{where}: {text[:80]!r} is no {of}: write it as {begin}a,b{_PAIRS[begin]}")
    inside = text[1:-1]
    parts, depth, is_quoted, start = [], 0, False, 0
    for at, char in enumerate(inside):
        if char == '"' and inside[at - 1 : at] != "\\":
            is_quoted = not is_quoted
        elif not is_quoted:
            depth += (char in "[(") - (char in ")]")
            if char == "," and depth == 0:
                parts.append(inside[start:at])
                start = at + 1
    if depth or is_quoted:
        raise AbiError(f"{where}: {text[:80]!r}: brackets or quotes that do not close")
    return [*parts, inside[start:]] if inside.strip() else []


# -- shown


def shown(of: Type, value: Value) -> str:
    """Return a value for people; large integers also as a power of ten."""
    match of, value:
        case Simple(kind="address"), bytes():
            return checksummed(f"0x{value.hex()}")
        case Simple(kind="bool"), bool():
            return "true" if value else "false"
        case Simple(), bytes():
            return f"0x{value.hex()}"
        case Simple(), str():
            return json.dumps(value, ensure_ascii=False)
        case Simple(), int():
            return str(value)
        case Array(of=one), tuple():
            return f"[{', '.join(shown(one, each) for each in value)}]"
        case Tuple(of=inner), tuple():
            return f"({', '.join(shown(one, each) for one, each in zip(inner, value, strict=True))})"
    raise AbiError(f"no value of {of}")


def with_power(of: Type, value: Value) -> str:
    """Return a value as a line for people: a large integer also as a power of ten."""
    if isinstance(of, Simple) and type(value) is int and abs(value) >= _LARGE:
        return f"{value} [{value:.4e}]"
    return shown(of, value)


def as_json(of: Type, value: Value) -> object:
    """Return a value for machines: integers as decimal texts, since JSON's may lose digits."""
    match of, value:
        case Simple(kind="bool"), bool():
            return value
        case Simple(), str():
            return value
        case Simple(), _:
            return shown(of, value)
        case Array(of=one), tuple():
            return [as_json(one, each) for each in value]
        case Tuple(of=inner), tuple():
            return [as_json(one, each) for one, each in zip(inner, value, strict=True)]
    raise AbiError(f"no value of {of}")


def arguments(takes: Tuple, texts: Sequence[str]) -> tuple[Value, ...]:
    """Return the arguments of a function of texts, one each. Raises AbiError."""
    if len(texts) != len(takes.of):
        wanted = f"{len(takes.of)} argument{'s' if len(takes.of) != 1 else ''} {takes}" if takes.of else "no argument"
        raise AbiError(f"the function takes {wanted}, and {len(texts)} {'is' if len(texts) == 1 else 'are'} given")
    return tuple(
        [read(one, text, f"argument {at}") for at, (one, text) in enumerate(zip(takes.of, texts, strict=True), 1)]
    )
