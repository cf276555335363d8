"""Changes of JSON as nodes and files have it: in one byte of a text, in one value, or in the bytes of the whole."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import orjson

Path = tuple[str | int, ...]
_HEX = "0123456789abcdef"
_ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    1.5,
    "",
    "0x",
    "0x0",
    "0x00",
    "zz",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
)
_BYTES = b'"{}[],:\\x\x00\xff 0aA'


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where each value stands, the whole first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from paths(one, (*path, key))


def at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _text(value: str, draw: random.Random) -> str:
    """Change a text a little: one digit, one more, one less, other letters, zeros before it."""
    place = draw.randrange(len(value) + 1)
    match draw.randrange(8):
        case 0:
            return value[:place] + draw.choice(_HEX) + value[place:]
        case 1:
            return value[:-1]
        case 2:
            return value.upper().replace("0X", "0x")
        case 3:
            return "0x" + "00" * draw.randrange(1, 4) + value[2:]
        case 4:
            return value[:place] + draw.choice("xX _-,:ég") + value[place + 1 :]
        case _:
            return value[:place] + draw.choice(_HEX) + value[place + 1 :]


def _other(parent: Any, key: str | int, whole: Any, places: list[Path], draw: random.Random) -> None:
    value = parent[key]
    match draw.randrange(10):
        case 0:
            parent[key] = draw.choice(_ODD)
        case 1 if isinstance(parent, dict):
            del parent[key]
        case 1 | 2 if isinstance(parent, list):
            place = draw.randrange(len(parent))
            parent[key], parent[place] = parent[place], parent[key]
        case 3:
            parent[key] = copy.deepcopy(at(whole, draw.choice(places)))
        case 4 if isinstance(value, list) and value:
            value.pop(draw.randrange(len(value)))
        case 5 if isinstance(value, list) and value:
            value.insert(draw.randrange(len(value) + 1), copy.deepcopy(draw.choice(value)))
        case _ if isinstance(value, str):
            parent[key] = _text(value, draw)
        case _ if isinstance(value, int):
            parent[key] = draw.choice((value + 1, value - 1, -value, 2**62, str(value)))
        case _:
            parent[key] = draw.choice(_ODD)


def mutant(whole: Any, draw: random.Random) -> Any:
    """Return JSON with one to three values that are others; leaves, being most, are mostly what changes."""
    found = copy.deepcopy(whole)
    places = [path for path in paths(whole) if path]
    for _ in range(draw.choice((1, 1, 1, 1, 2, 3))):
        path = draw.choice(places)
        try:
            _other(at(found, path[:-1]), path[-1], whole, places, draw)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    return found


def mutant_bytes(data: bytes, draw: random.Random) -> bytes:
    """Return bytes of which one is another, or some are gone, doubled or in between."""
    place, length = draw.randrange(len(data)), draw.randrange(1, 40)
    match draw.randrange(6):
        case 0:
            return data[:place] + data[place + length :]
        case 1:
            return data[:place] + data[place : place + length] + data[place:]
        case 2:
            return data[:place] + draw.randbytes(length) + data[place:]
        case 3:
            return data[:place]
        case 4:
            return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]
        case _:
            return data[:place] + bytes([draw.choice(_BYTES)]) + data[place + 1 :]


def parsed(data: bytes) -> Any:
    """Return what bytes spell, None where that is no JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
