"""Identifiers: random ones are made here and nowhere else, derived ones are hashes of content."""

import hashlib
import os
from functools import lru_cache
from typing import Final

_MOST_KNOWN: Final = 16_384
"""Fingerprints that are remembered: each is asked for with every look at what it is about."""


def boot_id() -> str:
    """Return a fresh random id for one life of the daemon: 12 hex digits."""
    return os.urandom(6).hex()


def nonce() -> int:
    """Return a fresh random number below 2^64, by which an answer is known to answer a request."""
    return int.from_bytes(os.urandom(8))


def salt() -> bytes:
    """Return 16 fresh random bytes, by which something is drawn that nobody else can foresee."""
    return os.urandom(16)


def digest(data: bytes) -> str:
    """Return the content address of bytes: the first 16 bytes of SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()[:32]


@lru_cache(maxsize=_MOST_KNOWN)
def fingerprint(detector: str, labels: tuple[tuple[str, str], ...]) -> str:
    """Return an alert's identity: detector and sorted labels, never values or text; 32 hex digits."""
    text = "\x00".join([detector, *(f"{key}\x01{value}" for key, value in sorted(labels))])
    return digest(text.encode())
