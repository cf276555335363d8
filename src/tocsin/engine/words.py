"""What contracts take and return, in words of 32 bytes: calls are made here, and their results and slots are read.

What is no such value is None, never a guess.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from tocsin.chain.keccak import keccak256
from tocsin.model.reading import CallOf

WORD: Final = 32
_ADDRESS_BITS: Final = 160
_WORDS: Final = re.compile(r"0x(?:[0-9a-f]{64})+")
_WORD_TEXT: Final = re.compile(r"0x[0-9a-f]{64}")


@cache
def selector(signature: str) -> bytes:
    """Return the selector of a function, such as `hasRole(bytes32,address)`."""
    return keccak256(signature.encode())[:4]


def call(to: str, signature: str, *words: int | str) -> CallOf:
    """Return a call with words as arguments: numbers, or 0x-hex that is filled up from the left."""
    data = b"".join(padded(word) for word in words)
    return CallOf(to=bytes.fromhex(to[2:]), data=selector(signature) + data)


def padded(word: int | str) -> bytes:
    """Return a number, or 0x-hex of at most 32 bytes, as a word."""
    return word.to_bytes(WORD) if isinstance(word, int) else bytes.fromhex(word[2:]).rjust(WORD, bytes(1))


def mapped(at: bytes, *keys: int | str) -> bytes:
    """Return the slot of a mapping's value: keys from the outermost, `at` the slot of the mapping itself."""
    for key in keys:
        at = keccak256(padded(key) + at)
    return at


def beside(slot: bytes, by: int) -> bytes:
    """Return a slot some slots further on; storage goes round at its end."""
    return ((int.from_bytes(slot) + by) % (1 << 256)).to_bytes(WORD)


def number(text: str) -> int | None:
    """Return a word as a number."""
    return int(text, 16) if _WORD_TEXT.fullmatch(text) else None


def packed(text: str, offset: int, size: int) -> int:
    """Return a number of `size` bytes that lies in a slot above `offset` others."""
    return (int(text, 16) >> 8 * offset) & ((1 << 8 * size) - 1)


def truth(text: str) -> bool | None:
    """Return a word as a boolean: 0 or 1."""
    value = number(text)
    return bool(value) if value in (0, 1) else None


def address(text: str) -> str | None:
    """Return a word as an address."""
    value = number(text)
    return None if value is None or value >> _ADDRESS_BITS else f"0x{value:040x}"


def addresses(text: str) -> tuple[str, ...] | None:
    """Return the list of addresses that a function returned first, laid out as encoders of the ABI do it."""
    if not _WORDS.fullmatch(text):
        return None
    words = [text[at : at + 2 * WORD] for at in range(2, len(text), 2 * WORD)]
    start, odd = divmod(int(words[0], 16), WORD)
    if odd or start >= len(words):
        return None
    count = int(words[start], 16)
    members = [address(f"0x{word}") for word in words[start + 1 : start + 1 + count]]
    if count > len(words) or len(members) != count or None in members:
        return None
    return tuple(member for member in members if member is not None)


def known(values: Mapping[str, str], subject: str) -> int | None:
    """Return what is known of a subject as a number."""
    text = values.get(subject)
    return None if text is None else number(text)
